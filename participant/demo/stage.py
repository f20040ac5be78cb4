"""What the demonstration tells whoever watches. It says what happens; how that looks is the watcher's."""

from __future__ import annotations

from typing import Protocol


class Stage(Protocol):
    """Told everything in the order in which it happens, from one event loop."""

    def act(self, title: str) -> None:
        """A new chapter begins."""

    def say(self, who: str, line: str) -> None:
        """Somebody did something, or something came of it."""

    def head(self, node: str, height: int, block_id: str) -> None:
        """A node stands on another head."""

    def phase(self, name: str, epoch: int) -> None:
        """Where the round stands at the first node's head; "" between rounds."""
