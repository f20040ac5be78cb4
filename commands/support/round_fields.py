"""Turns a round, as the node gives it, into the fields that `engram round show` prints. Sends no requests.

The state or the outcome comes first, then the calendar, the data and the terms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engram.commands.support.output import short
from engram.commands.support.units import accuracy, format_coins, mean_loss
from engram.commands.support.verdicts import due_text, verdict_fields


def round_fields(round_: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    """Names and values to print; empty ones are left out. `round_` is what `with_verdicts` gives."""
    terms, rows = round_["terms"], round_["terms"]["rows"]
    fields: list[tuple[str, object]] = [
        ("round", round_["id"]),
        ("model", round_["model"]),
        ("status", status_name(round_["status"])),
        *([("due", due)] if (due := due_text(round_)) is not None else []),
        *verdict_fields(round_),
        *_course(round_),
        ("kind", f"{kind_name(terms['kind'])} from version {round_['version']}, {round_['classes']} classes"),
        ("opener", round_["opener"]),
        ("auditors", terms["auditors"]),
        ("calendar", calendar_fields(round_["calendar"])),
        ("parts", f"{len(terms['commitments'])} of {rows} rows each; the chain draws {_drawn(terms)}"),
        ("validation", _opened(round_["validation_opened"], rows)),
        ("sealed", _opened(round_["sealed_opened"], rows)),
        ("candidates", [f"epoch {item['epoch']}: {item['author']}" for item in round_["candidates"]]),
        ("epochs", f"{round_['settled_epochs']} of {terms['epochs']} are settled"),
        ("best by epoch", _results(round_)),
        ("pot", format_coins(round_["pot"])),
        ("bounty", format_coins(terms["bounty"])),
        (
            "bonds",
            f"opener {format_coins(terms['opener_bond'])}, author {format_coins(terms['author_bond'])}",
        ),
        ("update", f"at most {terms['max_update_neurons']} neurons, {terms['max_update_bytes']} bytes"),
    ]
    return [(name, value) for name, value in fields if value not in (None, [], {}, "")]


def calendar_fields(calendar: Mapping[str, Sequence[int | None]]) -> dict[str, str]:
    """First and last tick of each phase; phases without a tick are left out."""
    return {
        phase: f"{first} on" if last is None else f"{first} to {last}"
        for phase, (first, last) in calendar.items()
        if last is None or first is None or first <= last
    }


def kind_name(kind: int) -> str:
    """TRAIN or GROW: the name of a `RoundKind`."""
    from engram.statemachine.rounds.records import RoundKind

    return RoundKind(kind).name


def status_name(status: int) -> str:
    """open, decided, kept or aborted: the name of a `RoundStatus`."""
    from engram.statemachine.rounds.records import RoundStatus

    return RoundStatus(status).name.lower()


def _course(round_: Mapping[str, Any]) -> list[tuple[str, object]]:
    from engram.statemachine.rounds.records import RoundStatus

    match round_["status"]:
        case RoundStatus.DECIDED:
            return [("version", round_["new_version"]), ("winner", round_["winner"])]
        case RoundStatus.OPEN:
            left = round_["ticks_left"]
            more = "" if left is None else f", {left} ticks left at tick {round_['tick']}"
            return [("phase", f"{round_['phase']}{more}")]
        case _:
            return []


def _drawn(terms: Mapping[str, Any]) -> str:
    return f"{terms['validation']} for validation, {terms['sealed']} to stay sealed"


def _opened(parts: Sequence[Mapping[str, Any]], rows: int) -> list[str]:
    """A line for each revealed part, with how well the version to improve on does on it."""
    return [
        f"{short(part['commitment'])}: loss {mean_loss(part['baseline']['loss'], rows)} a row, "
        f"{accuracy(part['baseline']['correct'], rows)} right"
        for part in parts
    ]


def _results(round_: Mapping[str, Any]) -> list[str]:
    scored = round_["terms"]["rows"] * round_["terms"]["validation"]
    return [
        f"{epoch}: {result['author']}, validation loss {mean_loss(result['loss'], scored)} a row"
        for epoch, result in enumerate(round_["results"])
        if result["author"] is not None
    ]
