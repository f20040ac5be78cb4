"""On what candidates are scored, how scores add up, and each reason that keeps one from the lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from engram.nn.fixed import ln_q24
from engram.nn.loss import RowScores
from engram.statemachine.records import Model, RetentionPart
from engram.statemachine.rounds.candidates import (
    OwnerGroup,
    ScoredRows,
    best_of,
    forgotten_ppm,
    group_of,
    is_below_a_baseline,
    is_complete,
    is_refused,
    is_scored,
    parts_to_score,
    promised_old_rows,
    reasons_against,
    unseen_loss,
    validation_bar,
    with_retention,
    with_unseen,
)
from engram.statemachine.rounds.judging import (
    frequency_table,
    mix_advantage,
    null_growth_table,
    threshold_loss,
)
from engram.statemachine.rounds.records import (
    Candidate,
    ClassRows,
    GroupScore,
    OpenedPart,
    Round,
    RoundKind,
    RoundWitness,
    Tally,
)
from tests.support.round_samples import (
    MODEL,
    WITNESS_NAME,
    a_candidate,
    a_group,
    a_model,
    a_round,
    a_witness,
    opened,
)
from tests.support.rounds import SMALL_RULES

KEPT = RetentionPart(b"\x11" * 32, 100, 2)
RULES = SMALL_RULES


def scores(losses: Sequence[int], right: Sequence[bool]) -> RowScores:
    return RowScores(np.array(losses, np.int32), np.array(right, np.bool_))


def a_growth(*unseen: OpenedPart, counts: tuple[int, ...] = (50, 50, 100), **changes: object) -> Round:
    """A GROW round with 100 unseen old rows, on which version t loses a million units."""
    parts = unseen or (opened(1_000_000, old=100),)
    round_ = a_round(kind=RoundKind.GROW, unseen=parts, counts=counts)
    return replace(round_, **changes)  # type: ignore[arg-type]  # a test's own fields


def against(candidate: Candidate, round_: Round | None = None, model: Model | None = None) -> tuple[str, ...]:
    """The reasons, of a growth that no part of the gate holds back if nothing else is given."""
    return reasons_against(RULES, round_ or a_growth(), model or a_model(KEPT), candidate)


def good(**changes: object) -> Candidate:
    """A candidate of GROW with a proved gain that has forgotten nothing."""
    return replace(a_candidate(1, 0, a_group(900, 1_000, rows=200)), **changes)  # type: ignore[arg-type]  # own fields


def test_in_grow_the_retention_parts_come_after_the_unseen_ones() -> None:
    first, second = opened(1, name=1), opened(1, name=2)
    train, grow = (a_round(unseen=(first, second), kind=kind) for kind in RoundKind)
    model = a_model(KEPT)
    assert parts_to_score(train, model) == (first, second)
    assert parts_to_score(grow, model) == (first, second, KEPT)


def test_a_candidate_is_complete_once_every_part_has_its_bit() -> None:
    round_, model = a_round(unseen=[opened(1, name=n) for n in range(9)], kind=RoundKind.GROW), a_model(KEPT)
    candidate = a_candidate(1, 0, a_group(1, 2), scored=b"\xff\x01")
    assert [is_scored(candidate, number) for number in (0, 7, 8, 9, 16)] == [True, True, True, False, False]
    assert not is_complete(round_, model, candidate)
    assert is_complete(round_, model, replace(candidate, scored=b"\xff\x03"))


def test_the_opener_and_witnesses_of_old_classes_are_one_group() -> None:
    mine, theirs = opened(1), opened(1, owner=WITNESS_NAME, name=1)
    full = a_round(unseen=(theirs, mine), witnesses=[a_witness()])
    limited = replace(full, witnesses=(a_witness(old_only=True),))
    assert [group_of(RULES, full, part) for part in (mine, theirs)] == [
        OwnerGroup.OPENER,
        OwnerGroup.WITNESSES,
    ]
    assert [group_of(RULES, limited, part) for part in (mine, theirs)] == [
        OwnerGroup.OPENER,
        OwnerGroup.OPENER,
    ]


def test_witnesses_with_few_rows_join_the_openers_group() -> None:
    theirs = opened(1, owner=WITNESS_NAME)
    round_ = a_round(unseen=(theirs,), witnesses=[a_witness()])
    assert group_of(replace(RULES, min_witness_rows=8), round_, theirs) is OwnerGroup.WITNESSES
    assert group_of(replace(RULES, min_witness_rows=9), round_, theirs) is OwnerGroup.OPENER


def test_the_rows_of_a_part_are_added_to_their_group() -> None:
    """Rows of classes 0, 1 and 2; the last is new, and the candidate loses the first."""
    mine, theirs = opened(1), opened(1, owner=WITNESS_NAME, name=1)
    witnesses = [a_witness()]
    round_ = a_round(kind=RoundKind.GROW, unseen=(theirs, mine), counts=(2, 2, 2), witnesses=witnesses)
    labels = np.array([0, 1, 2], np.uint16)
    base = scores([100, 200, 0], [True, False, False])
    found = ScoredRows(labels, base, scores([3_000, 400, 50], [False, True, True]))
    candidate = with_unseen(RULES, round_, MODEL, a_candidate(scored=b""), 0, found)
    table = null_growth_table(2, (2, 2, 2))
    group = candidate.groups[OwnerGroup.WITNESSES]
    assert candidate.groups[OwnerGroup.OPENER] == GroupScore(), "it was the part of a witness"
    assert (group.rows, group.loss, group.forgotten) == (3, 3_450, 1)
    assert group.growth.baseline == 2 * table[0] + 300 + table[2]
    assert group.frequencies.baseline == 0, "frequencies count in TRAIN only"
    assert (candidate.correct, candidate.new_correct, candidate.old_loss) == (2, 1, 3_400)
    assert candidate.forgotten == (ClassRows(0, 1),)
    assert (candidate.scored, unseen_loss(candidate)) == (b"\1", 3_450)

    again = with_unseen(RULES, round_, MODEL, candidate, 1, found)
    assert again.groups[OwnerGroup.OPENER] == again.groups[OwnerGroup.WITNESSES] == group
    assert (again.scored, again.forgotten, again.correct) == (b"\3", (ClassRows(0, 2),), 4)


def test_in_train_every_class_is_old_and_frequencies_are_a_baseline_too() -> None:
    round_ = a_round(unseen=(opened(1),), counts=(3, 1))
    labels = np.array([0, 0, 0, 1], np.uint16)
    found = ScoredRows(labels, scores([9] * 4, [True] * 4), scores([5] * 4, [True] * 4))
    group = with_unseen(RULES, round_, MODEL, a_candidate(scored=b""), 0, found).groups[OwnerGroup.OPENER]
    table = frequency_table(MODEL.loss_function, (3, 1))
    assert group.frequencies.baseline == 3 * table[0] + table[1]
    assert group.growth.baseline == 4, "version t, lowered by the slack of the tables"


def test_of_a_retention_part_only_what_was_forgotten_counts() -> None:
    labels = np.array([0, 1, 1], np.uint16)
    found = ScoredRows(labels, scores([1] * 3, [True, True, False]), scores([9] * 3, [False, True, False]))
    candidate = with_retention(a_candidate(scored=b"\1"), 9, found)
    assert (candidate.scored, candidate.retention_forgotten) == (b"\1\2", 1)
    assert candidate.groups == a_candidate().groups


def test_the_share_is_that_of_the_group_in_which_it_removed_the_least() -> None:
    candidate = a_candidate(3, 0, a_group(1, 4), a_group(2, 4), committed=77)
    best = best_of(candidate, a_round(kind=RoundKind.GROW))
    assert (best.author, best.loss, best.baseline, best.committed) == (b"\3" * 20, 2, 4, 77)
    alone = a_candidate(3, 0, a_group(1, 4))
    assert best_of(alone, a_round(kind=RoundKind.GROW)).loss == 1, "a group without rows says nothing"


def test_a_candidate_without_any_gain_is_below_no_baseline() -> None:
    round_ = a_round(kind=RoundKind.GROW)
    assert is_below_a_baseline(round_, a_candidate(1, 0, a_group(5, 4), a_group(3, 4)))
    assert not is_below_a_baseline(round_, a_candidate(1, 0, a_group(5, 4), a_group(4, 4)))
    assert not is_below_a_baseline(round_, a_candidate()), "it was never scored"


def test_a_gain_must_be_proved_in_every_group() -> None:
    proved, doubted = a_group(1, 9), a_group(1, 9, gained=3, squares=3)
    assert against(a_candidate(1, 0, proved, proved), a_round()) == ()
    for groups in ((proved, doubted), (doubted, proved), (doubted,)):
        assert against(a_candidate(1, 0, *groups), a_round()) == ("gain_not_proved",)
    lenient = replace(a_round(), terms=replace(a_round().terms, z_squared=3))
    assert against(a_candidate(1, 0, doubted), lenient) == ()


def test_a_growth_that_gains_and_forgets_nothing_is_eligible() -> None:
    assert against(good()) == ()
    assert reasons_against(RULES, a_growth(), a_model(KEPT), good()) == ()


def test_nobody_can_judge_a_growth_by_too_few_old_rows() -> None:
    few = a_growth(opened(1_000_000, old=5), counts=(3, 2, 100))
    assert against(good(), few) == ("too_few_old_rows",)
    enough = a_growth(opened(1_000_000, old=6), counts=(3, 3, 100))
    assert against(good(), enough) == ()


def test_a_growth_may_forget_two_of_a_hundred_old_rows() -> None:
    def forgets(rows: int) -> Candidate:
        gone = (ClassRows(0, rows),)
        return replace(a_candidate(1, 0, a_group(9, 10, rows=200, forgotten=rows)), forgotten=gone)

    assert against(forgets(2)) == ()
    assert against(forgets(3)) == ("forgets_old_rows",)


def test_no_owner_may_be_forgotten_alone() -> None:
    """Of 400 old rows eight may go; of the 20 of a witness one, of the 380 of the opener twelve."""
    parts = opened(10**6, old=380), opened(1_000_000, old=20, owner=WITNESS_NAME, name=1)
    round_ = a_growth(*parts, counts=(200, 200, 100), witnesses=(a_witness(),))

    def forgets(mine: int, theirs: int) -> Candidate:
        groups = (a_group(9, 10, forgotten=mine), a_group(9, 10, forgotten=theirs))
        return a_candidate(1, 0, *groups)

    assert against(forgets(7, 1), round_) == ()
    assert against(forgets(5, 2), round_) == ("forgets_old_rows",)
    assert against(forgets(8, 1), round_) == ("forgets_old_rows",)


def test_a_growth_may_forget_two_of_a_hundred_retention_rows() -> None:
    assert against(good(retention_forgotten=2)) == ()
    assert against(good(retention_forgotten=3)) == ("forgets_retention_rows",)


def test_no_class_may_lose_more_than_half_of_its_rows() -> None:
    rare = a_growth(counts=(92, 8, 100))
    seldom = a_growth(counts=(93, 7, 100))
    tolerant = a_model(KEPT, epsilon=100_000)

    def forgets(rows: int) -> Candidate:
        groups = (a_group(9, 10, rows=200, forgotten=rows),)
        return replace(a_candidate(1, 0, *groups), forgotten=(ClassRows(1, rows),))

    assert against(forgets(4), rare, tolerant) == ()
    assert against(forgets(5), rare, tolerant) == ("forgets_a_class",)
    assert against(forgets(5), seldom, tolerant) == (), "seven rows of a class say too little"


@pytest.mark.parametrize("known", [1_000_000, 10**10], ids=["threshold", "version t"])
def test_the_loss_on_old_rows_may_rise_a_little(known: int) -> None:
    """The larger of version t's loss and the threshold's, a quarter more, and what the null growth adds."""
    model, round_ = a_model(KEPT), a_growth(opened(known, old=100))
    bar = max(known, threshold_loss(model.threshold_ppm, 2, 100))
    most = bar + bar // 4 + 100 * null_growth_table(2, (50, 50, 100))[0]
    assert against(good(old_loss=most), round_, model) == ()
    assert against(good(old_loss=most + 1), round_, model) == ("old_loss_rises",)
    strict = a_model(KEPT, delta=0)
    assert against(good(old_loss=most), round_, strict) == ("old_loss_rises",)


def test_a_model_never_ends_above_its_threshold() -> None:
    bar = 200 * ln_q24(3) // 2
    assert against(a_candidate(1, 0, a_group(bar, bar + 9))) == ()
    assert against(a_candidate(1, 0, a_group(bar + 1, bar + 9))) == ("above_threshold",)
    split = a_candidate(1, 0, a_group(bar, bar + 9), a_group(1, bar + 9))
    assert against(split) == ("above_threshold",), "the groups count together"
    capacity = a_growth()
    capacity = replace(capacity, terms=replace(capacity.terms, new_classes=0))
    assert against(split, capacity) == (), "growth of capacity alone may start above it"


def test_the_gate_does_not_hold_back_training() -> None:
    forgetful = replace(a_candidate(1, 0, a_group(2**40, 2**41, forgotten=8)), retention_forgotten=99)
    assert reasons_against(RULES, a_round(), a_model(KEPT), forgetful) == ()


def test_what_a_growth_has_lost_is_rounded_up() -> None:
    candidate = a_candidate(1, 0, a_group(1, 2, forgotten=2))
    assert forgotten_ppm(RULES, a_growth(opened(1, old=300)), candidate) == 6_667
    assert forgotten_ppm(RULES, a_growth(opened(1, old=0)), candidate) == 0


HARM = a_group(9, 10, gained=0, lost=100)
GAIN = a_group(9, 10)
DOUBT = a_group(9, 10, gained=1, squares=9)
"""Far behind a gain, though nothing is proved about it alone."""
SLIGHT = a_group(9, 10, gained=20, squares=10)
VAGUE = a_group(9, 10, gained=5, squares=40)
"""So much behind SLIGHT as chance may bring."""


@pytest.mark.parametrize(
    ("groups", "named_by_opener", "refused"),
    [
        ((HARM, GAIN), False, True),
        ((GAIN, HARM), True, True),
        ((GAIN, HARM), False, False),
        ((HARM, DOUBT), True, False),
        ((DOUBT, GAIN), True, True),
        ((GAIN, DOUBT), True, True),
        ((GAIN, DOUBT), False, False),
        ((VAGUE, SLIGHT), True, False),
        ((HARM, HARM), True, False),
        ((GAIN, GAIN), True, False),
        ((HARM,), True, False),
    ],
)
def test_rows_that_the_opener_chose_refuse_what_others_prove(
    groups: tuple[GroupScore, ...], named_by_opener: bool, refused: bool
) -> None:
    witness = a_witness(named_by_opener=named_by_opener)
    for kind, counts in ((RoundKind.GROW, (3, 3, 2)), (RoundKind.TRAIN, (4, 4))):
        round_ = a_round(kind=kind, witnesses=[witness], counts=tuple(2 * count for count in counts))
        round_ = replace(round_, witness_counts=counts)
        assert is_refused(round_, MODEL, a_candidate(1, 0, *groups)) is refused


@pytest.mark.parametrize("kind", list(RoundKind))
def test_what_the_mix_of_classes_explains_proves_no_gain_against_the_other_side(kind: RoundKind) -> None:
    """Each side has 16 rows: the opener's are mostly of the first classes, the witness's of the last."""
    grows = kind is RoundKind.GROW
    pooled, theirs = ((8, 8, 16), (1, 1, 14)) if grows else ((16, 16), (2, 14))
    round_ = replace(a_round(kind=kind, witnesses=[a_witness()], counts=pooled), witness_counts=theirs)
    tables = [
        null_growth_table(2, counts) if grows else frequency_table(MODEL.loss_function, counts)
        for counts in (pooled, theirs)
    ]
    explained = mix_advantage(tables[0], tables[1], theirs)
    assert explained > 0, "who knows the own mix of rows loses less on them"
    most = -(-explained // 256) + 16
    for gained, refused in ((most, False), (most + 2, True)):
        counted = Tally(9, gained, 0, 1)
        gain = replace(a_group(8, 10, rows=16, gained=gained), growth=counted, frequencies=counted)
        assert is_refused(round_, MODEL, a_candidate(1, 0, HARM, gain)) is refused


def test_witnesses_of_old_classes_stand_in_the_openers_group_and_refuse_nothing_themselves() -> None:
    round_ = a_round(kind=RoundKind.GROW, witnesses=[a_witness(old_only=True, named_by_opener=True)])
    assert not is_refused(round_, MODEL, a_candidate(1, 0, HARM)), "there is one group only"


def test_the_entry_bar_of_training_is_version_t_or_the_frequencies() -> None:
    """Frequencies of 4 and 4 lose ln 2 a row."""
    by_class = frequency_table(MODEL.loss_function, (4, 4))
    assert validation_bar(a_round(validation=100), MODEL) == 100
    assert validation_bar(a_round(validation=10**9), MODEL) == 4 * sum(by_class)


def test_the_entry_bar_of_growth_counts_the_promised_old_rows() -> None:
    """Three and three old rows and two new ones were shown, and six old ones are promised."""
    round_ = a_round(kind=RoundKind.GROW, validation=100)
    table = null_growth_table(2, (9, 3, 2))
    assert promised_old_rows(round_) == 6
    assert validation_bar(round_, MODEL) == 100 + 6 * table[0] + 2 * table[2]


@pytest.mark.parametrize(("old_only", "rows"), [(True, 8), (False, 6)])
def test_a_witness_promises_old_rows_too(old_only: bool, rows: int) -> None:
    witness: RoundWitness = a_witness(old_only=old_only, bond=1)
    assert promised_old_rows(a_round(kind=RoundKind.GROW, witnesses=[witness])) == 6 + rows
