"""How a network is judged against another on rows that stayed sealed till then. Pure functions of numbers.

**The null growth** is what every baseline stands on: version t, to which the knowledge of how often each
class occurs was added and nothing else. Of n rows, counted over all unseen parts of the round, n_old have old
labels and n_j the new label j. A row of an old class loses what it loses under version t, and ln(n / n_old);
a row of class j loses ln(n / n_j). So adding a constant to all logits changes no baseline, and no network
that ignores its input is below it in every group.

**In TRAIN** there are two baselines: version t, and the frequencies of the classes, which is what the best
network loses that ignores its input. In each group the lower of the two counts.

**A gain is proved** in a group of rows if the sum D of the gains d_i (the row's loss under the baseline less
its own) is above 0 by z times its own scatter: D > 0 and D² ≥ z²·Σd_i². Chance passes that rarely, whatever
the losses are.

**A share** is what is left of the baseline's loss: loss / baseline, as two integers.

All losses are in Q24 nats, clipped at ln(classes) + 8 nats a row; gains count in units of 2^-16 nat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from engram.nn.data import Labels
from engram.nn.fixed import LOGIT_BITS, LOSS_BITS, Int64Array, ln_q24, ln_q32, round_shift
from engram.nn.loss import LossKind, loss_limit, loss_rows
from engram.statemachine.rounds.records import EpochBest, GroupScore, Tally

PPM: Final = 1_000_000
GAIN_BITS: Final = 8
"""Gains are rounded by so many bits before they are squared, so that sums of squares fit 64 bits."""
TABLE_SLACK: Final = 8
"""Units by which a row's baseline is lowered, because the tables of logarithms round."""
RUNG: Final = (7, 8)
"""An epoch takes the lead if its share is at most this part of the leader's."""
LEAST_ROWS_OF_A_CLASS: Final = 8
"""Of an old class with at least so many unseen rows, a growth may lose at most half."""


def null_growth_losses(
    base: Int64Array, labels: Labels, old_classes: int, counts: Sequence[int]
) -> Int64Array:
    """The clipped loss of each row under the null growth: int64 (n,).

    `base` are the rows' losses under version t, with its own classes only; they count for old labels alone.
    `counts` are the rows of each of the K + m classes, these rows among them.
    """
    added = np.array(null_growth_table(old_classes, counts), np.int64)[labels]
    losses: Int64Array = added + np.where(labels < old_classes, base, 0)
    return np.clip(losses, 0, loss_limit(len(counts)))


def null_growth_table(old_classes: int, counts: Sequence[int]) -> list[int]:
    """What the null growth adds to version t's loss on a row of each old class, or loses on one of each new.

    Values are lowered by `TABLE_SLACK`, and may be below 0. A class without rows has any value.
    """
    rows, old = sum(counts), sum(counts[:old_classes])
    added = [_surprise(rows, old)] * old_classes
    return [value - TABLE_SLACK for value in (*added, *(_surprise(rows, n) for n in counts[old_classes:]))]


