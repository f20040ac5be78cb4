"""How one network is judged against another on rows that its author has not seen. Pure functions of rows.

**The null growth** is what every baseline stands on: version t, to which the knowledge of how often each
class occurs was added and nothing else. Of n rows, counted over all sealed parts of the round, n_old have old
labels and n_j the new label j. A row of an old class loses what it loses under version t, and ln(n / n_old);
a row of class j loses ln(n / n_j). So adding a constant to all logits changes no baseline, and no network
that ignores its input is below it in every group.

**A gain is proved** in a group of rows if the sum of the gains d_i (the row's loss under the null growth less
its own) is above 0 by z times its own scatter: D > 0 and D² ≥ z²·Σd_i². Chance passes that rarely, whatever
the losses are.

**Lost** is a row of an old class that version t has right and the candidate has not.

All losses are in Q24 nats, clipped at ln(classes) + 8 nats a row; gains count in units of 2^-16 nat.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Final

import numpy as np

from engram.nn.data import Labels
from engram.nn.fixed import LOSS_BITS, Int64Array, ln_q24, ln_q32, round_shift

PPM: Final = 1_000_000
CLIP_NATS: Final = 8
GAIN_BITS: Final = 8
"""Gains are rounded by so many bits before they are squared, so that sums of squares fit 64 bits."""
TABLE_SLACK: Final = 8
"""Units by which a row's baseline is lowered, because the tables of logarithms round."""
RUNG: Final = (7, 8)
"""A later epoch takes the lead if its share is at most this part of the leader's."""
LEAST_ROWS_OF_A_CLASS: Final = 8
"""Of an old class with at least so many rows, a growth may lose at most half."""


@dataclass(frozen=True)
class ClassCounts:
    """How often the classes occur on the sealed rows of a round."""

    old: int
    """Rows of old classes."""
    new: tuple[int, ...]
    """Rows of each new class."""

    @property
    def rows(self) -> int:
        """All rows."""
        return self.old + sum(self.new)


@dataclass(frozen=True)
class Tally:
    """What a candidate has shown on the rows of one group."""

    loss: int = 0
    baseline: int = 0
    gain: int = 0
    """D, the sum of the rounded gains; below 0 if the candidate is worse."""
    squares: int = 0
    """The sum of their squares."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.loss + other.loss,
            self.baseline + other.baseline,
            self.gain + other.gain,
            self.squares + other.squares,
        )

    def proves_gain(self, z_squared: int) -> bool:
        """Whether it is better than the null growth beyond chance."""
        return self.gain > 0 and self.gain**2 >= z_squared * self.squares

    def proves_harm(self, z_squared: int) -> bool:
        """Whether it is worse than the null growth beyond chance."""
        return self.gain < 0 and self.gain**2 >= z_squared * self.squares


def clip_at(classes: int) -> int:
    """The most that a row's loss counts: ln(classes) + 8 nats."""
    return ln_q24(classes) + (CLIP_NATS << LOSS_BITS)


def null_losses(base: Int64Array, labels: Labels, old_classes: int, counts: ClassCounts) -> Int64Array:
    """The loss of each row under the null growth, before the clip: int64 (n,).

    `base` are the rows' losses under version t, with its own classes only; they count for old labels alone.
    Every label of the rows is counted in `counts`.
    """
    total = ln_rows(counts.rows)
    shares = [total - ln_rows(counts.old) if counts.old else 0]
    shares += [total - ln_rows(count) if count else 0 for count in counts.new]
    kind = np.maximum(labels.astype(np.int64) - (old_classes - 1), 0)
    losses: Int64Array = np.array(shares, np.int64)[kind] - TABLE_SLACK
    losses[kind == 0] += base[kind == 0]
    return np.maximum(losses, 0)


def tally(own: Int64Array, null: Int64Array, clip: int) -> Tally:
    """The tally of rows by their losses under the candidate and under the null growth, both (n,)."""
    mine, theirs = np.minimum(own, clip), np.minimum(null, clip)
    gains = round_shift(theirs - mine, GAIN_BITS)
    return Tally(int(np.sum(mine)), int(np.sum(theirs)), int(np.sum(gains)), int(np.sum(np.square(gains))))


def ln_rows(rows: int) -> int:
    """ln of a number of rows in Q24 nats, for 1 to 2^31: that of rows / 2^e, and e times that of 2."""
    shift = max(0, rows.bit_length() - 16)
    found = ln_q32(np.array([rows << (32 - shift), 2 << 32], np.int64))
    return int(round_shift(found[0] + shift * found[1], 32 - LOSS_BITS))


def worst_share(tallies: Iterable[Tally]) -> tuple[int, int]:
    """The largest loss / baseline of the groups, as numerator and denominator."""
    worst = (0, 1)
    for each in tallies:
        if each.loss * worst[1] > worst[0] * each.baseline:
            worst = (each.loss, each.baseline)
    return worst


def takes_lead(share: tuple[int, int], lead: tuple[int, int]) -> bool:
    """Whether a share is at most 7/8 of the leader's; (1, 1) is the lead before the first rung."""
    return share[0] * lead[1] * RUNG[1] <= lead[0] * share[1] * RUNG[0]


def may_lose_pooled(epsilon_ppm: int, rows: int) -> int:
    """The most rows that a growth may lose of all unseen old rows together: ⌊ε·rows⌋."""
    return epsilon_ppm * rows // PPM


def may_lose_of_owner(epsilon_ppm: int, rows: int) -> int:
    """The most rows that it may lose of one owner's: ⌊ε·rows⌋ + ⌊√(4·ε·rows)⌋."""
    return epsilon_ppm * rows // PPM + isqrt(4 * epsilon_ppm * rows // PPM)


def keeps_every_class(lost: Sequence[int], rows: Sequence[int]) -> bool:
    """Whether no old class with enough rows has lost more than half of them; both by class."""
    return all(
        2 * gone <= count for gone, count in zip(lost, rows, strict=True) if count >= LEAST_ROWS_OF_A_CLASS
    )
