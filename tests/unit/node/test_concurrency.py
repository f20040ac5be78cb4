"""Work in threads is never left behind, and whoever is cancelled while he waits for it learns of that."""

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from engram.node.concurrency import finished, in_worker


async def test_a_cancelled_caller_waits_for_what_it_has_begun() -> None:
    begun, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        go.wait()

    with ThreadPoolExecutor(1) as executor:
        waiting = asyncio.create_task(in_worker(executor, work))
        await begun.wait()
        waiting.cancel()
        await asyncio.sleep(0)
        assert not waiting.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_an_error_that_comes_after_a_cancellation_is_nobodys(caplog: pytest.LogCaptureFixture) -> None:
    begun, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        go.wait()
        raise ValueError("too late")

    with ThreadPoolExecutor(1) as executor:
        waiting = asyncio.create_task(in_worker(executor, work))
        await begun.wait()
        waiting.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # now the caller has been cancelled, and waits for the thread
        go.set()
        await asyncio.wait([waiting])
        del waiting
        gc.collect()
    assert caplog.records == []


async def test_a_cancellation_while_waiting_is_raised_at_the_end() -> None:
    running: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(finished(running))
    for _ in range(3):
        await asyncio.sleep(0)
        waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    running.set_result(None)
    with pytest.raises(asyncio.CancelledError):
        await waiting
