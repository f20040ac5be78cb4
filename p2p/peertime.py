"""What the clocks of peers show, and how far this machine's clock is from most of them.

A peer's time is a claim like any other. It changes nothing that a node does with blocks; it only lets a node
say that its own clock is probably wrong. So that strangers cannot make it say so at will, every network group
has one voice, and as long as this node has dialled peers itself, only those are heard.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from engram.p2p.netgroup import group_of

FEWEST_STRANGERS: Final = 3
"""Where no dialled peer tells the time, so many groups of others are needed to be believed."""


@dataclass(frozen=True)
class PeerTime:
    """What a peer's clock showed at one moment, held against a clock that never jumps."""

    epoch_ms: float
    """The peer's time at the moment 0 of this node's monotonic clock."""
    error_s: float
    """The most by which that may be wrong: half of the way there and back."""

    @classmethod
    def told(cls, now_ms: int, asked_s: float, answered_s: float) -> PeerTime:
        """Of an answer that says `now_ms`; the times are of the monotonic clock."""
        return cls(now_ms - (asked_s + answered_s) * 500, (answered_s - asked_s) / 2)

    def ahead_s(self, now_ms: int, monotonic_s: float) -> float:
        """Seconds by which the peer's clock is ahead of this one for sure; negative if it is behind."""
        ahead_s = (self.epoch_ms + monotonic_s * 1000 - now_ms) / 1000
        if ahead_s >= 0:
            return max(0.0, ahead_s - self.error_s)
        return min(0.0, ahead_s + self.error_s)


@dataclass(frozen=True)
class Voice:
    """What one session says of this machine's clock."""

    host: str
    inbound: bool
    ahead_s: float
    """Seconds by which the peer's clock is ahead."""


@dataclass(frozen=True)
class Skew:
    """How far this machine's clock is from those of its peers."""

    ahead_s: float
    """Seconds by which the peers' clocks are ahead in the median; negative if this one is ahead of them.

    Of an even number of voices, what that one of the middle two says which says less.
    """
    voices: int
    """How many were heard."""
    of_strangers: bool = False
    """Whether none of them is of a peer that this node has dialled."""


def told_skew(voices: Iterable[Voice]) -> Skew | None:
    """The skew that peers tell, oldest session first; None if too few are there to be believed."""
    heard = list(voices)
    dialled = [voice for voice in heard if not voice.inbound]
    groups: dict[str, float] = {}
    for voice in dialled or heard:
        groups.setdefault(group_of(voice.host), voice.ahead_s)
    if not groups or (not dialled and len(groups) < FEWEST_STRANGERS):
        return None
    ranked = sorted(groups.values())
    middle = ranked[(len(ranked) - 1) // 2 : len(ranked) // 2 + 1]
    return Skew(min(middle, key=abs), len(ranked), of_strangers=not dialled)
