"""The candidates of a round: on what they are scored, and what the scores say. Changes no coins.

Every candidate is a record of its own, and nothing iterates over candidates. Anyone may pay for scoring one
of them on any of the parts of `parts_to_score`; what came of it is added up in the candidate's record.

The unseen rows belong to groups of owners. The opener and the witnesses of old classes are one group, because
the opener can know rows of all classes and such a witness cannot judge new ones. All other witnesses are the
second group, if they opened at least `min_witness_rows` rows together; if not, they belong to the first. Of a
model with standing witnesses, these alone are the second group, whatever they opened: an opener cannot thin
them out. So who knows the rows of one side by heart gains nothing while the other side is there.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from engram.nn.data import Labels
from engram.nn.fixed import Int64Array
from engram.nn.loss import RowScores
from engram.primitives.types import Address
from engram.statemachine.content import release
from engram.statemachine.context import BlockContext
from engram.statemachine.records import Model, RetentionPart
from engram.statemachine.rounds.judging import (
    LEAST_ROWS_OF_A_CLASS,
    PPM,
    add_tallies,
    beyond_the_mix,
    falls_behind,
    frequency_table,
    group_forgets,
    lower_baseline,
    may_forget,
    mix_advantage,
    null_growth_losses,
    null_growth_table,
    proves_gain,
    tally,
    threshold_loss,
    worst_share,
)
from engram.statemachine.rounds.records import (
    Candidate,
    Claim,
    ClaimStatus,
    ClassRows,
    EpochBest,
    GroupScore,
    OpenedPart,
    Round,
    RoundKind,
    Tally,
)
from engram.statemachine.rounds.update import update_tensors
from engram.statemachine.rules import Rules
from engram.statemachine.state import State


class OwnerGroup(IntEnum):
    """The groups of owners, by their place in `Candidate.groups`."""

    OPENER = 0
    WITNESSES = 1


@dataclass(frozen=True)
class ScoredRows:
    """What scoring a candidate on one part has computed, row by row."""

    labels: Labels
    base: RowScores
    """Version t, with its own classes only."""
    own: RowScores
    """The candidate, with all classes of the round."""


def find_candidate(state: State, round_: Round, epoch: int, author: Address) -> Candidate:
    """The candidate of this author and epoch. Raises `MissingRecord`."""
    return state.get(Candidate, round_.id, bytes([epoch]), author)


def parts_to_score(round_: Round, model: Model) -> tuple[OpenedPart | RetentionPart, ...]:
    """The parts on which a candidate must be scored; their numbers count from 0.

    First the unseen parts in the order in which they opened, then in GROW the retention parts of the model.
    """
    retention = model.retention if round_.terms.kind == RoundKind.GROW else ()
    return (*round_.unseen, *retention)


def is_scored(candidate: Candidate, number: int) -> bool:
    """Whether the candidate has been scored on the part with this number."""
    place = number // 8
    return place < len(candidate.scored) and bool(candidate.scored[place] >> number % 8 & 1)


def is_complete(round_: Round, model: Model, candidate: Candidate) -> bool:
    """Whether the candidate has been scored on every part; scores that were claimed have to be confirmed."""
    return is_final(candidate) and is_scored_on_all(round_, model, candidate)


def is_scored_on_all(round_: Round, model: Model, candidate: Candidate) -> bool:
    """Whether there are scores for every part, computed by every node or claimed."""
    return all(is_scored(candidate, number) for number in range(len(parts_to_score(round_, model))))


def is_final(candidate: Candidate) -> bool:
    """Whether every node has computed the scores that the candidate has, or they are confirmed."""
    return candidate.claim is None or candidate.claim.status == ClaimStatus.CONFIRMED


def is_refuted(candidate: Candidate) -> bool:
    """Whether the author has claimed scores that are not those of the update."""
    return candidate.claim is not None and candidate.claim.status == ClaimStatus.REFUTED


def group_of(rules: Rules, round_: Round, part: OpenedPart) -> OwnerGroup:
    """The group to which an unseen part belongs.

    Rows of standing witnesses are always a group of their own; those of others are if there are enough.
    """
    side = round_.witness_side
    opened = sum(other.owner in side for other in round_.unseen) * round_.terms.rows
    enough = opened >= rules.min_witness_rows or any(name.address in side for name in round_.standing)
    return OwnerGroup(part.owner in side and enough)


def with_unseen(
    rules: Rules, round_: Round, model: Model, candidate: Candidate, number: int, found: ScoredRows
) -> Candidate:
    """The candidate with its scores on the unseen part of this number added."""
    part = round_.unseen[number]
    old = found.labels < round_.old_classes
    own = found.own.losses.astype(np.int64)
    forgotten = old & found.base.right & ~found.own.right
    group = group_of(rules, round_, part)
    mine = GroupScore(
        rows=len(found.labels),
        loss=int(np.sum(own)),
        forgotten=int(np.count_nonzero(forgotten)),
        growth=tally(own, _growth_baseline(round_, found)),
        frequencies=_against_frequencies(round_, model, found.labels, own),
    )
    groups = list(candidate.groups)
    groups[group] = _added(groups[group], mine)
    return replace(
        candidate,
        claim=candidate.claim and _with_old_rows(candidate.claim, group, found, old),
        scored=_with_bit(candidate.scored, number),
        groups=tuple(groups),
        correct=candidate.correct + int(np.count_nonzero(found.own.right)),
        new_correct=candidate.new_correct + int(np.count_nonzero(found.own.right & ~old)),
        old_loss=candidate.old_loss + int(np.sum(own[old])),
        forgotten=_with_classes(candidate.forgotten, found.labels[forgotten]),
    )


def with_retention(candidate: Candidate, number: int, found: ScoredRows) -> Candidate:
    """The candidate with what it has forgotten of a retention part added."""
    forgotten = int(np.count_nonzero(found.base.right & ~found.own.right))
    return replace(
        candidate,
        scored=_with_bit(candidate.scored, number),
        retention_forgotten=candidate.retention_forgotten + forgotten,
    )


def unseen_loss(candidate: Candidate) -> int:
    """The candidate's clipped loss on the unseen parts on which it has been scored."""
    return sum(group.loss for group in candidate.groups)


