"""Which of founder, opener, author and witnesses are told to be one key, and what rows they knew for that."""

from dataclasses import replace

import pytest

from engram.library.proof_facts import facts
from engram.nn.growth import Growth
from engram.nn.layers import Output
from engram.nn.tensor import Explicit
from engram.primitives.keys import format_address
from engram.statemachine.additions import GrowUpdate, Half, SegmentSources
from engram.statemachine.rounds.records import GroupScore, Round
from tests.support.memory_chain import key
from tests.support.proof_chain import AUTHOR, MODEL_RECORD, ROUND_RECORD, SPEC, WITNESS
from tests.support.proof_reports import WITNESS_TEXT, of_round, report, said, shown_of_model


def opened_by(opener: bytes) -> Round:
    """The round with another opener, whose own parts have that owner."""
    unseen = tuple(
        part if part.owner == WITNESS else replace(part, owner=opener) for part in ROUND_RECORD.unseen
    )
    return replace(ROUND_RECORD, opener=opener, unseen=unseen)


STRANGER = key(7).address


@pytest.mark.parametrize("opener", [AUTHOR, MODEL_RECORD.founder, STRANGER])
def test_who_is_one_key_with_whom_is_said(opener: bytes) -> None:
    checked = of_round(opened_by(opener))
    known, (proved, _) = facts(checked), said(checked)
    shown = shown_of_model(checked)["one key"]
    assert known["opener_is_author"] is (opener == AUTHOR)
    assert known["founder_is_opener"] is (opener == MODEL_RECORD.founder)
    assert not known["founder_is_author"]
    assert not known["witness_is_author"]
    assert not known["witness_is_founder"]
    assert known["author_rows"] == (100 if opener == AUTHOR else 0)
    graded = "So the version is self-graded: whoever made it also brought, and knew, 100 of the 200 rows"
    assert (graded in proved) is ("self-graded" in shown) is (opener == AUTHOR)
    text = format_address(opener, SPEC.hrp)
    assert (f"The founder and the opener are one key, {text}." in proved) is known["founder_is_opener"]
    assert (f"The opener and the author are one key, {text}." in proved) is known["opener_is_author"]
    different = "Founder, opener, author and witnesses are different keys."
    assert (f"Its round was opened by {text}. {different}" in proved) is (opener == STRANGER)
    assert (shown == "none") is (opener == STRANGER)


def test_a_founder_who_grades_themselves_is_said_to_be_all_three() -> None:
    alone = replace(of_round(ROUND_RECORD), model=replace(MODEL_RECORD, founder=AUTHOR))
    alone = replace(alone, round=opened_by(AUTHOR))
    proved, _ = said(alone)
    assert (
        f"The founder, the opener and the author are one key, {format_address(AUTHOR, SPEC.hrp)}." in proved
    )
    assert "So the version is self-graded" in proved
    assert shown_of_model(alone)["one key"] == "the founder, the opener and the author (self-graded)"


def test_an_author_who_was_a_witness_is_said_to_have_known_the_rows() -> None:
    whole = of_round(ROUND_RECORD)
    assert "came from witnesses and not from the opener" in said(whole)[0]
    checked = replace(whole, version=replace(whole.version, author=WITNESS))
    known, (proved, _) = facts(checked), said(checked)
    assert (known["witness_is_author"], known["opener_is_author"], known["author_rows"]) == (True, False, 100)
    assert f"The author and a witness are one key, {WITNESS_TEXT}. So the version is self-graded" in proved
    assert "100 of the 200 rows that decided about it" in proved
    assert "came from witnesses, the author among them, and not from the opener" in proved
    assert shown_of_model(checked)["one key"].endswith("; the author and a witness (self-graded)")
    named = ROUND_RECORD.witnesses[0]
    stranger = replace(ROUND_RECORD, witnesses=(replace(named, named_by_opener=False),))
    assert "strangers" not in said(replace(whole, round=stranger))[1]
    by_others = said(replace(checked, round=stranger))[1]
    assert "the opener named each of them, or they are the author" in by_others


def test_all_rows_can_be_the_authors_own() -> None:
    alone = replace(ROUND_RECORD.winner_groups[0], rows=200, loss=100)
    mine = tuple(replace(part, owner=AUTHOR) for part in ROUND_RECORD.unseen)
    round_ = replace(ROUND_RECORD, opener=AUTHOR, witnesses=(), unseen=mine)
    proved, unproved = said(of_round(replace(round_, winner_groups=(alone, GroupScore()))))
    assert "brought, and knew, all 200 rows that decided about it" in proved
    assert "had told the author the sealed rows" not in unproved, "nobody needed to"


def test_a_founder_who_was_a_witness_is_named() -> None:
    checked = of_round(opened_by(STRANGER))
    checked = replace(checked, model=replace(MODEL_RECORD, founder=WITNESS))
    assert facts(checked)["witness_is_founder"]
    assert f"The founder and a witness are one key, {WITNESS_TEXT}." in said(checked)[0]
    assert "self-graded" not in said(checked)[0], "the founder has not made this version"


def test_the_author_of_a_half_counts_as_an_author() -> None:
    """A union that somebody else has sent is graded by itself all the same."""
    source = SegmentSources(Explicit(bytes(32)), Explicit(bytes(32)))
    growth = Growth(1, (), (Output(0, 0, 4, 2, 1, 0, 8),) * 2, ())
    halves = (Half(WITNESS, 0, 1), Half(MODEL_RECORD.founder, 0, 1))
    whole = report(min_work=1)
    union = replace(whole.version, added=GrowUpdate(growth, (), (source, source), (), halves))
    known = facts(replace(whole, version=union))
    assert whole.round is not None
    assert whole.round.opener == MODEL_RECORD.founder
    assert known["opener_is_author"]
    assert known["founder_is_author"]
    assert known["witness_is_author"]
    proved, _ = said(replace(whole, version=union))
    assert "The founder, the opener and the author of a half are one key, " in proved
    assert "The author of a half and a witness are one key, " in proved
    assert "all 200 rows that decided" in proved
    assert not facts(whole)["opener_is_author"]


def test_a_version_that_no_round_has_made_is_graded_by_nobody() -> None:
    alone = replace(report(min_work=1), round=None)
    known = facts(alone)
    names = ("opener_is_author", "founder_is_opener", "witness_is_author", "witness_is_founder")
    assert [known[name] for name in names] == [None] * 4
    assert "one key" not in shown_of_model(alone)
