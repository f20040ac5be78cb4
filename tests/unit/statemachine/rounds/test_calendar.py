"""The calendar: spans without holes, phases that end early, and which step is due when."""

from dataclasses import replace

import pytest

from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds.calendar import FOREVER, Calendar, DueStep, Phase, check_calendar
from engram.statemachine.rounds.errors import TermsInvalid
from engram.statemachine.rounds.records import EpochResult, Round, RoundStatus
from engram.statemachine.rules import Rules
from tests.support.round_samples import PARTS, WITNESS_NAME, a_round, a_witness, opened
from tests.support.rounds import SMALL_RULES, train_terms

TERMS = train_terms(
    PARTS,
    epochs=2,
    open_window=3,
    reveal_window=4,
    commit_window=5,
    update_window=6,
    witness_window=9,
    audit_window=7,
    score_window=8,
    gap=2,
)
ROUND = replace(a_round(epochs=2), terms=TERMS, opened=100, validation_opened=(), unseen=())
SHOWN = replace(ROUND, validation_opened=(opened(1, name=1),))
CONTESTED = replace(SHOWN, results=(EpochResult(b"\1" * 20), EpochResult()), sealed_drawn=(b"\2" * 32,))
OWING = a_witness(bond=5)
SILENT = replace(OWING, bond=0)
"""A witness who has lost the bond."""


def due(round_: Round, tick: int) -> DueStep | None:
    return Calendar.of(round_, SMALL_RULES).due(round_, tick)


def spans(round_: Round) -> list[tuple[str, int, int, int]]:
    found = Calendar.of(round_, SMALL_RULES).spans
    return [(span.phase.name, span.epoch, span.first, span.last) for span in found]


def test_the_calendar_of_a_round() -> None:
    """Written out by hand; DRAW takes the two ticks of the rules."""
    found = Calendar.opened_at(100, TERMS, SMALL_RULES).spans
    longest = [(span.phase.name, span.epoch, span.first, span.last) for span in found]
    assert longest == [
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
        ("AUDIT_WITNESSES", 0, 140, 148),
        ("AUDIT", 0, 149, 155),
        ("SCORE", 0, 156, 163),
        ("CLOSED", 0, 164, FOREVER),
    ]
    assert spans(replace(ROUND, witnesses=(OWING,))) == longest


def test_without_witnesses_the_opener_comes_at_once() -> None:
    assert spans(ROUND)[10:] == [
        ("WAIT", 0, 138, 139),
        ("AUDIT_WITNESSES", 0, 140, 139),
        ("AUDIT", 0, 140, 146),
        ("SCORE", 0, 147, 154),
        ("CLOSED", 0, 155, FOREVER),
    ]


def test_three_phases_end_with_the_tick_in_which_the_last_has_acted() -> None:
    """REVEAL at its first tick, AUDIT_WITNESSES at its third, AUDIT at its second."""
    early = replace(ROUND, witnesses=(SILENT,), reveal_ended=108, witnesses_ended=139, audit_ended=141)
    found = spans(early)
    assert found[3:5] == [("REVEAL", 0, 108, 108), ("COMMIT", 0, 109, 113)]
    assert found[11:] == [
        ("AUDIT_WITNESSES", 0, 137, 139),
        ("AUDIT", 0, 140, 141),
        ("SCORE", 0, 142, 149),
        ("CLOSED", 0, 150, FOREVER),
    ]


def test_a_phase_whose_last_tick_was_used_keeps_its_length() -> None:
    assert spans(replace(ROUND, reveal_ended=111)) == spans(ROUND)


def test_phases_at_their_edges() -> None:
    calendar = Calendar.of(ROUND, SMALL_RULES)
    at = {tick: calendar.at(tick).phase.name for tick in (100, 101, 103, 104, 108, 111, 112, 139, 140)}
    assert at == {
        100: "OPEN",
        101: "OPEN",
        103: "OPEN",
        104: "DRAW",
        108: "REVEAL",
        111: "REVEAL",
        112: "COMMIT",
        139: "WAIT",
        140: "AUDIT",
    }
    assert not calendar.is_over(137, Phase.UPDATE, 1)
    assert calendar.is_over(138, Phase.UPDATE, 1)
    assert calendar.at(10**9).phase is Phase.CLOSED


