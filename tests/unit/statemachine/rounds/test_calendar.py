"""The calendar: spans without holes, bounds, and which default is due when."""

from dataclasses import replace

import pytest

from engram.statemachine.rounds.calendar import FOREVER, Calendar, DueStep, Phase, check_calendar
from engram.statemachine.rounds.errors import TermsInvalid
from engram.statemachine.rounds.records import (
    CandidateId,
    OpenedPart,
    PartScore,
    Round,
    RoundStatus,
    SealedByOther,
)
from engram.statemachine.rules import Rules
from tests.support.rounds import SMALL_RULES, make_part, train_terms

PARTS = [make_part(index, parts=4) for index in range(4)]
TERMS = train_terms(
    PARTS,
    epochs=2,
    open_window=3,
    reveal_window=4,
    commit_window=5,
    update_window=6,
    audit_window=7,
    retention_window=8,
    gap=2,
)
ROUND = Round(bytes(32), bytes(32), bytes(20), TERMS, opened=100, version=0, base=bytes(32), classes=2)
OPENED = OpenedPart(bytes(32), bytes(20), PartScore(1, 1), True)
NAME = CandidateId(0, bytes(20))


def due(round_: Round, height: int) -> DueStep | None:
    return Calendar.of(round_, SMALL_RULES).due(round_, height)


def test_the_calendar_of_a_round() -> None:
    """Written out by hand; DRAW takes the two blocks of the rules."""
    spans = [
        (span.phase.name, span.epoch, span.first, span.last)
        for span in Calendar.opened_at(100, TERMS, SMALL_RULES).spans
    ]
    assert spans == [
        ("OPEN", 0, 101, 103),
        ("DRAW", 0, 104, 105),
        ("WAIT", 0, 106, 107),
        ("REVEAL", 0, 108, 111),
        ("COMMIT", 0, 112, 116),
        ("WAIT", 0, 117, 118),
        ("UPDATE", 0, 119, 124),
        ("COMMIT", 1, 125, 129),
        ("WAIT", 1, 130, 131),
        ("UPDATE", 1, 132, 137),
        ("WAIT", 0, 138, 139),
        ("AUDIT", 0, 140, 146),
        ("RETENTION", 0, 147, 154),
        ("CLOSED", 0, 155, FOREVER),
    ]


def test_phases_at_their_edges() -> None:
    at = {
        height: Calendar.of(ROUND, SMALL_RULES).at(height).phase.name
        for height in (100, 101, 103, 104, 108, 111, 112)
    }
    assert at == {
        100: "OPEN",
        101: "OPEN",
        103: "OPEN",
        104: "DRAW",
        108: "REVEAL",
        111: "REVEAL",
        112: "COMMIT",
    }
    assert not Calendar.of(ROUND, SMALL_RULES).is_over(137, Phase.UPDATE, 1)
    assert Calendar.of(ROUND, SMALL_RULES).is_over(138, Phase.UPDATE, 1)
    assert Calendar.of(ROUND, SMALL_RULES).at(10**9).phase is Phase.CLOSED


def test_a_phase_of_no_length_is_over_with_the_one_before() -> None:
    train = replace(ROUND, terms=replace(TERMS, retention_window=0))
    empty = Calendar.of(train, SMALL_RULES).span(Phase.RETENTION)
    assert (empty.first, empty.last) == (147, 146)
    assert Calendar.of(train, SMALL_RULES).at(147).phase is Phase.CLOSED
    assert Calendar.of(train, SMALL_RULES).is_over(147, Phase.RETENTION)
    assert not Calendar.of(train, SMALL_RULES).is_over(146, Phase.RETENTION)


def test_the_blocks_of_the_draw() -> None:
    assert list(Calendar.of(ROUND, SMALL_RULES).draw_ticks) == [104, 105]


def test_without_the_validation_parts_only_the_end_of_reveal_matters() -> None:
    assert due(ROUND, 111) is None
    assert due(ROUND, 112) is DueStep.UNREVEALED
    assert due(ROUND, 10**6) is DueStep.UNREVEALED


def test_due_steps_come_one_after_the_other() -> None:
    round_ = replace(ROUND, validation_opened=(OPENED,), candidates=(NAME,))
    assert [due(round_, height) for height in (112, 124, 125)] == [
        None,
        None,
        DueStep.EPOCH_END,
    ]
    round_ = replace(round_, settled_epochs=1)
    assert [due(round_, height) for height in (125, 137, 138)] == [
        None,
        None,
        DueStep.EPOCH_END,
    ]
    round_ = replace(round_, settled_epochs=2, third_party=(SealedByOther(bytes(20), b"\1" * 32, 5),))
    assert [due(round_, height) for height in (146, 147)] == [
        None,
        DueStep.UNSEALED,
    ]
    round_ = replace(round_, third_party=())
    assert due(round_, 147) is DueStep.WITHHELD
    round_ = replace(round_, sealed_drawn=(bytes(32),), sealed_opened=(OPENED,))
    assert [due(round_, height) for height in (147, 154, 155)] == [
        None,
        None,
        DueStep.DECISION,
    ]


def test_a_part_of_a_third_party_does_not_stand_for_the_openers() -> None:
    round_ = replace(
        ROUND,
        validation_opened=(OPENED,),
        settled_epochs=2,
        candidates=(NAME,),
        sealed_drawn=(b"\2" * 32,),
        sealed_opened=(OPENED,),
    )
    assert due(round_, 147) is DueStep.WITHHELD


def test_without_candidates_nothing_has_to_be_opened() -> None:
    round_ = replace(ROUND, validation_opened=(OPENED,), settled_epochs=2)
    assert [due(round_, height) for height in (147, 154, 155)] == [
        None,
        None,
        DueStep.DECISION,
    ]


@pytest.mark.parametrize("status", [RoundStatus.DECIDED, RoundStatus.KEPT, RoundStatus.ABORTED])
def test_nothing_is_due_of_a_round_that_has_ended(status: RoundStatus) -> None:
    assert due(replace(ROUND, status=int(status)), 10**6) is None


@pytest.mark.parametrize(
    ("rules", "fits"),
    [
        (Rules(min_window_ticks=1, min_gap_ticks=0, draw_ticks=2, tick_ring=8), True),
        (Rules(min_window_ticks=1, min_gap_ticks=0, draw_ticks=2, tick_ring=7), False),
        (Rules(min_window_ticks=1, min_gap_ticks=0, draw_ticks=2, max_round_ticks=54), True),
        (Rules(min_window_ticks=1, min_gap_ticks=0, draw_ticks=2, max_round_ticks=53), False),
        (Rules(min_window_ticks=4, min_gap_ticks=0), False),
        (Rules(min_window_ticks=1, min_gap_ticks=3), False),
        (Rules(min_window_ticks=1, min_gap_ticks=0, max_window_ticks=7), False),
    ],
)
def test_a_calendar_within_the_rules(rules: Rules, fits: bool) -> None:
    """2 + 2 + 4 blocks from the first of the draw to the last of REVEAL; 54 blocks in all."""
    if fits:
        check_calendar(TERMS, rules)
    else:
        with pytest.raises(TermsInvalid):
            check_calendar(TERMS, rules)
