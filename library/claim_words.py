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


def claimed_sentence(known: Mapping[str, Any]) -> str:
    """How much of the claim about a version nodes have computed; `known` has the facts of its proof."""
    claims = known["claims"]
    audited, chunks = claims["audited"], claims["chunks"]
    of_all = f"{min(audited, chunks)} of the {chunks:,} chunks of this claim"
    if known["kind"] == "grow":
        of_all = f"{audited} chunks of it, out of {chunks:,} of the round's rows and those of older rows"
    return (
        f"Every node computed {of_all}, drawn by the chain; the rest stands because nobody proved it false "
        f"within {claims['window']:,} ticks."
    )


def not_computed(known: Mapping[str, Any]) -> list[str]:
    """What a proof leaves open of a version whose scores were claimed; nothing of other versions."""
    claims = known["claims"]
    if claims is None or not known["version"]:
        return []
    return [
        "That the losses which its author claimed are right. Not every node computed them: they are right if "
        f"one honest watcher computed all of them within those {claims['window']:,} ticks, and one honest "
        "miner would have taken a dispute into a block."
    ]
