"""Asks a node how the updates of a round do, and gives the field in which commands print the reasons.

The words are the node's own (`node/rpc/outcomes.py`), which the explorer shows, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engram.commands.support.claims import refuted_line
from engram.node.amounts import format_coins
from engram.node.epochs import in_epoch
from engram.node.errors import RemoteError, StatePruned
from engram.node.rpc.outcomes import reasons

if TYPE_CHECKING:
    from engram.node.client import RpcClient


async def with_verdicts(client: RpcClient, round_: dict[str, Any]) -> dict[str, Any]:
    """Adds to a round, as `round_get` gives it, the verdicts on its candidates and its closed commits.

    Of an old round the node may have deleted what they are judged by: `unjudged` says so then, else it is
    null.
    """
    verdicts, unjudged = [], None
    try:
        verdicts = await client.call("round_verdicts", id=round_["id"])
    except RemoteError as error:
        if error.code != StatePruned.code:
            raise
        unjudged = error.message
    return {
        **round_,
        "verdicts": verdicts,
        "unjudged": unjudged,
        "commits": await client.call("round_commits", id=round_["id"]),
    }


def verdict_fields(round_: Mapping[str, Any]) -> Sequence[tuple[str, object]]:
    """The field "why" with the reasons; empty if there are none."""
    return [("why", found)] if (found := reasons(round_)) else []


async def with_failed(client: RpcClient, round_: dict[str, Any]) -> dict[str, Any]:
    """Adds to a round under `failed` its transactions that failed in their block, and under `refuted` the
    claims of scores that were refuted, both in the chain's order.
    """
    found: list[Any] = []
    refuted: list[Any] = []
    first: int | None = 0
    while first is not None:
        page = await client.call("round_failures", id=round_["id"], first=first)
        found += page["failed"]
        refuted += page["refuted"]
        first = page["next"]
    return {**round_, "failed": found, "refuted": refuted}


def failed_fields(round_: Mapping[str, Any]) -> Sequence[tuple[str, object]]:
    """The field "caught", with a line for each transaction of the round that failed, and for each claim that
    was refuted; empty without any.
    """
    lines = [_failed_line(failed) for failed in round_.get("failed", ())]
    lines += [refuted_line(refuted) for refuted in round_.get("refuted", ())]
    return [("caught", lines)] if lines else []


def _failed_line(failed: Mapping[str, Any]) -> str:
    epoch = "" if failed["epoch"] is None else f"{in_epoch(failed['epoch'])}, "
    burned = f"; lost a bond of {format_coins(failed['bond_burned'])} coins" if failed["bond_burned"] else ""
    return f"{epoch}{failed['author']}: {failed['action']}: {failed['why']}{burned} [{failed['code']}]"
