"""Asks a node for the claims of a round, and words them for people: what is decided, and what still can be.

Only rounds on models whose authors claim the scores of their updates have any (docs/disputes.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from engram.node.amounts import format_coins
from engram.node.epochs import in_epoch
from engram.node.errors import RemoteError, StatePruned

if TYPE_CHECKING:
    from engram.node.client import RpcClient

EXPIRED: Final = "expired"
"""What commands call a claim that nobody has decided while that was possible."""


async def with_claims(client: RpcClient, round_: dict[str, Any]) -> dict[str, Any]:
    """Adds to a round under `claims` what `round_claims` tells of it.

    None stands there if the round has ended long ago, and the node has deleted what it would look at.
    """
    try:
        claims = await client.call("round_claims", id=round_["id"])
    except RemoteError as error:
        if error.code != StatePruned.code:
            raise
        claims = None
    return {**round_, "claims": claims}


def claim_fields(round_: Mapping[str, Any]) -> Sequence[tuple[str, object]]:
    """The field "claims", with a line for each claim; empty without any.

    `round_` is what `round_get` gives, with what `with_claims` and `with_failed` add.
    """
    lines = [
        f"{in_epoch(claim['epoch'])}, {claim['author']}: {_state(claim, round_)}"
        for claim in round_.get("claims") or ()
    ]
    return [("claims", lines)] if lines else []


def refuted_line(refuted: Mapping[str, Any]) -> str:
    """Whose claim was found false, where, by whom, and what it cost."""
    lost, reward = format_coins(refuted["bond"]), format_coins(refuted["reward"])
    place = f"chunk {refuted['chunk']} of part {refuted['part']}"
    return (
        f"{in_epoch(refuted['epoch'])}, {refuted['author']}: claimed other scores of {place} than every node "
        f"computed; lost a bond of {lost} coins, {reward} of them to {refuted['challenger']}, "
        f"{found_by(refuted)} [claim_refuted]"
    )


def found_by(refuted: Mapping[str, Any]) -> str:
    """How a lie was found, in words that continue the name of whoever found it."""
    return "who disputed it" if refuted["kind"] == "dispute_claim" else "whose confirmation audited it"


def status_of(claim: Mapping[str, Any]) -> str:
    """open, confirmed, refuted or expired."""
    return EXPIRED if claim["expired"] else str(claim["status"])


def places(chunks: Iterable[Mapping[str, int]]) -> str:
    """Chunks in words, by part: `chunk 3 of part 0, chunks 1 and 7 of part 2`."""
    found = []
    for part, group in groupby(chunks, key=itemgetter("part")):
        numbers = [str(each["chunk"]) for each in group]
        named = " and ".join((", ".join(numbers[:-1]), numbers[-1])) if len(numbers) > 1 else numbers[0]
        found.append(f"{'chunks' if len(numbers) > 1 else 'chunk'} {named} of part {part}")
    return ", ".join(found)


def _state(claim: Mapping[str, Any], round_: Mapping[str, Any]) -> str:
    match status_of(claim):
        case "open":
            return f"not decided; {_open(claim, round_['calendar']['score'][0])}"
        case "confirmed":
            return f"confirmed; {_audited(claim)}"
        case "refuted":
            return f"refuted; {_refuted(claim, round_.get('refuted', ()))}"
        case _:
            claimed = f"{claim['parts_claimed']} of {claim['parts']} parts were claimed"
            return f"{EXPIRED}: neither confirmed nor refuted in time, so it counts for nothing; {claimed}"


def _open(claim: Mapping[str, Any], first: int) -> str:
    last, now = claim["dispute_until"], claim["window_left"] == 0
    if claim["confirm_tick"] is None:
        claimed = f"{claim['parts_claimed']} of {claim['parts']} parts are claimed"
        return f"{claimed}; may be disputed from tick {first} to {last}"
    chunks = claim["chunks_drawn"]
    audit = f"; the audit has drawn {places(chunks)}" if chunks else ""
    confirmed = "now" if now else f"from tick {claim['confirm_tick']} on"
    return f"may be disputed to tick {last}, or until it is confirmed, which is possible {confirmed}{audit}"


def _audited(claim: Mapping[str, Any]) -> str:
    total, chunks = claim["chunks"], claim["chunks_drawn"]
    number = min(claim["chunks_audited"], total)
    audited = f"every node computed {number} of {total} chunks"
    return f"{audited}: {places(chunks)}" if chunks else audited


def _refuted(claim: Mapping[str, Any], refuted: Iterable[Mapping[str, Any]]) -> str:
    for each in refuted:
        if (each["epoch"], each["author"]) == (claim["epoch"], claim["author"]):
            place = f"chunk {each['chunk']} of part {each['part']} is false"
            return f"{place}, as {each['challenger']} has shown, {found_by(each)}"
    return "a chunk of it is false"
