"""The interface through which the demonstration tells what happens.

It does not say how that is shown: `commands/support/demo_screen.py` prints it, tests collect it.
"""

from __future__ import annotations

from typing import Protocol


class Stage(Protocol):
    """Receives the events of the demonstration in the order in which they happen, from one event loop."""

    def act(self, title: str) -> None:
        """A new act begins."""

    def say(self, who: str, line: str) -> None:
        """`who` (an actor, a node, "chain", "gate" or "nodes") did something, or found something."""

    def head(self, node: str, height: int, block_id: str) -> None:
        """A node has a new head."""

    def phase(self, name: str, epoch: int) -> None:
        """The round's phase and epoch at the first node's head; the name is "" while no round is open."""
