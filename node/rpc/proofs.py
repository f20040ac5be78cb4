"""Builds proof bundles from the store; `consensus.proof` verifies them.

Everything here reads the disk: call it in a worker thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engram.consensus.block import BlockHeader
from engram.consensus.bundle import MAX_HEADERS, ProofBundle, ProvenRecord, seal_bundle
from engram.consensus.chainspec import spec_id
from engram.consensus.validation import MEDIAN_BLOCKS
from engram.node.errors import BlockNotFound, ProofTooLong
from engram.node.rpc.headview import HeadView
from engram.node.storage.store import BlockRef
from engram.primitives import smt
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.loading import line_of
from engram.statemachine.record import Record, u32
from engram.statemachine.records import Model, Version
from engram.statemachine.rounds.records import Round
from engram.statemachine.state import State, leaf_value, record_path

CONFIRMATIONS: Final = 10
"""Blocks that stand on top of the proven block, unless the caller asks for another number."""


def build_bundle(
    view: HeadView,
    model: Hash,
    number: int | None,
    checkpoint: Hash | None = None,
    confirmations: int = CONFIRMATIONS,
) -> ProofBundle:
    """The bundle that proves a version of a model, by default the current one.

    Without a checkpoint it holds all headers up to the view's head, and `confirmations` of them stand on top
    of the block whose state is proven, or fewer if the version is younger. With a checkpoint at which the
    version existed, the bundle holds that block alone and proves its state: nobody who trusts the block needs
    more. If the version is younger than the checkpoint, the bundle holds the headers from a few blocks before
    the checkpoint on; the earlier ones are needed to check the timestamps after it.

    Raises `MissingRecord` for an unknown model or version, `BlockNotFound` for a checkpoint that is not on
    the best chain, `ProofTooLong`, `StatePruned` if the proven state is deleted here.
    """
    version = view.version(model, number)
    headers, depth = _headers(view, version, checkpoint, confirmations)
    view.store.require_state(headers[-1 - depth].height)
    root = headers[-1 - depth].state_root
    state = State(view.store, root)
    round_ = None if version.round == ZERO_HASH else state.get(Round, version.round)

    def proven(record: Record) -> ProvenRecord:
        return ProvenRecord(
            leaf_value(record), smt.prove(view.store, root, record_path(type(record), record.key))
        )

    return ProofBundle(
        spec_id=spec_id(view.spec),
        headers=tuple(headers),
        depth=depth,
        model=proven(state.get(Model, model)),
        version=proven(state.get(Version, model, u32(version.number))),
        line=line_of(state, version),
        round=None if round_ is None else proven(round_),
    )


def bundle_file(bundle: ProofBundle) -> dict[str, object]:
    """The bytes of a bundle as hex, and the block whose state it proves: its id, height and confirmations."""
    block = bundle.headers[-1 - bundle.depth]
    return {
        "bundle": seal_bundle(bundle).hex(),
        "block": block.id.hex(),
        "height": block.height,
        "confirmations": bundle.depth,
    }


def _headers(
    view: HeadView, version: Version, checkpoint: Hash | None, confirmations: int
) -> tuple[Sequence[BlockHeader], int]:
    """The headers of the bundle, and how many of them stand on top of the proven block."""
    trusted = None if checkpoint is None else _trusted(view, checkpoint)
    if trusted is not None and trusted.height >= version.height:
        return [trusted.header], 0
    first = 1 if trusted is None else max(1, trusted.height - MEDIAN_BLOCKS + 1)
    return _line(view, first), max(0, min(confirmations, view.head.height - version.height))


def _trusted(view: HeadView, checkpoint: Hash) -> BlockRef:
    ref = view.block(None, checkpoint)
    if view.canonical_id(ref.height) != ref.id:
        raise BlockNotFound("the checkpoint is not on the best chain", got=checkpoint)
    return ref


def _line(view: HeadView, first: int) -> list[BlockHeader]:
    """Headers from height `first` to the view's head, lowest first. Raises `ProofTooLong`.

    They are found by following parents. The index of ids by height may already belong to a newer head.
    """
    count = view.head.height - first + 1
    if count > MAX_HEADERS:
        raise ProofTooLong(expected=MAX_HEADERS, got=count)
    ref = view.head
    headers = [ref.header]
    while ref.height > first:
        ref = view.store.parent_of(ref)
        headers.append(ref.header)
    headers.reverse()
    return headers
