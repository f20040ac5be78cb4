"""What a transaction sees of its block, and how the pure core is handed bytes. No logic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from engram.primitives.types import Address, Hash
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import Scorer


class BlobReader(Protocol):
    """The bytes that the bodies of this block's ancestors brought."""

    def get_blob(self, blob_id: Hash) -> bytes:
        """The bytes with this content id, or of the chunk with this hash. Raises `MissingBlob`."""
        ...


@dataclass(frozen=True)
class BlockContext:
    """The block that a transaction stands in. Every field but `scorer` is the same on every node.

    It has no time: heights are all that a transaction can wait for.
    """

    rules: Rules
    chain_id: int
    height: int
    parent: Hash
    """Id of the block below."""
    miner: Address
    """Who is paid the fees and the subsidy."""
    blobs: BlobReader
    scorer: Scorer
    """Computes scores, perhaps from a cache; a cache changes no result."""
    active: tuple[tuple[int, int], ...]
    """(kind, height): transaction types and the first height at which a block may hold them; no others."""
