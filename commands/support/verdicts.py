"""Explains in words why a round ended as it did, or what it waits for.

For each candidate it says which test the candidate failed and by how much. The node computes the verdicts
(`node/rpc/verdicts.py`); this file only words them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from engram.commands.support.output import short
from engram.commands.support.units import mean_loss

if TYPE_CHECKING:
    from engram.node.client import RpcClient

_SETTLE: Final = "`engram round advance` settles it"
_DUE: Final = {
    "unrevealed": f"the round is to abort, the opener has not revealed the validation parts; {_SETTLE}",
    "epoch_end": f"an epoch is to end; the next transaction on the round or {_SETTLE}",
    "unsealed": f"an auditor has not opened the part that it sealed, and is to lose its bond; {_SETTLE}",
    "withheld": f"the round is to abort, the opener has not opened the sealed parts; {_SETTLE}",
    "decision": f"the round is to be decided; {_SETTLE}",
}


async def with_verdicts(client: RpcClient, round_: dict[str, Any]) -> dict[str, Any]:
    """Adds to a round, as `round_get` gives it, the verdicts on its candidates. Asks the node for them."""
    return {**round_, "verdicts": await client.call("round_verdicts", id=round_["id"])}


def due_text(round_: Mapping[str, Any]) -> str | None:
    """What has become due and waits for a transaction that settles it; None if nothing is due."""
    return None if round_["due"] is None else _DUE[round_["due"]]


def reasons(round_: Mapping[str, Any]) -> list[str]:
    """Why the round ended as it did or, while it is open, how each candidate does.

    `round_` is what `with_verdicts` gives. The list is empty if there is nothing to say yet.
    """
    from engram.statemachine.rounds.records import RoundStatus

    status = round_["status"]
    if status == RoundStatus.ABORTED:
        return [_abort(round_)]
    if not round_["verdicts"]:
        return ["no update became a candidate"] if status == RoundStatus.KEPT else []
    if status == RoundStatus.OPEN and not round_["sealed_opened"]:
        return []  # candidates are judged on the sealed parts, and none is open yet
    return [
        f"epoch {verdict['epoch']}, {verdict['author']}: {text}"
        for verdict in round_["verdicts"]
        for text in _judged(verdict)
    ]


def _abort(round_: Mapping[str, Any]) -> str:
    opened, asked = len(round_["validation_opened"]), round_["terms"]["validation"]
    if opened < asked:
        return f"{opened} of {asked} validation parts were revealed in time and as committed to"
    return "the opener did not open every sealed part in time and as committed to"


def _judged(verdict: Mapping[str, Any]) -> list[str]:
    rows = verdict["sealed_rows"]
    loss, baseline = mean_loss(verdict["sealed_loss"], rows), mean_loss(verdict["sealed_baseline"], rows)
    if not verdict["generalises"]:
        return [f"sealed loss {loss} a row, not below the base version's {baseline}"]
    failed = [text for part in verdict["retention"] if (text := _failed(part)) is not None]
    if failed:
        return failed
    outcome = "took the lead" if verdict["rung"] else "passed but did not take the lead"
    return [f"sealed loss {loss} a row, the base version's {baseline}: {outcome}"]


def _failed(gate: Mapping[str, Any]) -> str | None:
    """Why a candidate fails on a retention part; None if it passes."""
    part, rows = f"retention part {short(gate['part'])}", gate["rows"]
    if gate["passed"]:
        return None
    if gate["correct"] is None:
        return f"{part}: nobody had the candidate scored on it"
    found = []
    if gate["correct"] < gate["fewest_correct"]:
        found.append(f"{gate['correct']} of {rows} rows correct, {gate['fewest_correct']} needed")
    if gate["loss"] > gate["most_loss"]:
        most = mean_loss(gate["most_loss"], rows)
        found.append(f"loss {mean_loss(gate['loss'], rows)} a row, at most {most} allowed")
    return f"{part}: {', '.join(found)}"


def verdict_fields(round_: Mapping[str, Any]) -> Sequence[tuple[str, object]]:
    """The field "why" with the reasons; empty if there are none."""
    return [("why", found)] if (found := reasons(round_)) else []
