"""Putting a block together: as many of the given transactions as fit, on the state of a given parent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from engram.consensus.block import (
    HEADER_VERSION,
    NONCE_BYTES,
    Block,
    BlockHeader,
    receipts_root,
    transactions_root,
)
from engram.consensus.chainspec import ChainSpec
from engram.consensus.context import block_context
from engram.primitives.errors import Invalid, NotReady
from engram.primitives.smt import NodeReader
from engram.primitives.types import Address, Hash
from engram.statemachine.context import BlobReader
from engram.statemachine.scoring import Scorer
from engram.statemachine.state import State
from engram.statemachine.transaction import Transaction
from engram.statemachine.transition import BlockExecution, TransitionResult


@dataclass(frozen=True)
class Template:
    """A block that lacks nothing but its proof of work."""

    header: BlockHeader
    """Its nonce is zero: a search replaces the last bytes of the encoding, see `pow_prefix`."""
    transactions: tuple[Transaction, ...]
    result: TransitionResult
    """What executing the block gave; the header commits to it."""
    skipped: Mapping[Hash, str]
    """Txid -> error code of every candidate that this block cannot hold; another block may hold it."""

    def seal(self, nonce: bytes) -> Block:
        """The block with this nonce of 8 bytes; valid if its digest meets the target."""
        return Block(replace(self.header, nonce=nonce), self.transactions)


def assemble(
    spec: ChainSpec,
    parent: BlockHeader,
    reader: NodeReader,
    candidates: Iterable[Transaction],
    *,
    miner: Address,
    timestamp_ms: int,
    bits: int,
    blobs: BlobReader,
    scorer: Scorer,
    verified: frozenset[Hash] = frozenset(),
) -> Template:
    """The block after `parent` with every candidate that can be included; each is tried once, in order.

    `timestamp_ms` must exceed the median time, `bits` is `next_bits`, `reader` holds the nodes under the
    parent's state root, and `verified` are ids of candidates whose signatures are known to be good. The same
    arguments give the same template, and `validate_execution` accepts it.

    Raises `UpgradeRequired` if this software lacks a transaction type that is in force at this height.
    """
    state = State(reader, parent.state_root)
    ctx = block_context(spec, parent, state, miner, blobs, scorer)
    execution = BlockExecution(state, ctx)
    included: list[Transaction] = []
    skipped: dict[Hash, str] = {}
    for tx in candidates:
        try:
            execution.add(tx, verified=verified)
        except (Invalid, NotReady) as error:
            skipped[tx.id] = error.code
        else:
            included.append(tx)
    result = execution.finish()
    header = BlockHeader(
        version=HEADER_VERSION,
        height=ctx.height,
        parent=ctx.parent,
        timestamp_ms=timestamp_ms,
        target=bits,
        miner=miner,
        transactions_root=transactions_root([receipt.txid for receipt in result.receipts]),
        receipts_root=receipts_root(result.receipts),
        state_root=result.root,
        nonce=bytes(NONCE_BYTES),
    )
    return Template(header, tuple(included), result, skipped)
