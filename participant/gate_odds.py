"""How likely a growth passes the rules about lost rows, and how much a model must allow for that.

The gate (`statemachine.rounds.candidates`) judges a growth on few rows. Of r unseen rows of old classes that
were right before, it may lose ⌊ε·r⌋, rounded down; of a group's r, ⌊ε·r⌋ + ⌊√⌊4·ε·r⌋⌋; of r rows of retention
parts, ⌊ε·r⌋. What a growth loses in truth is a share of all rows that there are; how many of the few are lost
is then chance, and binomial at worst.

`usual_epsilon` is the ε of a model whose founder names none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from math import isqrt, log, log1p, nextafter
from typing import Final

import numpy as np
import numpy.typing as npt

from engram.statemachine.rounds.judging import PPM, may_forget

HONEST_SHARE: Final = 0.05
"""The share of old rows for which `usual_epsilon` leaves room. Eight growths of the digits that ship with
Engram, by four classes each, lost 0.3 % to 3.8 % of the rows that were right before (docs/data.md).
"""
CONFIDENCE: Final = 0.95
"""How often a growth that loses this share passes, at least."""
LEAST_PPM: Final = 20_000
"""The ε of a model that is judged by very many rows."""
STEP_PPM: Final = 1_000
HALF: Final = 0.5
"""Of the rows that decide a round, this part may have new classes or be wrong before, and cannot be lost."""
_EXACT_ROWS: Final = 400
"""Up to so many rows, every number of losable rows is looked at."""
_TRIED_ROWS: Final = 64
_MANY_ROWS: Final = 10_000
"""Of so many rows, one row more or less hardly matters."""

Chances = npt.NDArray[np.float64]


@dataclass(frozen=True)
class JudgedRows:
    """The rows by which a growth is judged."""

    old_rows: int
    """Unseen rows of old classes in the opener's and the witnesses' parts."""
    new_rows: int
    """Unseen rows of new classes."""
    retention_rows: int
    """Rows of the retention parts."""
    groups: tuple[int, ...] = ()
    """Rows of old classes of each side, if there are two."""

    def shrunk(self, part: float) -> JudgedRows:
        """This part of the unseen rows of each kind. Of retention parts the rule counts all rows."""
        groups = tuple(round(part * each) for each in self.groups)
        old, new = round(part * self.old_rows), round(part * self.new_rows)
        return replace(self, old_rows=old, new_rows=new, groups=groups)


def usual_epsilon(opener_rows: int, witness_rows: int, retained: int) -> int:
    """The ε in millionths of a model whose founder names none: the least with which honest growths pass.

    They are growths that lose `HONEST_SHARE` of the old rows in truth, and they pass in `CONFIDENCE` of
    rounds as large as the one that founds the model: so many rows of the opener and of the witnesses decide
    it, and a part of `retained` rows stays as a retention part. The number is rounded up to a thousandth, and
    never below `LEAST_PPM`.
    """
    groups = (opener_rows, witness_rows) if witness_rows else ()
    judged = JudgedRows(opener_rows + witness_rows, 0, retained, groups)
    least = least_epsilon(HONEST_SHARE, judged, 1 - CONFIDENCE, HALF)
    return min(PPM, max(LEAST_PPM, -(-least // STEP_PPM) * STEP_PPM))


def pass_chance(share: float, judged: JudgedRows, epsilon_ppm: int) -> float:
    """The chance that a growth passes which loses each losable row with this probability, at least.

    All rules about lost rows together; the bound on the chance of any is the sum of their chances.
    """
    return _passes(judged, epsilon_ppm, lambda rows: binomial_cdf(rows, share))


def _passes(judged: JudgedRows, epsilon_ppm: int, cumulated: Callable[[int], Chances]) -> float:
    """`pass_chance` with the distributions (rows + 1,) of lost rows that `cumulated` gives."""
    failing = 0.0
    for rows in (judged.old_rows, judged.retention_rows):
        failing += 1 - float(cumulated(rows)[may_forget(epsilon_ppm, rows)])
    for rows in judged.groups:
        most = may_forget(epsilon_ppm, rows) + isqrt(4 * epsilon_ppm * rows // PPM)
        failing += 1 - float(cumulated(rows)[min(most, rows)])
    return max(0.0, 1 - failing)


def tolerated_share(rows: int, epsilon_ppm: int, chance: float) -> float:
    """The largest share of rows that a growth may lose in truth and still pass with this chance."""
    most = may_forget(epsilon_ppm, rows)
    if most >= rows:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if float(binomial_cdf(rows, middle)[most]) >= chance:
            low = middle
        else:
            high = middle
    return low


def least_epsilon(bound: float, judged: JudgedRows, failure: float, right: float = 0.5) -> int:
    """The least ε in millionths with which a growth fails with this probability at most, see `pass_chance`.

    Fewer unseen rows may be losable than are of old classes; numbers down to the part `right` of them are
    looked at.
    """
    low, high = 0, PPM
    cumulated = cache(lambda rows: binomial_cdf(rows, bound))
    shrunk = {judged.shrunk(part) for part in _tried_parts(judged, right)}
    while low < high:
        middle = (low + high) // 2
        if all(_passes(each, middle, cumulated) >= 1 - failure for each in shrunk):
            high = middle
        else:
            low = middle + 1
    return high


def _tried_parts(judged: JudgedRows, right: float) -> list[float]:
    """Parts from `right` to 1: of few rows, one for each way in which the rounded numbers can fall."""
    most = max(judged.old_rows, judged.retention_rows, *judged.groups, 0)
    if most > _EXACT_ROWS:
        return [float(part) for part in np.linspace(right, 1.0, _TRIED_ROWS if most <= _MANY_ROWS else 2)]
    halves = {(row + 0.5) / rows for rows in (judged.old_rows, *judged.groups) for row in range(rows)}
    inside = sorted({right, 1.0, *(part for part in halves if right <= part <= 1.0)})
    sides = [nextafter(part, side) for part in inside for side in (0.0, 2.0)]
    return [part for part in (*inside, *sides) if right <= part <= 1.0]


def binomial_cdf(rows: int, share: float) -> Chances:
    """P(X ≤ m) for m = 0 … rows (rows + 1,), X binomial."""
    if share <= 0 or share >= 1:
        made = np.zeros(rows + 1)
        made[0 if share <= 0 else rows :] = 1.0
        return made
    counts = np.arange(rows + 1)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, rows + 1)))])
    logs = factorials[rows] - factorials - factorials[::-1] + counts * log(share)
    sums: Chances = np.cumsum(np.exp(logs + (rows - counts) * log1p(-share)))
    return np.minimum(1.0, sums)
