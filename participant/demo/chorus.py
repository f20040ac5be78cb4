"""Tells lines that several authors say in the same words once, with all their names.

In every phase each author reports the same step. All of it belongs to the story, but five equal lines hide
the one that differs. A line waits until everybody who plays the same part has said it, until something else
is said, or until two more blocks are there.
"""

from __future__ import annotations

from typing import Final

from engram.participant.demo.report import ScoreRow
from engram.participant.demo.stage import RoundNow, Stage

TOGETHER: Final = "authors"
"""Who says a line that more than one has said; their names follow it."""
_PATIENCE_BLOCKS: Final = 2


class Chorus:
    """A stage in front of another one, which also takes lines that several say together."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._line = ""
        self._who: list[str] = []
        self._height = self._until = 0

    def together(self, who: str, line: str, others: int) -> None:
        """`who` has said a line that so many others may say, too."""
        if line != self._line or who in self._who:
            self._flush()
        if not self._who:
            self._until = self._height + _PATIENCE_BLOCKS
        self._line = line
        self._who.append(who)
        if len(self._who) > others:
            self._flush()

    def act(self, title: str) -> None:
        """A new act begins."""
        self._flush()
        self._stage.act(title)

    def say(self, who: str, line: str) -> None:
        """`who` says a line of their own."""
        self._flush()
        self._stage.say(who, line)

    def head(self, node: str, height: int, block_id: str) -> None:
        """A node has a new head."""
        self._height = max(self._height, height)
        if self._who and self._height >= self._until:
            self._flush()
        self._stage.head(node, height, block_id)

    def round(self, now: RoundNow | None) -> None:
        """Where the round is."""
        self._stage.round(now)

    def score(self, row: ScoreRow) -> None:
        """What is known of an update."""
        self._stage.score(row)

    def _flush(self) -> None:
        who, line = self._who, self._line
        self._who, self._line = [], ""
        if len(who) == 1:
            self._stage.say(who[0], line)
        elif who:
            self._stage.say(TOGETHER, f"{line} ({', '.join(sorted(who))})")
