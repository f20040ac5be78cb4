"""Builds proof bundles from the store; `consensus.proof` verifies them.

Everything here reads the disk: call it in a worker thread.
"""

from __future__ import annotations

from dataclasses import replace

from engram.consensus.block import BlockHeader
from engram.consensus.proof import MAX_HEADERS, ProofBundle, ProvenRecord, seal_bundle
from engram.consensus.validation import MEDIAN_BLOCKS
from engram.node.errors import BlockNotFound, ProofTooLong
from engram.node.rpc.headview import HeadView
from engram.primitives import smt
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.record import Record
from engram.statemachine.records import Model
from engram.statemachine.rounds.records import Round
from engram.statemachine.state import leaf_value, record_path


def build_bundle(view: HeadView, model: Hash, number: int | None, checkpoint: Hash | None = None) -> bytes:
    """The bundle that proves a version of a model, by default the current one, at the view's head.

    Without a checkpoint it holds all headers of the chain. With one, it holds the headers from a few blocks
    before the checkpoint on; the earlier ones are needed to check the timestamps after it. Raises
    `MissingRecord` for an unknown model or version, `BlockNotFound` for a checkpoint that is not on the best
    chain, `ProofTooLong`.
    """
    version = view.version(model, number)
    round_ = None if version.round == ZERO_HASH else view.state.get(Round, version.round)
    return seal_bundle(
        ProofBundle(
            spec=replace(view.spec, upgrades=()),
            headers=_headers(view, _first_height(view, checkpoint)),
            model=_proven(view, view.state.get(Model, model)),
            version=_proven(view, version),
            round=None if round_ is None else _proven(view, round_),
        )
    )


def _first_height(view: HeadView, checkpoint: Hash | None) -> int:
    if checkpoint is None:
        return 1
    ref = view.block(None, checkpoint)
    if view.canonical_id(ref.height) != ref.id:
        raise BlockNotFound("the checkpoint is not on the best chain", got=checkpoint)
    return max(1, ref.height - MEDIAN_BLOCKS + 1)


def _headers(view: HeadView, first: int) -> tuple[BlockHeader, ...]:
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
    return tuple(reversed(headers))


def _proven(view: HeadView, record: Record) -> ProvenRecord:
    path = record_path(type(record), record.key)
    return ProvenRecord(leaf_value(record), smt.prove(view.store, view.head.state_root, path))