def best_of(candidate: Candidate, round_: Round) -> EpochBest:
    """The candidate's share: the largest of its groups, where it removed the least."""
    loss, baseline = worst_share(
        [(group.loss, _counted(round_, group).baseline) for group in candidate.groups if group.rows]
    )
    return EpochBest(candidate.author, loss, baseline, candidate.committed)


def is_below_a_baseline(round_: Round, candidate: Candidate) -> bool:
    """Whether the candidate has less loss than the baseline in any group."""
    return any(group.loss < _counted(round_, group).baseline for group in candidate.groups)


def proves_any_gain(round_: Round, candidate: Candidate) -> bool:
    """Whether the candidate proves a gain in any group."""
    z_squared = round_.terms.z_squared
    return any(proves_gain(_counted(round_, group), z_squared) for group in candidate.groups)


def is_refused(round_: Round, model: Model, candidate: Candidate) -> bool:
    """Whether a candidate informs on one side's rows, and rows of a side that the opener chose fall behind.

    The opener chose the own rows, and witnesses by name. Such rows may have been made to refuse: a few wrong
    labels are enough to hide a gain. But the two sides may hold other mixes of classes, and a network that
    ignores its input can fit the one of them: what the mix alone explains is no gain here.
    """
    if not all(group.rows for group in candidate.groups):
        return False
    chosen = (
        all(witness.named_by_opener for witness in round_.witnesses if witness.opened and witness.old_only),
        any(witness.named_by_opener for witness in round_.witnesses if witness.author in round_.witness_side),
    )
    return any(
        is_chosen
        and _informs(round_, model, candidate, 1 - place)
        and _falls_behind(round_, model, candidate, place)
        for place, is_chosen in enumerate(chosen)
    )


def reasons_against(rules: Rules, round_: Round, model: Model, candidate: Candidate) -> tuple[str, ...]:
    """Why a candidate that was scored on every part cannot take the lead; nothing if it can."""
    found = []
    groups = [group for group in candidate.groups if group.rows]
    if not all(proves_gain(_counted(round_, group), round_.terms.z_squared) for group in groups):
        found.append("gain_not_proved")
    if round_.terms.kind == RoundKind.GROW:
        found += _reasons_of_the_gate(rules, round_, model, candidate)
    return tuple(found)


