"""Says what came of each update of a round and why, in codes for programs and in words for people.

`verdicts` computes the verdicts; this module adds who was paid and words the reasons. The commands word them
by the same functions, from what the node answers: the explorer and the terminal say one thing. It reads
neither store nor state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from engram.node.amounts import format_coins, mean_loss
from engram.node.epochs import in_epoch

_SETTLE: Final = "`engram round advance` settles it"
_DUE: Final = MappingProxyType(
    {
        "unattended": f"the round is to be cancelled, a standing witness has sealed no part; {_SETTLE}",
        "unrevealed": f"the round is to abort, the opener has not revealed the validation parts; {_SETTLE}",
        "no_candidate": f"the round is to end, no update became a candidate; {_SETTLE}",
        "unopened": f"a witness has not opened the sealed part, and is to lose the bond; {_SETTLE}",
        "withheld": f"the round is to abort, the opener has not opened the sealed parts; {_SETTLE}",
        "decision": f"the round is to be decided; {_SETTLE}",
    }
)
_WORDS: Final = MappingProxyType(
    {
        "not_revealed": "committed and not revealed",
        "not_decided": "the round is not decided yet",
        "not_scored": "nobody had it scored on every part; `engram round score` does, in the phase score",
        "claim_refuted": "its author claimed scores that the update does not have, and lost the bond",
        "claim_unfinished": "its author has not claimed its scores on every part",
        "claim_not_confirmed": "nobody confirmed its claimed scores; `engram watch --confirm` does, once the "
        "dispute window has passed, in the phase score",
        "round_aborted": "the opener failed a duty, and nobody is paid",
        "not_best_of_epoch": "another update of the epoch has a lower share of the baseline's loss",
        "gain_too_small": "does not remove an eighth of the loss that the leader before it had left",
        "too_few_old_rows": "too few unseen rows of old classes were opened to judge a growth",
        "forgets_retention_rows": "gets too many rows of the retention parts wrong that were right",
        "forgets_a_class": "gets more than half of the unseen rows of an old class wrong",
        "old_loss_rises": "has too much loss on the unseen rows of old classes",
        "no_half_weighs": "neither of the two growths that it unites has proved a gain alone",
    }
)
"""Reasons why no reward was paid, by code. `_worded` words three more, and adds numbers."""
_SIDES: Final = ("the opener's", "the witnesses'")


def due_text(round_: Mapping[str, Any]) -> str | None:
    """What has become due and waits for a transaction that settles it; None if nothing is due."""
    return None if round_["due"] is None else _DUE[round_["due"]]


def outcomes(round_: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What came of each update: its epoch and author, `paid` in sparks, `reasons` as codes, and `why`.

    `round_` is what `round_get` gives, with `verdicts` and `commits` as `round_verdicts` and `round_commits`
    give them. An update that was paid has no reason. What a union was paid went
    to the authors of its halves. Updates of which the reveal
    was refused are not in it: the receipt of the reveal names the rule.
    """
    paid = _payments(round_)
    found = []
    for verdict in round_["verdicts"]:
        amount = paid.get((verdict["epoch"], verdict["author"]), 0)
        codes = [] if (verdict["epoch"], verdict["author"]) in paid else _codes(round_, verdict)
        words = [_worded(code, verdict, round_["terms"]["z_squared"]) for code in codes] or [
            _won(verdict, amount)
        ]
        found.append(_outcome(verdict, amount, codes, words))
    for commit in round_["commits"]:
        found.append(_outcome(commit, 0, ["not_revealed"], [_unrevealed(round_)]))
    return found


def reasons(round_: Mapping[str, Any]) -> list[str]:
    """Why the round ended as it did or, while it is open, how each candidate does, in words.

    `round_` is what `outcomes` takes; an `unjudged` in it says why there are no verdicts. The list is empty
    if there is nothing to say yet.
    """
    from engram.statemachine.rounds.records import RoundStatus

    status = round_["status"]
    if status == RoundStatus.ABORTED:
        return [_abort(round_)]
    if status == RoundStatus.CANCELLED:
        return ["a standing witness of the model sealed no part; everything was given back"]
    if round_.get("unjudged"):
        return [round_["unjudged"]]
    if status == RoundStatus.OPEN and not (round_["verdicts"] and round_["unseen"]):
        return []  # candidates are judged on unseen parts, and none is open yet
    told = [
        f"{in_epoch(done['epoch'])}, {done['author']}: {text}"
        for done in outcomes(round_)
        if done["reasons"] != ["not_revealed"] or status != RoundStatus.OPEN
        for text in done["why"]
    ]
    if not round_["verdicts"]:
        told.insert(0, "no update became a candidate")
    if status == RoundStatus.KEPT and round_["refused"]:
        told.append(
            "rows that the opener chose fall behind what others prove: the opener does not get the pot back, "
            "it stays with the model for whoever improves it next"
        )
    return told


