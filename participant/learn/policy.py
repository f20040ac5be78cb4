"""When to consolidate. Pure functions of what was observed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from engram.participant.memory.statistics import LEAST_ROWS

HOUR_MS: Final = 3_600_000
WINDOW: Final = 200
"""How many labelled examples surprise is counted over."""
BACKOFF_MS: Final = 600_000
"""How long to wait after a first failure; twice as long after each further one."""
MOST_DOUBLINGS: Final = 7


@dataclass(frozen=True)
class LearnPolicy:
    """When a consolidation is due. Any of the three reasons is enough; None leaves a reason out."""

    after_rows: int | None = None
    """So many examples of classes that the chain lacks."""
    after_hours: float | None = None
    """The oldest of these examples has waited so long."""
    surprise: float | None = None
    """The share of the last `window` labelled examples that the chain did not answer rightly."""
    window: int = WINDOW
    least_rows: int = LEAST_ROWS
    """A class with fewer examples to teach waits. Sums of fewer rows would give rows away."""


@dataclass(frozen=True)
class Observed:
    """What a decision is made from."""

    counts: Mapping[int, int]
    """Examples of each class that the chain lacks."""
    waiting_since_ms: int | None
    """When the oldest of them arrived."""
    surprise: float | None
    """The share of surprises; None before the window is full."""


def due(policy: LearnPolicy, seen: Observed, now_ms: int) -> str | None:
    """Why a consolidation is due now, in words; None if it is not.

    It is never due before some class has `least_rows` examples.
    """
    if not any(count >= policy.least_rows for count in seen.counts.values()):
        return None
    rows = sum(seen.counts.values())
    if policy.after_rows is not None and rows >= policy.after_rows:
        return f"{rows} examples of classes that the chain lacks, and {policy.after_rows} are enough"
    if policy.after_hours is not None and seen.waiting_since_ms is not None:
        hours = (now_ms - seen.waiting_since_ms) / HOUR_MS
        if hours >= policy.after_hours:
            return f"the oldest example has waited {hours:.1f} hours, and {policy.after_hours:g} are enough"
    if policy.surprise is not None and seen.surprise is not None and seen.surprise >= policy.surprise:
        return (
            f"{seen.surprise:.0%} of the last examples were a surprise, and {policy.surprise:.0%} are enough"
        )
    return None


def backoff_ms(failures: int) -> int:
    """How long to wait after so many failures in a row."""
    return BACKOFF_MS << min(max(failures - 1, 0), MOST_DOUBLINGS)


class Surprise:
    """The last labelled examples: which of them the chain did not answer rightly."""

    def __init__(self, window: int) -> None:
        self._last: deque[bool] = deque(maxlen=window)

    def note(self, surprises: Iterable[bool]) -> None:
        """Takes further examples, in the order in which they came."""
        self._last.extend(surprises)

    def clear(self) -> None:
        """After a consolidation, counting begins anew."""
        self._last.clear()

    @property
    def share(self) -> float | None:
        """The share of surprises; None before the window is full."""
        if len(self._last) < (self._last.maxlen or 0) or not self._last:
            return None
        return sum(self._last) / len(self._last)
