"""Why a round ended as it did, or what it waits for: which test failed whom, and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from engram.commands.support.output import short
from engram.commands.support.units import mean_loss

if TYPE_CHECKING:
    from engram.node.client import RpcClient

_SETTLE: Final = "`engram round advance` settles it"
_DUE: Final = {
    "unrevealed": f"abort, the opener has not revealed the validation parts; {_SETTLE}",
    "epoch_end": f"the end of an epoch; the next transaction on the round or {_SETTLE}",
    "unsealed": f"a third party has not opened its part and loses the bond; {_SETTLE}",
    "withheld": f"abort, the opener has not opened the sealed parts; {_SETTLE}",
    "decision": f"the decision; {_SETTLE}",
}


async def with_verdicts(client: RpcClient, round_: dict[str, Any]) -> dict[str, Any]:
    """The round, as `round_get` gives it, with how its candidates do."""
    return {**round_, "verdicts": await client.call("round_verdicts", id=round_["id"])}


def due_text(round_: Mapping[str, Any]) -> str | None:
    """What has become due and waits for a transaction; None where nothing has."""
    return None if round_["due"] is None else _DUE[round_["due"]]


def reasons(round_: Mapping[str, Any]) -> list[str]:
    """Why the round ended so, or how its candidates do; `round_` is what `with_verdicts` gives."""
    from engram.statemachine.rounds.records import RoundStatus

    status = round_["status"]
    if status == RoundStatus.ABORTED:
        return [_abort(round_)]
    if not round_["verdicts"]:
        return ["no candidate: no update was admitted"] if status == RoundStatus.KEPT else []
    if status == RoundStatus.OPEN and not round_["sealed_opened"]:
        return []  # nothing is judged before the sealed parts open
    return [
        f"epoch {verdict['epoch']}, {verdict['author']}: {text}"
        for verdict in round_["verdicts"]
        for text in _judged(verdict)
    ]


def _abort(round_: Mapping[str, Any]) -> str:
    opened, asked = len(round_["validation_opened"]), round_["terms"]["validation"]
    if opened < asked:
        return f"{opened} of {asked} validation parts were revealed as they were committed to"
    return "the opener did not open every sealed part as it was committed to"


def _judged(verdict: Mapping[str, Any]) -> list[str]:
    rows = verdict["sealed_rows"]
    loss, baseline = mean_loss(verdict["sealed_loss"], rows), mean_loss(verdict["sealed_baseline"], rows)
    if not verdict["generalises"]:
        return [f"sealed loss {loss} a row, not below the version's {baseline}"]
    failed = [text for part in verdict["retention"] if (text := _failed(part)) is not None]
    if failed:
        return failed
    outcome = "took the lead" if verdict["rung"] else "passed, and another was better"
    return [f"sealed loss {loss} a row, the version's {baseline}: {outcome}"]


def _failed(gate: Mapping[str, Any]) -> str | None:
    """Why a candidate does not pass a retention part; None where it does."""
    part, rows = f"retention part {short(gate['part'])}", gate["rows"]
    if gate["passed"]:
        return None
    if gate["correct"] is None:
        return f"{part}: it was not scored on it"
    found = []
    if gate["correct"] < gate["fewest_correct"]:
        found.append(f"{gate['correct']} of {rows} rows right, {gate['fewest_correct']} needed")
    if gate["loss"] > gate["most_loss"]:
        most = mean_loss(gate["most_loss"], rows)
        found.append(f"loss {mean_loss(gate['loss'], rows)} a row, above the bar of {most}")
    return f"{part}: {', '.join(found)}"


def verdict_fields(round_: Mapping[str, Any]) -> Sequence[tuple[str, object]]:
    """The reasons as a field, where there are any."""
    return [("why", found)] if (found := reasons(round_)) else []
