"""Asks a node how the updates of a round do, and gives the field in which commands print the reasons.

The words are the node's own (`node/rpc/outcomes.py`), which the explorer shows, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engram.node.rpc.outcomes import reasons

if TYPE_CHECKING:
    from engram.node.client import RpcClient


async def with_verdicts(client: RpcClient, round_: dict[str, Any]) -> dict[str, Any]:
    """Adds to a round, as `round_get` gives it, the verdicts on its candidates and its closed commits."""
    verdicts = await client.call("round_verdicts", id=round_["id"])
    return {
        **round_,
        "verdicts": verdicts,
        "commits": await client.call("round_commits", id=round_["id"]),
    }


def verdict_fields(round_: Mapping[str, Any]) -> Sequence[tuple[str, object]]:
    """The field "why" with the reasons; empty if there are none."""
    return [("why", found)] if (found := reasons(round_)) else []
