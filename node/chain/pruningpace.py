"""Says when old states are deleted, and which are old: whoever reads the state of a head is given time."""

from __future__ import annotations

from collections import deque
from typing import Final

READ_S: Final = 10.0
READ_BLOCKS: Final = 128
"""Whoever reads the state of a head is given so many seconds, or blocks, before it counts as old."""
AT_ONCE: Final = 8
"""On a chain without work, whose blocks may come in a row, the states of so many blocks go together."""


class PruningPace:
    """Follows the blocks that are judged."""

    def __init__(self, *, has_work: bool) -> None:
        self._at_once = 1 if has_work else AT_ONCE
        self._heads: deque[tuple[float, int]] = deque()
        """When the head had which height, the latest of them first that is `READ_S` old."""
        self._judged = 0

    def judged(self, blocks: int, height: int, now_s: float) -> tuple[int, int] | None:
        """Counts blocks that were judged just now; `height` is the head's after them.

        Returns the height of the head for which states are old now, and how many blocks were judged since
        the last such answer; None if no states are to be deleted yet.
        """
        self._judged += blocks
        self._heads.append((now_s, height))
        while len(self._heads) > 1 and self._heads[1][0] <= now_s - READ_S:
            self._heads.popleft()
        if self._judged < self._at_once:
            return None
        count, self._judged = self._judged, 0
        return max(self._heads[0][1], height - READ_BLOCKS), count
