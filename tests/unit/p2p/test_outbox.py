"""The bounded send queue."""

import asyncio

import pytest

from engram.p2p.errors import SlowReader
from engram.p2p.outbox import Outbox


async def test_frames_leave_in_order_and_count_until_they_are_sent() -> None:
    outbox = Outbox(10)
    outbox.put(b"1234")
    outbox.put(b"567")
    assert outbox.queued_bytes == 7
    frame = await outbox.get()
    assert (frame, outbox.queued_bytes) == (b"1234", 7)
    outbox.sent(frame)
    assert outbox.queued_bytes == 3
    assert await outbox.get() == b"567"


async def test_the_limit_can_be_filled_but_not_passed() -> None:
    outbox = Outbox(10)
    outbox.put(bytes(10))
    assert len(await outbox.get()) == 10
    outbox.put(b"one more while the first is still on its way")
    assert outbox.queued_bytes == 10
    with pytest.raises(SlowReader):
        await outbox.get()


async def test_an_overflow_wakes_the_one_who_waits() -> None:
    outbox = Outbox(3)
    waiting = asyncio.create_task(outbox.get())
    await asyncio.sleep(0)
    outbox.put(b"too much")
    with pytest.raises(SlowReader):
        await waiting


async def test_room_is_waited_for() -> None:
    outbox = Outbox(10)
    await outbox.below(0)
    outbox.put(b"12345")
    waiting = asyncio.create_task(outbox.below(4))
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.sent(await outbox.get())
    await waiting
