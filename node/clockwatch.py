"""Watches whether this machine's clock is right, and says in the log when it is not, once.

Two things show a wrong clock: peers tell another time, and the head is from the future. Neither changes what
the node takes for valid: its own clock alone decides that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from engram.consensus.chainspec import ChainSpec
from engram.node import logs
from engram.node.clock import Clock
from engram.p2p.peertime import Skew, Voice, told_skew
from engram.p2p.protocol import PeerInfo

MOST_SKEW_S: Final = 10.0
"""So many seconds a clock may be from those of the peers; less on a chain that allows less."""
FEWEST_VOICES: Final = 3
"""What fewer peers say is shown, but keeps the node from nothing: one of them may lie. Nor does it what only
strangers say, who come from as many networks as they like.
"""
LOOK_S: Final = 5.0


def most_skew_s(spec: ChainSpec) -> float:
    """Beyond so many seconds a clock is called wrong: before its blocks, or those of others, are refused."""
    return min(MOST_SKEW_S, spec.future_limit_ms / 2000)


def skew_message(ahead_s: float, voices: int) -> str:
    """The fact and the remedy."""
    side = "behind" if ahead_s > 0 else "ahead of"
    others = "that of its peer" if voices == 1 else f"those of {voices} peers"
    return (
        f"this machine's clock is {abs(ahead_s):.0f} s {side} {others}: set it, for example with "
        "`timedatectl set-ntp true`; blocks of others, or of this node, are refused where clocks differ"
    )


class ClockWatch:
    """The service. Methods run on the event loop."""

    def __init__(
        self,
        spec: ChainSpec,
        clock: Clock,
        sessions: Callable[[], Sequence[PeerInfo]],
        *early_ms: Callable[[], int | None],
    ) -> None:
        """`sessions` gives the open sessions, oldest first; each of `early_ms` the timestamp of a branch that
        would lead if it were not ahead of this machine's clock.
        """
        self._spec = spec
        self._clock = clock
        self._sessions = sessions
        self._early_ms = early_ms
        self._warned = False
        self._log = logs.get_logger("clock")

    def skew(self) -> Skew | None:
        """How far peers say that this machine's clock is from theirs; None if too few say anything."""
        return told_skew(
            Voice(info.host, info.inbound, info.clock_ahead_s)
            for info in self._sessions()
            if info.clock_ahead_s is not None
        )

    def due_branch_ms(self) -> int | None:
        """The timestamp of a branch that would lead if it were not ahead of this machine's clock, and whose
        time has come by the clocks of `FEWEST_VOICES` dialled peers or more; None without one.
        """
        stamps = [stamp for each in self._early_ms if (stamp := each()) is not None]
        skew = self.skew() if stamps else None
        if skew is None or skew.of_strangers or skew.voices < FEWEST_VOICES:
            return None
        due_ms = self._clock.now_ms() + skew.ahead_s * 1000 + self._spec.future_limit_ms
        return min(stamps) if min(stamps) <= due_ms else None

    async def run(self) -> None:
        """The service: looks again and again, until it is cancelled."""
        while True:
            await self._clock.sleep(LOOK_S)
            self._look()

    def _look(self) -> None:
        skew, most_s = self.skew(), most_skew_s(self._spec)
        off_s = 0.0 if skew is None else abs(skew.ahead_s)
        if skew is not None and off_s > most_s and not self._warned:
            self._warned = True
            self._log.warning(skew_message(skew.ahead_s, skew.voices), code="clock_skewed")
        elif off_s <= most_s / 2 and self._warned:
            self._warned = False
            self._log.info("this machine's clock and those of its peers agree")
