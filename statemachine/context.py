"""What a transaction may know of its block, and how the pure core reads bytes. No logic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from engram.primitives.types import Address, Hash
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import Scorer


class BlobReader(Protocol):
    """Reads the bytes that transactions of earlier blocks brought."""

    def get_blob(self, blob_id: Hash) -> bytes:
        """The bytes with this content id, or of the chunk with this hash. Raises `MissingBlob`."""
        ...


@dataclass(frozen=True)
class BlockContext:
    """The facts about its block that a transaction may depend on; all but `scorer` are the same on all nodes.

    There is no time among them: deadlines are ticks, because clocks differ between nodes.
    """

    rules: Rules
    chain_id: int
    height: int
    tick: int
    """Ticks of the round clock after the block below."""
    exponent: int
    """Base exponent of fees after the block below."""
    parent: Hash
    """Id of the block below."""
    miner: Address
    """Address that is paid the fees and the subsidy."""
    blobs: BlobReader
    scorer: Scorer
    """Computes scores, perhaps from a cache; a cache changes no result."""
    active: tuple[tuple[int, int], ...]
    """(kind, height): transaction types and the first height at which a block may hold them; no others."""
