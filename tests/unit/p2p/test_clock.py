"""Deadlines by an injected clock."""

import asyncio

import pytest

from engram.node.clock import FakeClock
from engram.p2p.clock import Deadline


async def wait_under(clock: FakeClock, seconds: float, event: asyncio.Event) -> str:
    async with Deadline(clock, seconds):
        await event.wait()
    return "in time"


async def test_the_body_ends_before_the_deadline() -> None:
    clock, event = FakeClock(0), asyncio.Event()
    waiting = asyncio.create_task(wait_under(clock, 5, event))
    await asyncio.sleep(0)
    clock.advance(4_999)
    event.set()
    assert await waiting == "in time"
    clock.advance(10_000)


async def test_the_deadline_passes() -> None:
    clock = FakeClock(0)
    waiting = asyncio.create_task(wait_under(clock, 5, asyncio.Event()))
    await asyncio.sleep(0)
    clock.advance(5_000)
    with pytest.raises(TimeoutError):
        await waiting


async def test_nested_deadlines_end_the_right_body() -> None:
    clock = FakeClock(0)

    async def nested() -> str:
        async with Deadline(clock, 10):
            try:
                await wait_under(clock, 5, asyncio.Event())
            except TimeoutError:
                return "inner"
        return "neither"

    waiting = asyncio.create_task(nested())
    await asyncio.sleep(0)
    clock.advance(5_000)
    assert await waiting == "inner"


async def test_cancelling_is_not_taken_for_the_deadline() -> None:
    waiting = asyncio.create_task(wait_under(FakeClock(0), 5, asyncio.Event()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
