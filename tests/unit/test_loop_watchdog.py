"""The watchdog sees a blocked loop by either clock, names the culprit, and stays silent otherwise."""

import asyncio
import threading
from collections.abc import Callable, Coroutine

import pytest

from tests.support.loop_watchdog import LoopWatchdog

BOUND_S = 0.05
PATIENCE_S = 60


async def wait_without_processor(watchdog: LoopWatchdog) -> None:
    """Blocks the loop as a synchronous read does, until the watchdog has noticed."""
    assert watchdog.alarmed.wait(PATIENCE_S)


async def spin(watchdog: LoopWatchdog) -> None:
    """Blocks the loop as a long computation does, until the watchdog has noticed."""
    while not watchdog.alarmed.is_set():
        sum(range(1000))


@pytest.mark.parametrize("block", [wait_without_processor, spin])
async def test_a_blocked_loop_is_reported_with_its_stack(
    block: Callable[[LoopWatchdog], Coroutine[None, None, None]],
) -> None:
    with LoopWatchdog(BOUND_S) as watchdog:
        await asyncio.create_task(block(watchdog))
    assert len(watchdog.stacks) == 1
    assert f"in {block.__name__}" in watchdog.stacks[0]


async def test_a_yielding_loop_is_not_reported() -> None:
    with LoopWatchdog() as watchdog:
        for _ in range(1000):
            await asyncio.sleep(0)
    assert watchdog.stacks == []


class Looking(LoopWatchdog):
    """Says when it has looked at a loop that stands still."""

    def __init__(self) -> None:
        super().__init__(BOUND_S)
        self.looked = threading.Event()

    def _report(self, stood_s: float) -> None:
        super()._report(stood_s)
        self.looked.set()


class LateThread(threading.Thread):
    """A thread that the system lets begin only after the watchdog has looked."""

    def __init__(self, watchdog: Looking) -> None:
        super().__init__()
        self._watchdog = watchdog

    def _set_ident(self) -> None:
        super()._set_ident()  # type: ignore[misc]
        assert self._watchdog.looked.wait(PATIENCE_S)


async def test_a_thread_that_the_system_does_not_begin_is_not_reported() -> None:
    watchdog = Looking()
    with watchdog:
        late = LateThread(watchdog)
        late.start()
        late.join()
    assert watchdog.looked.is_set()
    assert watchdog.stacks == []


async def test_the_fixture_stops_its_thread(loop_watchdog: LoopWatchdog) -> None:
    assert loop_watchdog.stacks == []