def frequency_table(kind: LossKind, counts: Sequence[int]) -> list[int]:
    """The clipped loss of a row of each class under the best network that ignores its input.

    It knows the counts of the classes. A class without rows has any value.
    """
    rows, classes, most = sum(counts), len(counts), loss_limit(len(counts))
    if kind is LossKind.SOFTMAX_CROSS_ENTROPY:
        losses = [_surprise(rows, count) for count in counts]
    else:
        shares = np.array([(count << LOGIT_BITS) // rows for count in counts], np.int64)
        logits = np.tile(shares, (classes, 1))
        losses = [int(loss) for loss in loss_rows(kind, logits, np.arange(classes, dtype=np.int64))]
    return [min(max(loss - TABLE_SLACK, 0), most) for loss in losses]


def tally(own: Int64Array, baseline: Int64Array) -> Tally:
    """The tally of rows by their clipped losses under the candidate and under a baseline, both (n,)."""
    gains = round_shift(baseline - own, GAIN_BITS)
    return Tally(
        int(np.sum(baseline)),
        int(np.sum(np.maximum(gains, 0))),
        int(np.sum(np.maximum(-gains, 0))),
        int(np.sum(np.square(gains))),
    )


def add_tallies(first: Tally, second: Tally) -> Tally:
    """The tally of the rows of both."""
    return Tally(
        first.baseline + second.baseline,
        first.gained + second.gained,
        first.lost + second.lost,
        first.squares + second.squares,
    )


def lower_baseline(group: GroupScore, *, train: bool) -> Tally:
    """The tally against the baseline that counts: in TRAIN the one with less loss, else the null growth."""
    if train and group.frequencies.baseline < group.growth.baseline:
        return group.frequencies
    return group.growth


def mix_advantage(pooled: Sequence[int], own: Sequence[int], counts: Sequence[int]) -> int:
    """How much less rows lose under the baseline that knows their own mix of classes, in Q24 nats.

    `pooled` and `own` are the tables of one baseline, made of the counts of all unseen rows and of `counts`.
    """
    return sum(count * (shared - mine) for count, shared, mine in zip(counts, pooled, own, strict=True))


def beyond_the_mix(found: Tally, advantage: int, rows: int) -> Tally:
    """The tally without what the mix of classes alone explains, and without a unit a row for rounding."""
    return replace(found, lost=found.lost + max(0, -(-advantage >> GAIN_BITS)) + rows)


def proves_gain(found: Tally, z_squared: int) -> bool:
    """Whether the candidate is better than the baseline beyond chance."""
    return found.gained > found.lost and _beyond_chance(found, z_squared)


def proves_harm(found: Tally, z_squared: int) -> bool:
    """Whether the candidate is worse than the baseline beyond chance."""
    return found.gained < found.lost and _beyond_chance(found, z_squared)


def falls_behind(found: Tally, rows: int, other: Tally, other_rows: int, z_squared: int) -> bool:
    """Whether rows on which no gain is proved gain less, a row, than the others beyond chance.

    The gap of the two means, times both numbers of rows, is above 0 by z times its scatter. Where one side
    proves a gain and the other harm, that is always so.
    """
    gap = (other.gained - other.lost) * rows - (found.gained - found.lost) * other_rows
    scatter = rows * rows * other.squares + other_rows * other_rows * found.squares
    return gap > 0 and gap * gap >= z_squared * scatter and not proves_gain(found, z_squared)


def worst_share(shares: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The largest of the shares, each a loss and a baseline; the first of equal ones."""
    worst = shares[0]
    for loss, baseline in shares[1:]:
        if loss * worst[1] > worst[0] * baseline:
            worst = (loss, baseline)
    return worst


def is_lower(share: EpochBest, other: EpochBest) -> bool:
    """Whether a candidate comes before another of its epoch: by share, commit height, then address."""
    mine, theirs = share.loss * other.baseline, other.loss * share.baseline
    return (mine, share.committed, share.author) < (theirs, other.committed, other.author)


def takes_lead(share: EpochBest, lead: EpochBest) -> bool:
    """Whether a share is at most 7/8 of the leader's. Before the first rung the leader's share is 1."""
    return share.loss * lead.baseline * RUNG[1] <= lead.loss * share.baseline * RUNG[0]


def removed(amount: int, share: EpochBest, lead: EpochBest) -> int:
    """⌊amount · (the leader's share - this share)⌋."""
    fall = lead.loss * share.baseline - share.loss * lead.baseline
    return amount * fall // (lead.baseline * share.baseline)


def may_forget(epsilon_ppm: int, rows: int) -> int:
    """The most rows that a growth may lose of all unseen old rows together: ⌊ε·rows⌋."""
    return epsilon_ppm * rows // PPM


def group_forgets(epsilon_ppm: int, rows: int, forgotten: int) -> bool:
    """Whether it loses more of one group's rows than ⌊ε·rows⌋ + ⌊√⌊4·ε·rows⌋⌋.

    Squares are compared, so no root has to be taken.
    """
    excess = forgotten - epsilon_ppm * rows // PPM
    return excess > 0 and excess**2 > 4 * epsilon_ppm * rows // PPM


def threshold_loss(threshold_ppm: int, classes: int, rows: int) -> int:
    """The loss of so many rows at a model's threshold: ⌊rows · τ_ppm · ln_q24(classes) / 10^6⌋."""
    return rows * threshold_ppm * ln_q24(classes) // PPM


def ln_rows(rows: int) -> int:
    """ln of a number of rows in Q24 nats, for 1 to 2^31: that of rows / 2^e, and e times that of 2."""
    shift = max(0, rows.bit_length() - 16)
    found = ln_q32(np.array([rows << (32 - shift), 2 << 32], np.int64))
    return int(round_shift(found[0] + shift * found[1], 32 - LOSS_BITS))


def _surprise(rows: int, count: int) -> int:
    """ln(rows / count); 0 where nothing was counted."""
    return ln_rows(rows) - ln_rows(count) if count else 0


def _beyond_chance(found: Tally, z_squared: int) -> bool:
    return (found.gained - found.lost) ** 2 >= z_squared * found.squares
