"""The interface through which the demonstration tells what happens.

It does not say how that is shown: `commands/support/demo_screen.py` prints it, tests collect it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from engram.participant.demo.report import ScoreRow


@dataclass(frozen=True)
class RoundNow:
    """Where an open round is, in the block after the first node's head."""

    number: int
    """1 for the first round of the demonstration."""
    kind: str
    """TRAIN or GROW."""
    phase: str
    epoch: int
    epochs: int
    done: int
    """Ticks since the round was opened."""
    total: int
    """Ticks that it has."""
    left: int
    """Ticks left in this phase."""
    left_s: float
    """Seconds that these take if nobody has to be waited for."""
    step: int
    """Which of the round's phases this is, or came last: 1 for the first. Each epoch has its own."""
    steps: int
    """How many phases the round has."""


class Stage(Protocol):
    """Receives the events of the demonstration in the order in which they happen, from one event loop."""

    def act(self, title: str) -> None:
        """A new act begins."""

    def say(self, who: str, line: str) -> None:
        """`who` (an actor, a node, "chain", "gate" or "nodes") did something, or found something."""

    def head(self, node: str, height: int, block_id: str) -> None:
        """A node has a new head."""

    def round(self, now: RoundNow | None) -> None:
        """Where the round is at the first node; None while no round is open."""

    def score(self, row: ScoreRow) -> None:
        """What is known now of an author's update; a later row of the same update takes its place."""
