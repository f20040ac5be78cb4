"""What it means that the scores of a model are claimed, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

ASSUMED: Final = (
    "authors claim their scores, and a node computes only what somebody disputes and what an audit draws: a "
    "version is right if within the dispute window one honest watcher (`engram watch`) recomputes each claim "
    "and one honest miner takes its dispute into a block"
)
"""What is assumed of a model with disputed claims."""


def claim_words(claims: Mapping[str, int] | None) -> str:
    """How the scores of a model are verified; `claims` are its `ClaimTerms`, or None."""
    if claims is None:
        return "every node computes every score"
    return (
        f"authors claim scores, anyone may dispute them for {claims['window']} ticks, "
        f"{claims['audited']} chunks are audited"
    )


def not_computed(known: Mapping[str, Any]) -> list[str]:
    """What a proof leaves open of a version whose scores were claimed; nothing of other versions."""
    claims = known["claims"]
    if claims is None or not known["version"]:
        return []
    chunks = "one chunk" if claims["audited"] == 1 else f"{claims['audited']} chunks"
    return [
        "That every node has computed its losses. Not every node computed this: it was claimed row by row, "
        f"could be disputed for {claims['window']:,} ticks, and {chunks} of rows, drawn by the chain, were "
        "audited by every node. That the claim is true rests on one honest watcher, who computed all of it "
        "in that time, and on one honest miner, who would have taken a dispute into a block."
    ]
