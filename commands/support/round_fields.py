"""Turns a round, as the node gives it, into the fields that `engram round show` prints. Sends no requests.

The state or the outcome comes first, then the calendar, the data and the terms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from typing import Any, Final

from engram.commands.support.claims import claim_fields
from engram.commands.support.output import short
from engram.commands.support.units import mean_loss
from engram.commands.support.verdicts import failed_fields, verdict_fields
from engram.node.epochs import in_epoch, phase_and_epoch
from engram.node.rpc.outcomes import due_text
from engram.participant.coins import format_coins

CALENDAR: Final = "calendar, in ticks, at the latest"


def round_fields(round_: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    """Names and values to print; empty ones are left out. `round_` is what `with_verdicts` gives,
    and may have what `with_failed` and `with_claims` add.
    """
    terms, rows = round_["terms"], round_["terms"]["rows"]
    fields: list[tuple[str, object]] = [
        ("round", round_["id"]),
        ("model", round_["model"]),
        ("status", status_name(round_["status"])),
        *([("due", due)] if (due := due_text(round_)) is not None else []),
        *verdict_fields(round_),
        *failed_fields(round_),
        *claim_fields(round_),
        *_course(round_),
        ("kind", f"{kind_name(terms['kind'])} from version {round_['version']}, {round_['classes']} classes"),
        ("opener", round_["opener"]),
        ("witnesses", _witnesses(round_)),
        (CALENDAR, calendar_fields(round_["calendar"])),
        ("parts", f"{len(terms['commitments'])} of {rows} rows each; the chain draws {_drawn(terms)}"),
        ("old rows", terms["old_rows"] and f"at least {terms['old_rows']} in each sealed part"),
        ("validation", _opened(round_["validation_opened"])),
        ("unseen", _opened(round_["unseen"])),
        ("epochs", terms["epochs"]),
        ("best on validation", _results(round_)),
        ("best on unseen", _best(round_)),
        (
            "judged by",
            f"a gain must be {sqrt(terms['z_squared']):.1f} standard errors (z squared {terms['z_squared']})",
        ),
        ("pot", format_coins(round_["pot"])),
        ("carried", round_["carried"] and f"{format_coins(round_['carried'])}, of earlier rounds"),
        ("bounty", _bounty(terms)),
        (
            "bonds",
            f"opener {format_coins(terms['opener_bond'])}, author {format_coins(terms['author_bond'])}",
        ),
        ("update", f"at most {terms['max_update_neurons']} neurons, {terms['max_update_bytes']} bytes"),
    ]
    return [(name, value) for name, value in fields if value not in (None, 0, [], {}, "")]


def _bounty(terms: Mapping[str, Any]) -> str:
    bounty, fee = format_coins(terms["bounty"]), terms["witness_fee"]
    return f"{bounty}, of it {format_coins(fee)} to each witness" if fee else bounty


def calendar_fields(calendar: Mapping[str, Sequence[int | None]]) -> dict[str, str]:
    """First and last tick of each phase; phases without a tick are left out."""
    return {
        _span_words(phase): f"{first} on" if last is None else f"{first} to {last}"
        for phase, (first, last) in calendar.items()
        if last is None or first is None or first <= last
    }


def _span_words(span: str) -> str:
    """A phase of the calendar in words: `commit_0` is the commit phase of the first epoch."""
    phase, _, epoch = span.rpartition("_")
    return phase_and_epoch(phase, int(epoch)) if epoch.isdecimal() else span


def kind_name(kind: int) -> str:
    """TRAIN or GROW: the name of a `RoundKind`."""
    from engram.statemachine.rounds.records import RoundKind

    return RoundKind(kind).name


def status_name(status: int) -> str:
    """open, decided, kept, aborted or cancelled: the name of a `RoundStatus`."""
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
            return [("phase", f"{phase_and_epoch(round_['phase'], round_['epoch'])}{more}")]
        case _:
            return []


def _drawn(terms: Mapping[str, Any]) -> str:
    return f"{terms['validation']} for validation, {terms['sealed']} to stay sealed"


def _witnesses(round_: Mapping[str, Any]) -> list[str]:
    """A line for each witness, with what they have done and what the round holds of them."""
    sealed = {witness["author"]: witness for witness in round_["witnesses"]}
    lines = []
    for named in (*round_["standing"], *round_["terms"]["witnesses"]):
        limit = " (old classes only)" if named["old_only"] else ""
        lines.append(f"{named['address']}{limit}: {_duty(sealed.get(named['address']))}")
    return lines


def _duty(witness: Mapping[str, Any] | None) -> str:
    if witness is None:
        return "has sealed nothing"
    if witness["opened"]:
        return "has opened the sealed part"
    bond = int(witness["bond"])
    return f"has sealed a part, bond {format_coins(bond)}" if bond else "has opened nothing that counts"


def _opened(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each opened part, with how well the version to improve on does on its old rows."""
    return [
        f"{short(part['commitment'])}: {part['old']} rows of old classes"
        + (f", loss {base_loss(part)} a row" if part["old"] else "")
        for part in parts
    ]


def base_loss(part: Mapping[str, Any]) -> str:
    """The mean loss of the version to improve on, on the rows of old classes of an opened part.

    Where authors claim scores, the chain knows none. Then neither a right row nor a loss stands in the part:
    otherwise a row that is not right has a loss.
    """
    if not part["old"]:
        return "-"
    if not int(part["old_loss"]) and not part["old_right"]:
        return "claimed by each author"
    return mean_loss(part["old_loss"], part["old"])


def _best(round_: Mapping[str, Any]) -> list[str]:
    return [
        f"{in_epoch(epoch)}: {best['author']}, {best['loss'] / best['baseline']:.1%} of the baseline's loss "
        "left" + _united(best["halves"])
        for epoch, best in enumerate(round_["best"])
        if best["author"] is not None
    ]


def _united(halves: Sequence[Mapping[str, Any]]) -> str:
    """Whose growths a union unites; nothing to say of other updates."""
    names = " and ".join(half["author"] for half in halves)
    return f", uniting the growths of {names}" if halves else ""


def _results(round_: Mapping[str, Any]) -> list[str]:
    scored = round_["terms"]["rows"] * round_["terms"]["validation"]
    return [
        f"{in_epoch(epoch)}: {result['author']}, validation loss {mean_loss(result['loss'], scored)} a row"
        for epoch, result in enumerate(round_["results"])
        if result["author"] is not None
    ]
