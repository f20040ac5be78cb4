"""What happens in each phase of a round, in a few words for people."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

PHASES: Final = MappingProxyType(
    {
        "open": "witnesses seal parts of their own",
        "draw": "the chain draws which parts are revealed",
        "wait": "a gap, in which nothing is accepted",
        "reveal": "the opener reveals the drawn parts",
        "commit": "authors train, and commit to updates",
        "update": "authors reveal their updates",
        "audit_witnesses": "witnesses open their sealed parts",
        "audit": "the opener opens the sealed parts",
        "score": "every node scores the updates on unseen rows",
        "closed": "the round is settled",
    }
)
"""By the name of a `Phase`, as RPC gives it."""
