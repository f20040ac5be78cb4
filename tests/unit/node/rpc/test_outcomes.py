"""What people read about the end of a round."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from engram.commands.support.units import Q24
from engram.node.rpc.outcomes import due_text, outcomes, reasons
from engram.statemachine.rounds import candidates
from engram.statemachine.rounds.calendar import DueStep
from engram.statemachine.rounds.records import RoundStatus


def group(**changes: Any) -> dict[str, Any]:
    facts = {"rows": 40, "loss": 10 * Q24, "baseline": 20 * Q24, "forgotten": 3, "proves_gain": True}
    gains = {"gained": 12 << 16, "lost": 2 << 16, "squares": 16 << 32}
    return {**facts, **gains, **changes}


NO_ROWS = group(rows=0, loss=0, baseline=0, forgotten=0, proves_gain=False)


def verdict(*codes: str, groups: tuple[dict[str, Any], ...] = (), **changes: Any) -> dict[str, Any]:
    facts = {"share": {"loss": 1, "baseline": 4}, "reasons": list(codes), "rung": False, "reward": 0}
    return {"epoch": 0, "author": "leng1a", **facts, "groups": groups or (group(), NO_ROWS), **changes}


def ended(*verdicts: dict[str, Any], status: int = RoundStatus.KEPT, **changes: Any) -> dict[str, Any]:
    opened: dict[str, Any] = {"validation_opened": [{}], "unseen": [{}], "witnesses": [{}], "refused": False}
    terms = {"validation": 1, "sealed": 1, "bounty": 1_000, "witness_fee": 200, "z_squared": 9}
    best = {"best": [{"author": "leng1b"}, {"author": "leng1a"}]}
    facts = {"status": status, "verdicts": list(verdicts), "commits": [], "terms": terms}
    return {**facts, **opened, **best, **changes}


@pytest.mark.parametrize(
    ("judged", "text"),
    [
        (
            verdict("gain_not_proved", groups=(group(proves_gain=False), NO_ROWS)),
            "its gain is not beyond chance: on the opener's 40 rows loss 0.2500 a row, the baseline's "
            "0.5000, which is 2.5 of the 3.0 standard errors that the round asks for",
        ),
        (
            verdict(
                "gain_not_proved", groups=(group(), group(proves_gain=False, loss=30 * Q24, lost=22 << 16))
            ),
            "its gain is not beyond chance: on the witnesses' 40 rows loss 0.7500 a row, the baseline's "
            "0.5000: no gain",
        ),
        (
            verdict("forgets_old_rows", groups=(group(), group())),
            "gets 6 unseen rows of old classes wrong that were right, more than a growth may",
        ),
        (
            verdict("above_threshold", groups=(group(rows=60), group(loss=20 * Q24))),
            "its loss on the unseen rows, 0.3000 a row, is above the model's freezing threshold",
        ),
        (
            verdict(),
            "another update of the epoch has a lower share of the baseline's loss; "
            "this one has 25.0% of it left",
        ),
        (verdict("not_scored", share=None), "nobody had it scored on every part"),
    ],
)
def test_each_candidate_has_a_reason(judged: dict[str, Any], text: str) -> None:
    (reason,) = reasons(ended(judged))
    assert reason.startswith(f"epoch 1, leng1a: {text}")
    (done,) = outcomes(ended(judged))
    assert (done["paid"], len(done["reasons"])) == (0, 1)


def test_a_gain_that_fails_by_little_does_not_read_as_if_it_passed() -> None:
    """The numbers of the chain are exact; what people read of them is rounded away from the bound."""
    close = group(proves_gain=False, gained=299_999, lost=0, squares=10**10)  # 2.99999 of the root of 9
    for z_squared, told in ((9, "2.9 of the 3.0 "), (10, "2.9 of the 3.2 ")):
        terms = {"validation": 1, "sealed": 1, "z_squared": z_squared}
        (reason,) = reasons(ended(verdict("gain_not_proved", groups=(close, NO_ROWS)), terms=terms))
        assert told in reason


def test_every_reason_of_the_core_has_words() -> None:
    source = inspect.getsource(candidates)
    codes = set(re.findall(r'found.append\("([a-z_]+)"\)', source))
    assert len(codes) >= 7, "the core's reasons are found in its source"
    assert "" not in [
        reasons(ended(verdict(code, groups=(group(proves_gain=False), NO_ROWS))))[0][-3:].strip(": ")
        for code in codes
    ]


def earning(reward: int, author: str) -> dict[str, Any]:
    return {"reward": reward, "earned": [{"author": author, "amount": reward}]}


def test_rungs_are_paid_what_the_node_says() -> None:
    first = verdict(rung=True, author="leng1b", share={"loss": 1, "baseline": 2}, **earning(400, "leng1b"))
    second = verdict(rung=True, epoch=1, share={"loss": 1, "baseline": 8}, **earning(300, "leng1a"))
    small = verdict(epoch=1, author="leng1c")
    done = outcomes(ended(second, small, first, status=RoundStatus.DECIDED))
    assert [(item["author"], item["paid"]) for item in done] == [
        ("leng1a", 300),
        ("leng1c", 0),
        ("leng1b", 400),
    ]
    assert [item["reasons"] for item in done] == [[], ["not_best_of_epoch"], []]
    assert "paid 0.000003 coins" in done[0]["why"][0]


def test_the_rung_of_a_union_is_told_to_be_that_of_its_halves() -> None:
    """So nobody who looks at the round takes the sender for the one who was paid."""
    earned = [{"author": "leng1b", "amount": 200_000_000}, {"author": "leng1c", "amount": 100_000_000}]
    union = verdict(rung=True, reward=300_000_000, earned=earned)
    (done,) = outcomes(ended(union, status=RoundStatus.DECIDED))
    assert (done["author"], done["paid"], done["reasons"]) == ("leng1a", 300_000_000, [])
    assert done["why"] == [
        "took the lead, with 25.0% of the baseline's loss left; paid 3 coins, as much of the pot as it "
        "removed of that loss, to the authors of the growths that it unites: 2 to leng1b, 1 to leng1c"
    ]


def test_a_best_update_that_gains_too_little_takes_no_lead() -> None:
    (done,) = outcomes(ended(verdict(epoch=1), status=RoundStatus.DECIDED))
    assert done["reasons"] == ["gain_too_small"]


def test_a_commit_that_was_not_revealed_is_told() -> None:
    closed = {"epoch": 1, "author": "leng1z"}
    (done,) = outcomes(ended(commits=[closed]))
    assert (done["author"], done["reasons"]) == ("leng1z", ["not_revealed"])
    lost = "epoch 2, leng1z: committed and not revealed in time, so its bond is lost"
    assert reasons(ended(commits=[closed])) == ["no update became a candidate", lost]
    assert reasons(ended(verdict(), commits=[closed]))[-1] == lost
    assert reasons(ended(verdict(), commits=[closed], status=RoundStatus.OPEN))[-1] != lost


def test_a_refusal_is_told_with_the_pot() -> None:
    told = reasons(ended(verdict("gain_not_proved"), refused=True))[-1]
    assert told.endswith("it stays with the model for whoever improves it next")


def test_an_open_round_has_paid_nothing() -> None:
    (leads,) = outcomes(ended(verdict(rung=True, reward=400), status=RoundStatus.OPEN))
    assert (leads["paid"], leads["reasons"]) == (0, ["not_decided"])


def test_a_round_may_have_nothing_to_judge() -> None:
    assert reasons(ended()) == ["no update became a candidate"]
    assert reasons(ended(status=RoundStatus.OPEN)) == []
    assert reasons(ended(verdict(), status=RoundStatus.OPEN, unseen=[])) == []
    assert "standing witness" in reasons(ended(status=RoundStatus.CANCELLED))[0]


def test_an_abort_names_the_duty_that_was_missed() -> None:
    unrevealed = ended(status=RoundStatus.ABORTED, validation_opened=[])
    assert reasons(unrevealed)[0].startswith("0 of 1 validation parts were revealed")
    withheld = ended(verdict("not_scored"), status=RoundStatus.ABORTED, unseen=[])
    assert reasons(withheld)[0].startswith("the opener did not open every sealed part")
    assert outcomes(withheld)[0]["reasons"] == ["round_aborted"]


def test_everything_that_can_be_due_is_said() -> None:
    assert due_text({"due": None}) is None
    for default in DueStep:
        assert "`engram round advance` settles it" in str(due_text({"due": default.name.lower()}))
