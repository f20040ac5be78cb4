"""The rows that benchmarks return, and the timing of two programs against each other."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Row:
    """One line of the table. Its name contains the unit, as in `tree_update_us_per_key`."""

    name: str
    value: float | None
    """What was measured; the median if it was measured more than once, None if it was skipped."""
    baseline: float | None
    """What the value is compared with, measured in the same run and unit; None if there is nothing.

    If the target is absolute, the baseline tells how fast the machine is.
    """
    ratio: float | None
    """value / baseline, or baseline / value; the target says whether more or less is better."""
    target: str
    """The bound in words, such as `ratio >= 0.90` or `<= 40 us`; the reason if the row was skipped."""
    ok: bool | None
    """Whether the bound holds; None if nothing was measured, or if there is no bound."""


def skipped(name: str, why: str) -> Row:
    """The row of something that cannot be measured here."""
    return Row(name, None, None, None, f"skipped: {why}", None)


@dataclass(frozen=True)
class Pairs:
    """Seconds of two programs that ran in turn, in the order in which they ran."""

    candidate_s: tuple[float, ...]
    baseline_s: tuple[float, ...]

    @property
    def median_candidate_s(self) -> float:
        return statistics.median(self.candidate_s)

    @property
    def median_baseline_s(self) -> float:
        return statistics.median(self.baseline_s)

    @property
    def speed(self) -> float:
        """How many times faster the candidate is: the median over pairs of baseline / candidate."""
        return statistics.median(b / c for c, b in zip(self.candidate_s, self.baseline_s, strict=True))


def seconds(program: Callable[[], object]) -> float:
    """Wall-clock seconds of one call, without garbage collection."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        started = time.perf_counter()
        program()
        return time.perf_counter() - started
    finally:
        if was_enabled:
            gc.enable()


def interleaved(candidate: Callable[[], object], baseline: Callable[[], object], pairs: int) -> Pairs:
    """Times two programs in turn, so that a machine that slows down slows both. A first pair warms up."""
    return interleaved_seconds(lambda: seconds(candidate), lambda: seconds(baseline), pairs)


def interleaved_seconds(candidate: Callable[[], float], baseline: Callable[[], float], pairs: int) -> Pairs:
    """As `interleaved`, for programs that return their own time in seconds."""
    _pair(candidate, baseline, swap=False)
    runs = [_pair(candidate, baseline, swap=bool(index % 2)) for index in range(pairs)]
    return Pairs(tuple(c for c, _ in runs), tuple(b for _, b in runs))


def _pair(candidate: Callable[[], float], baseline: Callable[[], float], swap: bool) -> tuple[float, float]:
    if swap:
        baseline_s = baseline()
        return candidate(), baseline_s
    return candidate(), baseline()


def significant(value: float | None, digits: int = 4) -> str:
    """A number as the table shows it, with `digits` significant digits; a dash for None."""
    if value is None:
        return "-"
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


HEADING: Final = ("name", "value", "baseline", "ratio", "target", "ok")
_VERDICTS: Final = {True: "yes", False: "NO", None: "skipped"}


def cells(row: Row) -> tuple[str, ...]:
    """The cells of a row as the table shows them."""
    numbers = significant(row.value), significant(row.baseline), significant(row.ratio, 3)
    verdict = "-" if row.ok is None and row.value is not None else _VERDICTS[row.ok]
    return row.name, *numbers, row.target, verdict


def table(rows: Sequence[Row]) -> Iterator[str]:
    """The rows as aligned plain text, one line each, under a heading."""
    lines = [HEADING, *map(cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADING))]
    for name, value, baseline, ratio, target, ok in lines:
        numbers = zip((value, baseline, ratio), widths[1:4], strict=True)
        right = "  ".join(text.rjust(width) for text, width in numbers)
        yield f"{name.ljust(widths[0])}  {right}  {target.ljust(widths[4])}  {ok}"
