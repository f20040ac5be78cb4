"""A chain of headers, mined but never executed, whose head carries the records that a proof bundle needs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engram.consensus.block import NONCE_BYTES, BlockHeader
from engram.consensus.bundle import ProofBundle, ProvenRecord
from engram.consensus.chainspec import ChainSpec, spec_id
from engram.consensus.difficulty import next_bits
from engram.consensus.genesis import NOBODY, genesis
from engram.nn.layers import Output
from engram.nn.spec import NetworkSpec
from engram.nn.tensor import Explicit
from engram.primitives import smt
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.additions import Addition, SegmentSources, TrainUpdate, addition, parameters_root
from engram.statemachine.record import Record
from engram.statemachine.records import GrowthLimits, Model, NamedWitness, Version
from engram.statemachine.rounds.records import (
    GroupScore,
    OpenedPart,
    Round,
    RoundKind,
    RoundStatus,
    RoundTerms,
    RoundWitness,
    Tally,
)
from engram.statemachine.state import State, leaf_value, record_path
from tests.support.memory_chain import easy_spec, key, search
from tests.support.smt_reference import Nodes

FOUNDER, AUTHOR, WITNESS = (key(number).address for number in (1, 2, 3))
MODEL, ROUND = b"\x01" * 32, b"\x02" * 32
TENSORS = (b"\x0a" * 32, b"\x0b" * 32)
VALIDATION, SEALED, WITNESSED = (bytes([number]) * 32 for number in (0x21, 0x22, 0x23))

TARGET = (1 << 244).to_bytes(32, "big")
"""One digest in 4096: a header changed at random keeps its proof of work that rarely."""
SPEC: ChainSpec = replace(easy_spec([key(1)]), genesis_target=TARGET, max_target=TARGET, upgrades=())
BLOCK_MS = SPEC.block_time_ms

_NETWORK = NetworkSpec(4, 2, (), (), (Output(0, 0, 4, 0, 2, 0, 8),))
_ADDED = TrainUpdate(_NETWORK, (), (SegmentSources(Explicit(TENSORS[0]), Explicit(TENSORS[1])),))
_ROOT = parameters_root(b"\x03" * 32, AUTHOR, _ADDED)

ROUND_RECORD = Round(
    id=ROUND,
    model=MODEL,
    opener=FOUNDER,
    terms=RoundTerms(
        kind=int(RoundKind.TRAIN),
        new_classes=0,
        commitments=(VALIDATION, SEALED),
        rows=100,
        old_rows=0,
        validation=1,
        sealed=1,
        epochs=1,
        open_window=3,
        reveal_window=3,
        commit_window=3,
        update_window=3,
        witness_window=3,
        audit_window=3,
        score_window=3,
        gap=2,
        max_update_bytes=1_000,
        max_update_neurons=10,
        max_update_macs=1_000,
        opener_bond=10,
        author_bond=1,
        bounty=0,
        witness_fee=0,
        z_squared=9,
        nonce_hash=ZERO_HASH,
        witnesses=(NamedWitness(WITNESS, False),),
    ),
    opened=1,
    version=0,
    base=b"\x03" * 32,
    classes=2,
    old_classes=2,
    standing=(),
    status=int(RoundStatus.DECIDED),
    witnesses=(RoundWitness(WITNESS, False, True, WITNESSED, bond=0, fee=0, opened=True),),
    validation_opened=(OpenedPart(VALIDATION, FOUNDER, 100, 100, 900, True),),
    unseen=(
        OpenedPart(WITNESSED, WITNESS, 100, 100, 900, True),
        OpenedPart(SEALED, FOUNDER, 100, 100, 900, True),
    ),
    winner=AUTHOR,
    winner_groups=(
        GroupScore(rows=100, loss=40, growth=Tally(900), frequencies=Tally(700)),
        GroupScore(rows=100, loss=60, growth=Tally(800), frequencies=Tally(900)),
    ),
    new_version=1,
)
MODEL_RECORD = Model(
    id=MODEL,
    founder=FOUNDER,
    policy=0,
    loss_kind=0,
    threshold_ppm=100_000,
    retention_epsilon_ppm=20_000,
    retention_delta_ppm=250_000,
    lost_cap_ppm=200_000,
    growth_limits=GrowthLimits(),
    inputs=4,
    classes=2,
    classes_before_growth=0,
    head=1,
    root=_ROOT,
    frozen=True,
    loss=100,
    loss_rows=200,
    open_round=ZERO_HASH,
    rounds=1,
)
VERSION_RECORD = Version(
    model=MODEL,
    number=1,
    parent=b"\x03" * 32,
    root=_ROOT,
    added=_ADDED,
    author=AUTHOR,
    round=ROUND,
    height=9,
    kind=int(RoundKind.TRAIN),
    validation_loss=80,
    validation_rows=100,
    sealed_loss=100,
    sealed_rows=200,
    sealed_correct=190,
    sent_tensor_bytes=100,
)

LINE = (addition(VERSION_RECORD.parent, AUTHOR, _ADDED),)
RECORDS: tuple[Record, ...] = (MODEL_RECORD, VERSION_RECORD, ROUND_RECORD)


@dataclass(frozen=True)
class Tree:
    """A state tree that holds records, and their proofs."""

    root: Hash
    nodes: Nodes

    def proven(self, record: Record) -> ProvenRecord:
        proof = smt.prove(self.nodes, self.root, record_path(type(record), record.key))
        return ProvenRecord(leaf_value(record), proof)


def tree_of(*records: Record) -> Tree:
    state = State(Nodes(), ZERO_HASH)
    for record in records:
        state.put(record)
    root, nodes = state.commit()
    return Tree(root, Nodes(nodes))


def mined(spec: ChainSpec, line: list[BlockHeader], **fields: object) -> BlockHeader:
    """The next valid header after `line` (genesis first), with other fields where given."""
    parent, grandparent = line[-1], line[-2] if len(line) > 1 else None
    header = BlockHeader(
        version=1,
        height=parent.height + 1,
        parent=parent.id,
        timestamp_ms=parent.timestamp_ms + spec.block_time_ms,
        target=next_bits(spec, parent, grandparent),
        miner=NOBODY,
        transactions_root=ZERO_HASH,
        receipts_root=ZERO_HASH,
        state_root=ZERO_HASH,
        nonce=bytes(NONCE_BYTES),
    )
    header = replace(header, **fields)  # type: ignore[arg-type]  # fields by name
    return replace(header, nonce=search(spec, header))


def mined_line(spec: ChainSpec, blocks: int, root: Hash, depth: int = 0) -> list[BlockHeader]:
    """Genesis and `blocks` headers after it; the one `depth` below the last has this state root."""
    line = [genesis(spec).block.header]
    for number in range(1, blocks + 1):
        line.append(mined(spec, line, state_root=root if number == blocks - depth else ZERO_HASH))
    return line


def bundle_of(
    line: list[BlockHeader],
    tree: Tree,
    *,
    first: int = 1,
    depth: int = 0,
    spec: ChainSpec = SPEC,
    model: Model = MODEL_RECORD,
    version: Version = VERSION_RECORD,
    round_: Round | None = ROUND_RECORD,
    line_: tuple[Addition, ...] | None = None,
) -> ProofBundle:
    """The bundle of these records, `depth` headers below the end of a line.

    `first` is the height of its first header.
    """
    return ProofBundle(
        spec_id(spec),
        tuple(line[first:]),
        depth,
        tree.proven(model),
        tree.proven(version),
        line_ or (LINE if version.addition is None else (version.addition,)),
        None if round_ is None else tree.proven(round_),
    )
