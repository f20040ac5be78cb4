"""How the scores of a model are verified, if not every node computes each of them. Data only."""

from __future__ import annotations

from dataclasses import dataclass

from engram.primitives.types import U8, U32


@dataclass(frozen=True)
class ClaimTerms:
    """The founder's choice that authors claim the scores of their updates, for the model's whole life.

    A claim stands unless somebody refutes it in time. Where a model has no such terms, every node computes
    every score.
    """

    window: U32
    """Ticks that have to pass between the last claim of an author and its confirmation: whoever recomputes
    claims has so much time to refute one."""
    audited: U8
    """Chunks of rows that a confirmation draws, and which every node recomputes."""
