"""The clock that tests turn by hand."""

import asyncio

from engram.node.clock import Clock, FakeClock, SystemClock


def test_callbacks_run_at_their_own_moment_in_order() -> None:
    clock = FakeClock(1_000)
    seen: list[tuple[str, int]] = []
    clock.call_later(0.5, lambda: seen.append(("late", clock.now_ms())))
    clock.call_later(0.1, lambda: seen.append(("early", clock.now_ms())))
    clock.call_later(0.1, lambda: seen.append(("second", clock.now_ms())))
    clock.advance(499)
    assert seen == [("early", 1_100), ("second", 1_100)]
    clock.advance(1)
    assert seen[2:] == [("late", 1_500)]
    assert clock.monotonic() == 0.5


def test_a_callback_may_schedule_another_within_the_same_advance() -> None:
    clock = FakeClock(0)
    seen: list[int] = []

    def tick() -> None:
        seen.append(clock.now_ms())
        clock.call_later(0.01, tick)

    clock.call_later(0.01, tick)
    clock.advance(35)
    assert seen == [10, 20, 30]
    assert clock.now_ms() == 35


def test_a_cancelled_callback_never_runs() -> None:
    clock = FakeClock(0)
    seen: list[str] = []
    clock.call_later(1, lambda: seen.append("kept"))
    clock.call_later(1, lambda: seen.append("cancelled")).cancel()
    clock.advance(1_000)
    assert seen == ["kept"]


async def test_sleep_ends_when_time_has_passed_and_not_before() -> None:
    clock = FakeClock(0)
    sleeper = asyncio.create_task(clock.sleep(2))
    await asyncio.sleep(0)
    clock.advance(1_999)
    await asyncio.sleep(0)
    assert not sleeper.done()
    clock.advance(1)
    await sleeper


async def test_a_cancelled_sleep_leaves_nothing_to_fire() -> None:
    clock = FakeClock(0)
    sleeper = asyncio.create_task(clock.sleep(2))
    await asyncio.sleep(0)
    sleeper.cancel()
    await asyncio.gather(sleeper, return_exceptions=True)
    clock.advance(5_000)
    assert sleeper.cancelled()


async def test_the_system_clock_calls_back() -> None:
    clock: Clock = SystemClock()
    before = clock.now_ms(), clock.monotonic()
    done = asyncio.Event()
    clock.call_later(0, done.set)
    await done.wait()
    await clock.sleep(0)
    assert (clock.now_ms(), clock.monotonic()) >= before
