"""What transactions may know of their block: the state machine's context, from a spec and a parent header."""

from __future__ import annotations

from engram.consensus.block import BlockHeader
from engram.consensus.chainspec import ChainSpec, active_types, chain_id
from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.context import BlobReader, BlockContext
from engram.statemachine.errors import MissingBlob
from engram.statemachine.roundclock import round_clock
from engram.statemachine.scoring import Scorer
from engram.statemachine.state import State


def block_context(
    spec: ChainSpec,
    parent: BlockHeader,
    state: State,
    miner: Address,
    blobs: BlobReader,
    scorer: Scorer,
) -> BlockContext:
    """The context of the block after `parent`, which left `state`.

    The mempool uses it for a block that nobody has made yet.
    """
    clock = round_clock(state)
    return BlockContext(
        rules=spec.rules,
        chain_id=chain_id(spec),
        height=parent.height + 1,
        tick=clock.ticks,
        exponent=clock.exponent,
        parent=parent.id,
        miner=miner,
        blobs=blobs,
        scorer=scorer,
        active=active_types(spec),
    )


def body_context(spec: ChainSpec, height: int) -> BlockContext:
    """A context for checks without state: rules, chain id, height and types are right, the rest is empty."""
    return BlockContext(
        rules=spec.rules,
        chain_id=chain_id(spec),
        height=height,
        tick=0,
        exponent=0,
        parent=ZERO_HASH,
        miner=bytes(20),
        blobs=_NoBlobs(),
        scorer=Scorer(),
        active=active_types(spec),
    )


class _NoBlobs:
    """A reader that holds no blob."""

    def get_blob(self, blob_id: Hash) -> bytes:
        raise MissingBlob(expected=blob_id)