def release_tensors(state: State, ctx: BlockContext, candidate: Candidate) -> None:
    """Ends the references of the candidate's record to the tensors that it names."""
    for tensor in update_tensors(candidate.update):
        release(state, ctx, tensor)


def validation_bar(round_: Round, model: Model, claimed: int | None = None) -> int:
    """The loss on the validation parts below which an update becomes a candidate.

    `claimed` is what version t loses there on old rows, where the author claims it; else every node knows.

    It is that of the baseline, of which the counts are those of the validation parts with the old rows added
    that the terms promise. It is known before the first update, so sums take the place of rows here: nothing
    is clipped, and the bar is never below the clipped one.
    """
    counts, old_classes = list(round_.validation_counts), round_.old_classes
    base = sum(part.old_loss for part in round_.validation_opened) if claimed is None else claimed
    old = sum(counts[:old_classes])
    if round_.terms.kind == RoundKind.TRAIN:
        by_class = frequency_table(model.loss_function, counts)
        return min(base, _weighed(counts, by_class))
    table = null_growth_table(old_classes, [counts[0] + promised_old_rows(round_), *counts[1:]])
    return max(0, base + old * table[0] + _weighed(counts[old_classes:], table[old_classes:]))


def promised_old_rows(round_: Round) -> int:
    """The fewest unseen rows of old classes, if the opener and every witness open their parts."""
    terms = round_.terms
    return terms.sealed * terms.old_rows + sum(
        terms.rows if witness.old_only else terms.old_rows for witness in round_.witnesses
    )