def test_a_phase_of_no_length_is_over_with_the_one_before() -> None:
    calendar = Calendar.of(ROUND, SMALL_RULES)
    assert calendar.is_over(140, Phase.AUDIT_WITNESSES)
    assert not calendar.is_over(139, Phase.AUDIT_WITNESSES)


def test_the_blocks_of_the_draw() -> None:
    assert list(Calendar.of(ROUND, SMALL_RULES).draw_ticks) == [104, 105]


def test_without_the_validation_parts_only_the_end_of_reveal_matters() -> None:
    assert due(ROUND, 111) is None
    assert due(ROUND, 112) is DueStep.UNREVEALED
    assert due(ROUND, 10**6) is DueStep.UNREVEALED


def test_a_standing_witness_has_to_seal_before_open_is_over() -> None:
    required = replace(ROUND, standing=(NamedWitness(WITNESS_NAME, False),))
    assert [due(required, tick) for tick in (103, 104, 112)] == [None, DueStep.UNATTENDED, DueStep.UNATTENDED]
    attended = replace(required, witnesses=(OWING,))
    assert [due(attended, tick) for tick in (104, 111, 112)] == [None, None, DueStep.UNREVEALED]
    other = replace(required, witnesses=(replace(OWING, author=b"\5" * 20),))
    assert due(other, 104) is DueStep.UNATTENDED


def test_without_candidates_the_round_ends_with_the_last_update_and_nobody_owes_anything() -> None:
    for round_ in (SHOWN, replace(SHOWN, witnesses=(OWING,), sealed_drawn=(b"\2" * 32,))):
        found = [due(round_, tick) for tick in (112, 137, 138, 10**6)]
        assert found == [None, None, DueStep.NO_CANDIDATE, DueStep.NO_CANDIDATE]


def test_due_steps_come_one_after_the_other() -> None:
    """AUDIT_WITNESSES ends with tick 148, AUDIT with 155, SCORE with 163."""
    round_ = replace(CONTESTED, witnesses=(OWING,))
    assert [due(round_, tick) for tick in (138, 148, 149)] == [None, None, DueStep.UNOPENED]
    assert due(round_, 10**6) is DueStep.UNOPENED
    round_ = replace(round_, witnesses=(SILENT,))
    assert [due(round_, tick) for tick in (149, 155, 156)] == [None, None, DueStep.WITHHELD]
    round_ = replace(round_, unseen=(opened(1, name=2),))
    assert [due(round_, tick) for tick in (156, 163, 164)] == [None, None, DueStep.DECISION]


def test_a_part_of_a_witness_does_not_stand_for_the_openers() -> None:
    round_ = replace(CONTESTED, witnesses=(a_witness(),), unseen=(opened(1, owner=WITNESS_NAME),))
    assert due(round_, 156) is DueStep.WITHHELD


@pytest.mark.parametrize(
    "status", [RoundStatus.DECIDED, RoundStatus.KEPT, RoundStatus.ABORTED, RoundStatus.CANCELLED]
)
def test_nothing_is_due_of_a_round_that_has_ended(status: RoundStatus) -> None:
    assert due(replace(ROUND, status=int(status)), 10**6) is None


@pytest.mark.parametrize(
    ("rules", "fits"),
    [
        (Rules(min_window_ticks=1, min_gap_ticks=0, draw_ticks=2, tick_ring=8), True),
        (Rules(min_window_ticks=1, min_gap_ticks=0, draw_ticks=2, tick_ring=7), False),
        (Rules(min_window_ticks=1, min_gap_ticks=0, draw_ticks=2, max_round_ticks=63), True),
        (Rules(min_window_ticks=1, min_gap_ticks=0, draw_ticks=2, max_round_ticks=62), False),
        (Rules(min_window_ticks=4, min_gap_ticks=0), False),
        (Rules(min_window_ticks=1, min_gap_ticks=3), False),
        (Rules(min_window_ticks=1, min_gap_ticks=0, max_window_ticks=8), False),
    ],
)
def test_a_calendar_within_the_rules(rules: Rules, fits: bool) -> None:
    """2 + 2 + 4 blocks from the first of the draw to the last of REVEAL; 63 in all."""
    if fits:
        check_calendar(TERMS, rules)
    else:
        with pytest.raises(TermsInvalid):
            check_calendar(TERMS, rules)
