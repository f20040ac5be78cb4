"""Runs blocking work in threads and waits for those threads; picks the error to report from a task group.

Cancelling a task does not stop the thread that works for it, and LevelDB must not be closed while a thread
still reads it. Therefore every thread is waited for: `in_worker` waits for a single call, and
`ReaderThreads.close` waits for all of a node's reading threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final, TypeVar

from engram.node.errors import ChainStopped
from engram.primitives.errors import ChainError

R = TypeVar("R")


async def in_worker(executor: Executor, work: Callable[..., R], *arguments: object) -> R:
    """The result of `work(*arguments)`, computed in a thread of the executor.

    If the caller is cancelled, `CancelledError` is raised only after the thread has finished, so that nobody
    can close the database while the thread still uses it.
    """
    return await until_done(asyncio.get_running_loop().run_in_executor(executor, work, *arguments))


async def until_done(work: Awaitable[R]) -> R:
    """The result of `work`. If the caller is cancelled, `CancelledError` is raised only after its end."""
    running = asyncio.ensure_future(work)
    running.add_done_callback(_heard)  # a cancelled caller never reads the result or the error
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await finished(running)
        raise


async def finished(*running: asyncio.Future[R]) -> None:
    """Returns once all of these are done. A cancellation that arrives meanwhile is raised at that point."""
    cancelled = False
    while pending := [future for future in running if not future.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


def _heard(running: asyncio.Future[R]) -> None:
    """Marks the error of a future as read. Otherwise asyncio logs it as an error that nobody handled."""
    if not running.cancelled():
        running.exception()


T = TypeVar("T")

READER_THREADS: Final = 8


class ReaderThreads:
    """The threads in which one node reads its disk and decodes the bytes that peers send."""

    def __init__(self, count: int = READER_THREADS) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="engram-reader")

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """The result of `work(*arguments)`, computed in a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def close(self) -> None:
        """Waits for the work that is running, and drops the work that has not begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def cause_of(error: BaseException) -> BaseException:
    """The one error of a group that should be reported.

    A bug (any error that is no `ChainError`) comes before a `ChainError`. `ChainStopped` comes last, because
    it only says that another service has stopped; the error of that service is the cause.
    """
    return min(_leaves(error), key=_rank)


def _rank(leaf: BaseException) -> int:
    if isinstance(leaf, ChainStopped):
        return 2
    return 1 if isinstance(leaf, ChainError) else 0


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
