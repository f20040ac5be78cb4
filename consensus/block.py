"""Header and block, their bytes, ids and list roots. No validity rules, no storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Final

from engram.primitives.codec import encode
from engram.primitives.hashing import Tag, hash_object
from engram.primitives.merkle import list_root
from engram.primitives.types import U16, U32, U64, Address, Hash, Size
from engram.statemachine.receipt import Receipt
from engram.statemachine.transaction import Transaction

HEADER_VERSION: Final = 1
NONCE_BYTES: Final = 8
MAX_TRANSACTIONS: Final = 2**20
"""The bound that the codec needs. No body comes near it: the bytes of a body are limited long before."""


@dataclass(frozen=True)
class BlockHeader:
    """What proof of work is done over. It commits to the blocks before, the body and the state afterwards."""

    version: U16
    height: U64
    """One more than the parent's; genesis has height 0."""
    parent: Hash
    """Id of the block before; of genesis, the id of the ChainSpec."""
    timestamp_ms: U64
    """Milliseconds since 1970 by the miner's clock."""
    target: U32
    """Compact bits of the largest digest allowed."""
    miner: Address
    """Address to which the subsidy and the fees are credited."""
    transactions_root: Hash
    receipts_root: Hash
    state_root: Hash
    """Root of the state after the block."""
    nonce: Annotated[bytes, Size(NONCE_BYTES, NONCE_BYTES)]
    """The miner chooses it freely. It comes last, so that a search varies only the end of the encoding."""

    @cached_property
    def id(self) -> Hash:
        """Id of the header and of its block: the tagged hash of the encoding, nonce included."""
        return hash_object(Tag.HEADER, self)


@dataclass(frozen=True)
class Block:
    """A header and the transactions that its root commits to, in order."""

    header: BlockHeader
    transactions: Annotated[tuple[Transaction, ...], Size(0, MAX_TRANSACTIONS)]


def pow_prefix(header: BlockHeader) -> bytes:
    """The encoding of the header without its nonce: `pow_prefix(header) + nonce` is what a miner hashes."""
    return encode(header)[:-NONCE_BYTES]


def transactions_root(txids: Sequence[bytes]) -> bytes:
    """Merkle list root of the transactions' ids in order; an id covers every byte, the signature included."""
    return list_root(txids)


def receipts_root(receipts: Sequence[Receipt]) -> bytes:
    """Merkle list root of the encoded receipts, in the order of the transactions."""
    return list_root([encode(receipt) for receipt in receipts])
