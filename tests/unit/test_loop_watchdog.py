"""The watchdog sees a blocked loop by either clock, names the culprit, and stays silent otherwise."""

import asyncio
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


async def test_the_fixture_stops_its_thread(loop_watchdog: LoopWatchdog) -> None:
    assert loop_watchdog.stacks == []
