"""The first block of a chain, made from its ChainSpec and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engram.consensus.block import (
    HEADER_VERSION,
    NONCE_BYTES,
    Block,
    BlockHeader,
    receipts_root,
    transactions_root,
)
from engram.consensus.chainspec import ChainSpec, check_spec, spec_id
from engram.consensus.compact import target_to_bits
from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.records import Account, Supply
from engram.statemachine.state import State

NOBODY: Address = bytes(20)
"""The miner address of genesis, of which nobody knows a key."""


@dataclass(frozen=True)
class Genesis:
    """The first block and the state after it."""

    block: Block
    id: Hash
    """Id of the block."""
    nodes: Mapping[Hash, bytes]
    """Tree nodes of the state, by hash; the root is in the header. None if the chain has an origin:
    whoever made the chain has written them.
    """


def genesis(spec: ChainSpec) -> Genesis:
    """The genesis block: no transactions, no proof of work; its parent field is the spec id.

    Its state holds an `Account` for each allocation, and one `Supply` that counts their sum as issued. Where
    the spec has an origin, it says the root of the state. Raises `BadSpec`, `CodecError`.
    """
    check_spec(spec)
    if spec.origin is not None:
        return _first_block(spec, spec.origin.state_root, {})
    state = State(_NoNodes(), ZERO_HASH)
    for allocation in spec.allocations:
        state.put(Account(allocation.address, allocation.amount))
    state.put(Supply(issued=sum(allocation.amount for allocation in spec.allocations)))
    return _first_block(spec, *state.commit())


def _first_block(spec: ChainSpec, root: Hash, nodes: Mapping[Hash, bytes]) -> Genesis:
    header = BlockHeader(
        version=HEADER_VERSION,
        height=0,
        parent=spec_id(spec),
        timestamp_ms=spec.genesis_time_ms,
        target=target_to_bits(int.from_bytes(spec.genesis_target, "big")),
        miner=NOBODY,
        transactions_root=transactions_root(()),
        receipts_root=receipts_root(()),
        state_root=root,
        nonce=bytes(NONCE_BYTES),
    )
    return Genesis(Block(header, ()), header.id, nodes)


class _NoNodes:
    """A reader of the empty tree, which has no nodes."""

    def get_node(self, node_hash: bytes) -> bytes:
        raise KeyError(node_hash)
