"""What people read about the end of a round."""

from __future__ import annotations

from typing import Any

import pytest

from engram.commands.support.units import Q24
from engram.commands.support.verdicts import due_text, reasons
from engram.statemachine.rounds.calendar import DueStep
from engram.statemachine.rounds.records import RoundStatus


def gate(**changes: Any) -> dict[str, Any]:
    scores = {"correct": 39, "fewest_correct": 38, "loss": 20 * Q24, "most_loss": 20 * Q24}
    return {"part": "ab" * 32, "rows": 40, "passed": False, **scores, **changes}


def verdict(**changes: Any) -> dict[str, Any]:
    losses = {"sealed_loss": 10 * Q24, "sealed_baseline": 20 * Q24, "sealed_rows": 40}
    facts = {"generalises": True, "remembers": True, "rung": False, "retention": []}
    return {"epoch": 1, "author": "leng1a", **losses, **facts, **changes}


def ended(*verdicts: dict[str, Any], status: int = RoundStatus.KEPT, **changes: Any) -> dict[str, Any]:
    opened: dict[str, Any] = {"validation_opened": [{}], "sealed_opened": [{}]}
    terms = {"validation": 1, "sealed": 1}
    return {"status": status, "verdicts": list(verdicts), "terms": terms, **opened, **changes}


@pytest.mark.parametrize(
    ("judged", "text"),
    [
        (
            verdict(generalises=False, sealed_loss=21 * Q24),
            "sealed loss 0.5250 a row, not below the base version's 0.5000",
        ),
        (
            verdict(retention=[gate(correct=37)]),
            "retention part abababababab: 37 of 40 rows correct, 38 needed",
        ),
        (
            verdict(retention=[gate(passed=True), gate(loss=22 * Q24)]),
            "retention part abababababab: loss 0.5500 a row, at most 0.5000 allowed",
        ),
        (
            verdict(retention=[gate(correct=None, loss=None, most_loss=None)]),
            "retention part abababababab: nobody had the candidate scored on it",
        ),
        (
            verdict(rung=True),
            "sealed loss 0.2500 a row, the base version's 0.5000: took the lead",
        ),
        (
            verdict(),
            "sealed loss 0.2500 a row, the base version's 0.5000: passed but did not take the lead",
        ),
    ],
)
def test_each_candidate_has_a_reason(judged: dict[str, Any], text: str) -> None:
    assert reasons(ended(judged)) == [f"epoch 1, leng1a: {text}"]


def test_a_round_may_have_nothing_to_judge() -> None:
    assert reasons(ended()) == ["no update became a candidate"]
    assert reasons(ended(status=RoundStatus.OPEN)) == []
    assert reasons(ended(verdict(), status=RoundStatus.OPEN, sealed_opened=[])) == []


def test_an_abort_names_the_duty_that_was_missed() -> None:
    unrevealed = ended(status=RoundStatus.ABORTED, validation_opened=[])
    assert reasons(unrevealed)[0].startswith("0 of 1 validation parts were revealed")
    withheld = ended(status=RoundStatus.ABORTED, sealed_opened=[])
    assert reasons(withheld)[0].startswith("the opener did not open every sealed part")


def test_everything_that_can_be_due_is_said() -> None:
    assert due_text({"due": None}) is None
    for default in DueStep:
        assert "`engram round advance` settles it" in str(due_text({"due": default.name.lower()}))
