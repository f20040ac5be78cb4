"""Token buckets on a clock turned by hand."""

import asyncio

import pytest

from engram.node.clock import FakeClock
from engram.p2p.errors import RateExceeded
from engram.p2p.limits import PATIENCE_S, MessageLimiter, Throttle, TokenBucket
from engram.p2p.messages import SPECS, Announce, Ping, Pong


def test_a_burst_is_free_and_then_each_token_takes_its_time() -> None:
    clock = FakeClock(0)
    bucket = TokenBucket(2.0, 3.0, clock)
    assert [bucket.take() for _ in range(5)] == [0.0, 0.0, 0.0, 0.5, 1.0]
    clock.advance(1_000)
    assert bucket.take() == 0.5
    clock.advance(100_000)
    assert [bucket.take() for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_a_bucket_may_be_taken_from_by_parts() -> None:
    bucket = TokenBucket(0.1, 60.0, FakeClock(0))
    assert bucket.take(59.0) == 0.0
    assert bucket.take(2.0) == pytest.approx(10.0)


def test_types_do_not_share_a_bucket() -> None:
    limiter = MessageLimiter(FakeClock(0))
    rate = SPECS[Ping].rate
    assert rate is not None
    assert sum(limiter.take(Ping) == 0.0 for _ in range(100)) == rate.burst
    assert limiter.take(Announce) == 0.0
    assert all(limiter.take(Pong) == 0.0 for _ in range(1_000))


async def test_a_sender_paces_itself() -> None:
    clock = FakeClock(0)
    limiter = MessageLimiter(clock)
    for _ in range(20):
        await limiter.pace(Ping)
    waiting = asyncio.create_task(limiter.pace(Ping))
    await asyncio.sleep(0)
    clock.advance(499)
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(1)
    await waiting


async def test_what_a_paced_sender_sends_is_admitted_without_a_pause_when_it_arrives_in_one_lump() -> None:
    """A network that holds frames back for half a minute costs patience, but no session."""
    clock = FakeClock(0)
    throttle = Throttle(clock)
    for _ in range(20 + 2 * 30):
        admitting = asyncio.create_task(throttle.admit(Ping))
        await asyncio.sleep(0)
        clock.advance(500)
        await admitting
    assert clock.monotonic() <= 41


async def test_patience_ends_after_a_minute_of_pauses() -> None:
    clock = FakeClock(0)
    throttle = Throttle(clock)
    admitted = 0

    async def flood() -> None:
        nonlocal admitted
        while True:
            await throttle.admit(Ping)
            admitted += 1

    flooding = asyncio.create_task(flood())
    while not flooding.done():
        await asyncio.sleep(0)
        clock.advance(100)
    with pytest.raises(RateExceeded):
        await flooding
    assert PATIENCE_S <= clock.monotonic() <= PATIENCE_S * 1.2
    assert admitted <= 20 + 2 * clock.monotonic() + 1
