"""What is said of this machine's clock, and how often."""

import asyncio
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from engram.consensus.chainspec import main
from engram.node.clock import FakeClock
from engram.node.clockwatch import LOOK_S, MOST_SKEW_S, ClockWatch
from engram.p2p.link import PeerAddress
from engram.p2p.peertime import PeerTime, Skew
from engram.p2p.protocol import HeadSummary, PeerInfo, PeerOrigin

NOW_MS = 1_700_000_000_000
YEAR_2106_MS = 2**32 * 1000


@dataclass
class Watched:
    """A clock, and three peers whose clocks are right."""

    clock: FakeClock
    origin: PeerOrigin = PeerOrigin.NAMED

    def sessions(self) -> list[PeerInfo]:
        told = PeerTime.told(NOW_MS, 0.0, 0.0)
        ahead_s = told.ahead_s(self.clock.now_ms(), self.clock.monotonic())
        head = HeadSummary(0, bytes(32), 0)
        return [
            PeerInfo(
                bytes(32),
                PeerAddress(f"{net}.0.0.1", 1),
                f"{net}.0.0.1",
                self.origin,
                "",
                3,
                head,
                (),
                0,
                0,
                0,
                ahead_s,
                0,
                0,
                0,
                False,
            )
            for net in (1, 2, 3)
        ]


@pytest.fixture
def watched() -> Watched:
    return Watched(FakeClock(NOW_MS))


async def pass_time(clock: FakeClock, looks: int) -> None:
    for _ in range(looks):
        await asyncio.sleep(0)
        clock.advance(int(LOOK_S * 1000))
    await asyncio.sleep(0)


@pytest.mark.fault(id=47, inputs=4)
@pytest.mark.parametrize(
    ("set_ms", "side"),
    [
        (NOW_MS - 300_000, "300 s behind"),
        (NOW_MS + 7_200_000, "7200 s ahead of"),
        (0, f"{NOW_MS // 1000} s behind"),
        (YEAR_2106_MS, f"{(YEAR_2106_MS - NOW_MS) // 1000} s ahead of"),
    ],
)
async def test_a_clock_that_is_set_wrong_is_told_of_once(watched: Watched, set_ms: int, side: str) -> None:
    clock = watched.clock
    watch = ClockWatch(main(), clock, watched.sessions)
    with capture_logs() as lines:
        task = asyncio.create_task(watch.run())
        await pass_time(clock, 3)
        assert watch.skew() == Skew(0.0, 3)
        assert lines == []
        passed_ms = clock.now_ms() - NOW_MS
        clock.set(set_ms + passed_ms)
        await pass_time(clock, 100)
        (line,) = lines
        assert line["code"] == "clock_skewed"
        assert line["log_level"] == "warning"
        assert f"{side} those of 3 peers: set it" in line["event"]
        clock.set(clock.now_ms() + NOW_MS - set_ms)
        await pass_time(clock, 100)
        assert [line["log_level"] for line in lines] == ["warning", "info"]
        clock.set(clock.now_ms() + round(MOST_SKEW_S * 1000) + 1)
        await pass_time(clock, 1)
        assert [line["log_level"] for line in lines] == ["warning", "info", "warning"], (
            "and the next time again"
        )
        task.cancel()


@pytest.mark.fault(id=26)
async def test_a_miner_waits_for_no_branch_on_the_word_of_strangers(
    watched: Watched,
) -> None:
    """They are told of all the same. Whoever mines one block could else stop a miner that dials nobody."""
    watched.clock.set(NOW_MS - 300_000)
    stamp_ms = NOW_MS + main().future_limit_ms
    for origin, due_ms in ((PeerOrigin.NAMED, stamp_ms), (PeerOrigin.INBOUND, None)):
        watched.origin = origin
        watch = ClockWatch(main(), watched.clock, watched.sessions, lambda: stamp_ms)
        skew = watch.skew()
        assert skew is not None
        assert (skew.voices, round(skew.ahead_s)) == (3, 300)
        assert watch.due_branch_ms() == due_ms


async def test_who_is_alone_hears_nothing(watched: Watched) -> None:
    assert ClockWatch(main(), watched.clock, lambda: []).skew() is None