def _unrevealed(round_: Mapping[str, Any]) -> str:
    from engram.statemachine.rounds.records import RoundStatus

    lost = "" if round_["status"] == RoundStatus.OPEN else " in time, so its bond is lost"
    return f"{_WORDS['not_revealed']}{lost}"


def _outcome(
    update: Mapping[str, Any], paid: int, codes: Sequence[str], words: Sequence[str]
) -> dict[str, Any]:
    return {
        "epoch": update["epoch"],
        "author": update["author"],
        "paid": paid,
        "reasons": list(codes),
        "why": list(words),
    }


def _payments(round_: Mapping[str, Any]) -> dict[tuple[int, str], int]:
    """What each rung got, of the pot and of what the model carried, by epoch and author.

    Empty while the round is not decided.
    """
    from engram.statemachine.rounds.records import RoundStatus

    if round_["status"] != RoundStatus.DECIDED:
        return {}
    rungs = [verdict for verdict in round_["verdicts"] if verdict["rung"]]
    return {(rung["epoch"], rung["author"]): rung["reward"] for rung in rungs}


def _codes(round_: Mapping[str, Any], verdict: Mapping[str, Any]) -> list[str]:
    from engram.statemachine.rounds.records import RoundStatus

    if round_["status"] == RoundStatus.ABORTED:
        return ["round_aborted"]
    if verdict["reasons"]:
        return list(verdict["reasons"])
    if round_["status"] == RoundStatus.OPEN:
        return ["not_decided"]
    best = round_["best"][verdict["epoch"]]
    return ["gain_too_small" if best["author"] == verdict["author"] else "not_best_of_epoch"]


def _abort(round_: Mapping[str, Any]) -> str:
    opened, asked = len(round_["validation_opened"]), round_["terms"]["validation"]
    if opened < asked:
        return f"{opened} of {asked} validation parts were revealed in time and as committed to"
    return "the opener did not open every sealed part in time and as committed to"


def _won(verdict: Mapping[str, Any], paid: int) -> str:
    won = (
        f"took the lead, with {_left(verdict)} of the baseline's loss left; paid {format_coins(paid)} coins"
        ", as much of the pot as it removed of that loss"
    )
    earned = verdict["earned"]
    if [each["author"] for each in earned] == [verdict["author"]]:
        return won
    parts = (f"{format_coins(each['amount'])} to {each['author']}" for each in earned)
    return f"{won}, to the authors of the growths that it unites: {', '.join(parts)}"


def _worded(code: str, verdict: Mapping[str, Any], z_squared: int) -> str:
    if code == "gain_not_proved":
        return "its gain is not beyond chance: " + "; ".join(
            _unproved(side, group, z_squared)
            for side, group in zip(_SIDES, verdict["groups"], strict=True)
            if group["rows"] and not group["proves_gain"]
        )
    if code == "forgets_old_rows":
        lost = sum(group["forgotten"] for group in verdict["groups"])
        return f"gets {lost} unseen rows of old classes wrong that were right, more than a growth may"
    if code == "above_threshold":
        groups = verdict["groups"]
        loss = mean_loss(sum(each["loss"] for each in groups), sum(each["rows"] for each in groups))
        return (
            f"its loss on the unseen rows, {loss} a row, is above the model's freezing threshold, which "
            "`engram model show` tells: train on more rows, or found a model with a higher --threshold"
        )
    words = _WORDS[code]
    if code == "not_best_of_epoch" and verdict["share"] is not None:
        return f"{words}; this one has {_left(verdict)} of it left"
    return words


def _left(verdict: Mapping[str, Any]) -> str:
    share = verdict["share"]
    return f"{share['loss'] / share['baseline']:.1%}"


def _unproved(side: str, group: Mapping[str, Any], z_squared: int) -> str:
    """What a group of rows says of a gain, and how far that is from a proof (see `judging.proves_gain`).

    The distance is rounded down and the bound up, so that what fails by little does not read as if it passed.
    """
    told = (
        f"on {side} {group['rows']:,} rows loss {mean_loss(group['loss'], group['rows'])} a row, the "
        f"baseline's {mean_loss(group['baseline'], group['rows'])}"
    )
    gain = group["gained"] - group["lost"]
    if gain <= 0:
        return f"{told}: no gain"
    reached = math.floor(10 * gain / math.sqrt(group["squares"])) / 10
    asked = math.ceil(10 * math.sqrt(z_squared)) / 10
    return f"{told}, which is {reached:.1f} of the {asked:.1f} standard errors that the round asks for"