def forgotten_ppm(rules: Rules, round_: Round, candidate: Candidate) -> int:
    """The largest part of what a group could lose of old rows that a growth has lost: millionths, rounded up.

    A group with many rows cannot hide what another has lost.
    """
    losable = losable_rows(rules, round_, candidate)
    return max(
        (
            -(-PPM * group.forgotten // rows)
            for group, rows in zip(candidate.groups, losable, strict=True)
            if rows
        ),
        default=0,
    )


def losable_rows(rules: Rules, round_: Round, candidate: Candidate) -> tuple[int, int]:
    """The unseen old rows of each group that version t has right: only these can be lost."""
    if candidate.claim is not None:
        own, theirs = candidate.claim.losable
        return own, theirs
    found = [0, 0]
    for part in round_.unseen:
        found[group_of(rules, round_, part)] += part.old_right
    return found[0], found[1]


def _weighed(counts: Sequence[int], losses: Sequence[int]) -> int:
    """The loss of so many rows of each class."""
    return sum(count * loss for count, loss in zip(counts, losses, strict=True))


def _reasons_of_the_gate(rules: Rules, round_: Round, model: Model, candidate: Candidate) -> list[str]:
    """What the gate holds against a growth; `docs/protocol/rounds.md` has the rules."""
    found, epsilon = [], model.retention_epsilon_ppm
    old = sum(part.old for part in round_.unseen)
    if old < rules.min_old_rows:
        found.append("too_few_old_rows")
    losable = losable_rows(rules, round_, candidate)
    if sum(group.forgotten for group in candidate.groups) > may_forget(epsilon, sum(losable)) or any(
        group_forgets(epsilon, rows, group.forgotten)
        for group, rows in zip(candidate.groups, losable, strict=True)
    ):
        found.append("forgets_old_rows")
    if candidate.retention_forgotten > may_forget(epsilon, sum(part.rows for part in model.retention)):
        found.append("forgets_retention_rows")
    counts = round_.unseen_counts
    if any(
        counts[gone.label] >= LEAST_ROWS_OF_A_CLASS and 2 * gone.rows > counts[gone.label]
        for gone in candidate.forgotten
    ):
        found.append("forgets_a_class")
    claim = candidate.claim
    known = sum(part.old_loss for part in round_.unseen) if claim is None else claim.old_loss
    bar = max(known, threshold_loss(model.threshold_ppm, round_.old_classes, old))
    allowance = old * max(0, null_growth_table(round_.old_classes, counts)[0])
    if candidate.old_loss > bar + model.retention_delta_ppm * bar // PPM + allowance:
        found.append("old_loss_rises")
    rows = sum(counts)
    if round_.terms.new_classes and unseen_loss(candidate) > threshold_loss(
        model.threshold_ppm, round_.classes, rows
    ):
        found.append("above_threshold")
    return found


def _informs(round_: Round, model: Model, candidate: Candidate, place: int) -> bool:
    """Whether a candidate proves a gain in a group against baselines that know the group's own classes."""
    group, z_squared = candidate.groups[place], round_.terms.z_squared
    advantage = _mix_advantage(round_, model, place)
    if round_.terms.kind == RoundKind.GROW:
        return proves_gain(beyond_the_mix(group.growth, advantage, group.rows), z_squared)
    by_class = beyond_the_mix(group.frequencies, advantage, group.rows)
    return proves_gain(group.growth, z_squared) and proves_gain(by_class, z_squared)


def _falls_behind(round_: Round, model: Model, candidate: Candidate, place: int) -> bool:
    """Whether a group falls behind the other one, of which the mix of classes is taken off."""
    group, other = candidate.groups[place], candidate.groups[1 - place]
    ahead = beyond_the_mix(_counted(round_, other), _mix_advantage(round_, model, 1 - place), other.rows)
    return falls_behind(_counted(round_, group), group.rows, ahead, other.rows, round_.terms.z_squared)


def _mix_advantage(round_: Round, model: Model, place: int) -> int:
    """What a baseline gains on a group's rows that knows how many of them have each class."""
    pooled, theirs = round_.unseen_counts, round_.witness_counts
    counts = theirs if place == OwnerGroup.WITNESSES else tuple(map(operator.sub, pooled, theirs))
    if round_.terms.kind == RoundKind.TRAIN:
        tables = [frequency_table(model.loss_function, each) for each in (pooled, counts)]
    else:
        tables = [null_growth_table(round_.old_classes, each) for each in (pooled, counts)]
    return mix_advantage(tables[0], tables[1], counts)


def _counted(round_: Round, group: GroupScore) -> Tally:
    return lower_baseline(group, train=round_.terms.kind == RoundKind.TRAIN)


def _growth_baseline(round_: Round, found: ScoredRows) -> Int64Array:
    base = found.base.losses.astype(np.int64)
    return null_growth_losses(base, found.labels, round_.old_classes, round_.unseen_counts)


def _against_frequencies(round_: Round, model: Model, labels: Labels, own: Int64Array) -> Tally:
    if round_.terms.kind == RoundKind.GROW:
        return Tally()
    table = np.array(frequency_table(model.loss_function, round_.unseen_counts), np.int64)
    return tally(own, table[labels])


def _added(score: GroupScore, more: GroupScore) -> GroupScore:
    return GroupScore(
        score.rows + more.rows,
        score.loss + more.loss,
        score.forgotten + more.forgotten,
        add_tallies(score.growth, more.growth),
        add_tallies(score.frequencies, more.frequencies),
    )


def _with_old_rows(claim: Claim, group: int, found: ScoredRows, old: npt.NDArray[np.bool_]) -> Claim:
    """The claim with what it says of version t on the old rows of one more unseen part."""
    losable = list(claim.losable)
    losable[group] += int(np.count_nonzero(old & found.base.right))
    old_loss = claim.old_loss + int(np.sum(found.base.losses[old], dtype=np.int64))
    return replace(claim, losable=(losable[0], losable[1]), old_loss=old_loss)


def _with_bit(scored: bytes, number: int) -> bytes:
    bits = int.from_bytes(scored, "little") | 1 << number
    return bits.to_bytes(-(-bits.bit_length() // 8), "little")


def _with_classes(known: Sequence[ClassRows], labels: Labels) -> tuple[ClassRows, ...]:
    rows = {gone.label: gone.rows for gone in known}
    for label in labels.tolist():
        rows[label] = rows.get(label, 0) + 1
    return tuple(ClassRows(label, rows[label]) for label in sorted(rows))
