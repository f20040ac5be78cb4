"""A second implementation of rounds.md, 7: baselines, tallies, shares, what rungs are paid; plain integers.

Written from the text, as `protocol_oracle`, on which it stands; imports nothing of the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Final

from tests.support.evaluation_oracle import clip, ln, ln_q24, round_shift, row_loss
from tests.support.protocol_oracle import Wire

SLACK: Final = 8
START: Final = (1, 1)
"""The leader's share before the first rung."""

Share = tuple[int, int]


def lnr(rows: int) -> int:
    e = max(0, rows.bit_length() - 16)
    return round_shift(ln((rows << 32) >> e) + e * ln(2 << 32), 8)


def surprise(rows: int, count: int) -> int:
    return lnr(rows) - lnr(count) if count else 0


def limit(classes: int) -> int:
    return ln_q24(classes) + 8 * 2**24


def null_growth(counts: Sequence[int], old: int, label: int, base: int) -> int:
    """Clipped loss of a row that loses `base` under version t; `old` classes are old."""
    rows = sum(counts)
    if label < old:
        return clip(base + surprise(rows, sum(counts[:old])) - SLACK, 0, limit(len(counts)))
    return clip(surprise(rows, counts[label]) - SLACK, 0, limit(len(counts)))


def frequencies(kind: int, counts: Sequence[int], label: int) -> int:
    rows = sum(counts)
    if kind == 1:
        loss = surprise(rows, counts[label])
    else:
        loss = row_loss(kind, [(count << 16) // rows for count in counts], label)
    return clip(loss - SLACK, 0, limit(len(counts)))


def tally(own: Sequence[int], baseline: Sequence[int]) -> list[int]:
    """[baseline, gained, lost, squares]."""
    gains = [round_shift(b - o, 8) for o, b in zip(own, baseline, strict=True)]
    gained, lost = sum(max(d, 0) for d in gains), sum(max(-d, 0) for d in gains)
    return [sum(baseline), gained, lost, sum(d * d for d in gains)]


def witness_side(sealed: Sequence[tuple[bytes, bool]], standing: Sequence[bytes]) -> set[bytes]:
    """`sealed` are pairs of witness and old_only."""
    full = {witness for witness, old_only in sealed if not old_only}
    return full & set(standing) or full


def group_of(
    owner: bytes, rows: int, side: set[bytes], standing: Sequence[bytes], opened: Sequence[bytes], least: int
) -> int:
    """The group of an owner's part of so many rows; `opened` are the owners of all unseen parts."""
    if owner not in side:
        return 0
    theirs = rows * sum(each in side for each in opened)
    return int(bool(side & set(standing)) or theirs >= least)


@dataclass
class Row:
    """One unseen row, with what both networks make of it."""

    label: int
    base: int
    """Loss under version t with its own classes."""
    own: int
    base_right: bool
    own_right: bool


def group_score(rows: Sequence[Row], kind: int, counts: Sequence[int], old: int, *, train: bool) -> Wire:
    """A GroupScore as on the wire."""
    own = [row.own for row in rows]
    lost = sum(row.label < old and row.base_right and not row.own_right for row in rows)
    growth = tally(own, [null_growth(counts, old, row.label, row.base) for row in rows])
    by_class = tally(own, [frequencies(kind, counts, row.label) for row in rows]) if train else [0] * 4
    return [len(rows), sum(own), lost, growth, by_class]


def counted(group: Wire, *, train: bool) -> Wire:
    """The tally against the baseline that counts."""
    growth, by_class = group[3], group[4]
    return by_class if train and by_class[0] < growth[0] else growth


def proves(found: Sequence[int], z_squared: int) -> bool:
    _, gained, lost, squares = found
    return gained > lost and (gained - lost) ** 2 >= z_squared * squares


def share(groups: Wire, *, train: bool) -> Share:
    """Loss and baseline of the group where the fraction is largest."""
    found = [(group[1], counted(group, train=train)[0]) for group in groups if group[0]]
    best = found[0]
    for loss, baseline in found[1:]:
        if loss * best[1] > best[0] * baseline:
            best = (loss, baseline)
    return best


def chosen(witnesses: Sequence[tuple[bytes, bool, bool, bool]], side: set[bytes]) -> tuple[bool, bool]:
    """Whether the opener chose each group; `witnesses` are author, old_only, named_by_opener, opened."""
    others = [named for _, old_only, named, opened in witnesses if old_only and opened]
    return all(others), any(named for author, _, named, _ in witnesses if author in side)


def table(kind: int, counts: Sequence[int], old: int, *, train: bool) -> list[int]:
    """What each class adds to a baseline, without version t's loss."""
    if train:
        return [frequencies(kind, counts, label) for label in range(len(counts))]
    rows, known = sum(counts), sum(counts[:old])
    return [surprise(rows, known if j < old else count) - SLACK for j, count in enumerate(counts)]


def beyond_the_mix(found: Wire, rows: int, advantage: int) -> Wire:
    baseline, gained, lost, squares = found
    return [baseline, gained, lost + max(0, -(-advantage // 2**8)) + rows, squares]


def advantage(kind: int, pooled: Sequence[int], own: Sequence[int], old: int, *, train: bool) -> int:
    """`a` of the text: by how much a baseline is lower that knows the group's own mix of classes."""
    shared, mine = (table(kind, counts, old, train=train) for counts in (pooled, own))
    return sum(count * (s - m) for count, s, m in zip(own, shared, mine, strict=True))


def informs(group: Wire, mix: int, z_squared: int, *, train: bool) -> bool:
    if not train:
        return proves(beyond_the_mix(group[3], group[0], mix), z_squared)
    return proves(group[3], z_squared) and proves(beyond_the_mix(group[4], group[0], mix), z_squared)


def behind(group: Wire, other: Wire, mix: int, z_squared: int, *, train: bool) -> bool:
    """Whether a group falls behind the other one, whose mix is given."""
    found, rows = counted(group, train=train), group[0]
    ahead, more = beyond_the_mix(counted(other, train=train), other[0], mix), other[0]
    gap = (ahead[1] - ahead[2]) * rows - (found[1] - found[2]) * more
    scatter = rows**2 * ahead[3] + more**2 * found[3]
    return not proves(found, z_squared) and gap > 0 and gap**2 >= z_squared * scatter


def refused(groups: Wire, mixes: Sequence[int], by: Sequence[bool], z_squared: int, *, train: bool) -> bool:
    """`mixes` are the advantages of both groups, `by` says which the opener chose."""
    return all(group[0] for group in groups) and any(
        by[place]
        and informs(groups[1 - place], mixes[1 - place], z_squared, train=train)
        and behind(groups[place], groups[1 - place], mixes[1 - place], z_squared, train=train)
        for place in (0, 1)
    )


def rungs(best: Sequence[tuple[bytes, Share] | None]) -> list[tuple[int, bytes, Share, Share]]:
    """Epoch, author, own share and the share before, of every rung."""
    lead, made = START, []
    for epoch, found in enumerate(best):
        if found is None:
            continue
        author, (loss, baseline) = found
        if 8 * loss * lead[1] <= 7 * lead[0] * baseline:
            made.append((epoch, author, (loss, baseline), lead))
            lead = (loss, baseline)
    return made


def half_weights(alone: Sequence[Share | None]) -> list[int]:
    """The weights of the halves of a union; None stands for the share of a half that proves nothing."""
    return [0 if own is None else max(0, removed(10**6, own, START)) for own in alone]


def divided(amount: int, weights: Sequence[int]) -> list[int]:
    """What the halves of a union get of an amount."""
    first = amount * weights[0] // sum(weights)
    return [first, amount - first]


def removed(amount: int, own: Share, before: Share) -> int:
    (a, b), (c, d) = before, own
    return amount * (a * d - c * b) // (b * d)


def entry_bar(counts: Sequence[int], old: int, base: int, promised: int, kind: int, *, train: bool) -> int:
    """The bar of an update on the validation parts, whose old rows lose `base` under version t."""
    if train:
        by_class = [count * frequencies(kind, counts, label) for label, count in enumerate(counts) if count]
        return min(base, sum(by_class))
    mine = sum(counts[:old])
    known = mine + promised
    rows = known + sum(counts[old:])
    new = sum(count * (surprise(rows, count) - SLACK) for count in counts[old:])
    return max(0, base + mine * (surprise(rows, known) - SLACK) + new)


def threshold(ppm: int, rows: int, classes: int) -> int:
    return rows * ppm * ln_q24(classes) // 10**6


def lost_ppm(losable: Sequence[int], lost: Sequence[int]) -> int:
    """What a growth adds to Model.lost_ppm, by group."""
    return max(-(-(10**6) * gone // rows) if rows else 0 for rows, gone in zip(losable, lost, strict=True))


@dataclass
class Gate:
    """What the table of reasons speaks of, all of it in numbers."""

    epsilon: int
    delta: int
    threshold: int
    min_old_rows: int
    old_rows: int
    """Unseen rows of old classes."""
    losable: tuple[int, int]
    """Those of them that version t has right, by group."""
    known: int
    """What version t loses on them."""
    retention_rows: int
    counts: Sequence[int]
    old: int
    """Number of old classes; the others are new."""


def against_a_growth(
    gate: Gate, groups: Wire, old_loss: int, forgotten: Sequence[tuple[int, int]], retention_forgotten: int
) -> list[str]:
    """The reasons of the table that concern GROW, in its order; `forgotten` are pairs of class and rows."""
    rows, found = gate.old_rows, []
    if rows < gate.min_old_rows:
        found.append("too_few_old_rows")
    lost = [group[2] for group in groups]
    single = [gate.epsilon * r // 10**6 + isqrt(4 * gate.epsilon * r // 10**6) for r in gate.losable]
    pooled = gate.epsilon * sum(gate.losable) // 10**6
    if sum(lost) > pooled or lost[0] > single[0] or lost[1] > single[1]:
        found.append("forgets_old_rows")
    if retention_forgotten > gate.epsilon * gate.retention_rows // 10**6:
        found.append("forgets_retention_rows")
    if any(gate.counts[label] >= 8 and 2 * gone > gate.counts[label] for label, gone in forgotten):
        found.append("forgets_a_class")
    b = max(gate.known, threshold(gate.threshold, rows, gate.old))
    grown = max(0, surprise(sum(gate.counts), sum(gate.counts[: gate.old])) - SLACK)
    if old_loss > b + gate.delta * b // 10**6 + rows * grown:
        found.append("old_loss_rises")
    classes = len(gate.counts)
    everything = sum(group[1] for group in groups)
    if classes > gate.old and everything > threshold(gate.threshold, sum(gate.counts), classes):
        found.append("above_threshold")
    return found
