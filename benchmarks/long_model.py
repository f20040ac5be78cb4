"""A model that has grown many times, made without its rounds, and one more growth that is to be revealed.

The rules are those of `consortium`. Every growth appends 40 neurons that read 512 inputs, which is what one
Gaussian model of a class takes. The growths share their bytes, so that the model is made quickly; the chain
charges and a node reads them as if they differed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.chain import key
from benchmarks.samples import round_terms
from engram.consensus import chainspec
from engram.nn.data import PartData, parse_part, part_bytes, part_commitment
from engram.nn.dtypes import IntArray
from engram.nn.growth import Growth, Policy
from engram.nn.layers import DenseSquare, Output
from engram.nn.loss import LossKind
from engram.nn.network import NetworkSpec
from engram.nn.tensor import Explicit, tensor_bytes
from engram.node.chain.verification import VerificationCache
from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.additions import GrowUpdate, SegmentSources, TrainUpdate, addition, parameters_root
from engram.statemachine.content import blob_id
from engram.statemachine.context import BlockContext
from engram.statemachine.loading import composed_network
from engram.statemachine.parameters import Composition, GrownNetwork, compose
from engram.statemachine.record import Record
from engram.statemachine.records import Account, Blob, GrowthLimits, Model, Part, Supply, Version
from engram.statemachine.rounds.calendar import Calendar, Phase
from engram.statemachine.rounds.records import (
    Commit,
    EpochBest,
    EpochResult,
    OpenedPart,
    Round,
    RoundKind,
)
from engram.statemachine.rounds.update import UpdateClaim, commit_digest
from engram.statemachine.scoring import DataPart, Scorer
from engram.statemachine.state import State
from engram.statemachine.transactions.reveal_update import RevealUpdate
from engram.statemachine.upgrades import FROM_GENESIS

INPUTS: Final = 512
NEURONS: Final = 40
CLASSES: Final = 10
ROWS: Final = 50
SALT: Final[Hash] = b"\x05" * 32
RULES: Final = chainspec.consortium((), 0).rules
OPENER: Final[Address] = key(1).address
AUTHOR: Final[Address] = key(2).address
MODEL: Final[Hash] = b"\x22" * 32
ROUND: Final[Hash] = b"\x11" * 32
KIND: Final = LossKind.SOFTMAX_CROSS_ENTROPY


@dataclass(frozen=True)
class LongModel:
    """The state in which one more growth of a long model is revealed."""

    state: State
    ctx: BlockContext
    reveal: RevealUpdate
    network: Composition
    version: Version


class Nodes(dict[Hash, bytes]):
    """Tree nodes and blobs in memory."""

    def get_node(self, node_hash: Hash) -> bytes:
        return self[node_hash]

    def get_blob(self, blob_id: Hash) -> bytes:
        return self[blob_id]


def long_model(growths: int) -> LongModel:
    """A model with so many growths, in the phase in which the next one is revealed."""
    blobs = Nodes()
    founding, step = _founding(blobs), _step(blobs)
    network = compose(None, addition(ZERO_HASH, OPENER, founding))
    versions = [_version(0, ZERO_HASH, network.root, founding)]
    for number in range(growths):
        parent, update = network.root, step(number)
        network = compose(network, addition(parent, AUTHOR, update))
        versions.append(_version(number + 1, parent, network.root, update))
    raw = _part()
    blobs[blob_id(raw)] = raw
    part = Part(part_commitment(SALT, raw), blob_id(raw), ROWS, INPUTS, CLASSES, OPENER, ROUND, 1)
    round_ = _round(growths, network.root, part.id)
    tick = Calendar.of(round_, RULES).span(Phase.UPDATE).first
    scorer = Scorer(VerificationCache(scores_bytes=0))
    ctx = BlockContext(RULES, 1, tick + 2, tick, 0, ZERO_HASH, bytes(20), blobs, scorer, FROM_GENESIS)
    reveal = _reveal(ctx, network, step(growths), DataPart(part.id, lambda: _rows(raw)))
    claim = UpdateClaim(1, AUTHOR, ROUND, 0, reveal.base, reveal.parameters, reveal.loss, reveal.salt)
    records: list[Record] = [Supply(2 * 10**15, 0), Account(AUTHOR, 10**15), Account(OPENER, 10**15)]
    records += [*versions, part, round_, _model(growths, network.root)]
    records += [Blob(name, len(own), 0, 0, 1) for name, own in blobs.items()]
    records.append(Commit(ROUND, 0, AUTHOR, commit_digest(claim), 10**8, 5))
    nodes = Nodes()
    state = State(nodes, ZERO_HASH)
    for record in records:
        state.put(record)
    root, added = state.commit()
    nodes.update(added)
    return LongModel(State(nodes, root), ctx, reveal, network, versions[-1])


def _founding(blobs: Nodes) -> TrainUpdate:
    spec = NetworkSpec(INPUTS, CLASSES, (), (), (Output(0, 0, INPUTS, 0, CLASSES, 0, 8),))
    zeros = _explicit(np.zeros((INPUTS, CLASSES), np.int8), blobs)
    return TrainUpdate(spec, (), (SegmentSources(zeros, _explicit(np.zeros(CLASSES, np.int32), blobs)),))


def _step(blobs: Nodes) -> Callable[[int], GrowUpdate]:
    """Makes the growth after so many others."""
    rng = np.random.default_rng(7)
    weights = _explicit(rng.integers(-3, 4, (INPUTS, NEURONS)).astype(np.int8), blobs)
    bias = _explicit(np.zeros(NEURONS, np.int32), blobs)
    heads = _explicit(rng.integers(-3, 4, (NEURONS, CLASSES)).astype(np.int8), blobs)
    head_bias = _explicit(np.zeros(CLASSES, np.int32), blobs)

    def step(number: int) -> GrowUpdate:
        first = NEURONS * number
        hidden = DenseSquare(1, 0, INPUTS, NEURONS, s1=9, h=7, s2=6, bits=8, weight_bits=8)
        output = Output(1, first, first + NEURONS, 0, CLASSES, 0, 8)
        sources = SegmentSources(weights, bias), SegmentSources(heads, head_bias)
        return GrowUpdate(Growth(0, (hidden,), (output,), ()), sources[:1], sources[1:])

    return step


def _explicit(array: IntArray, blobs: Nodes) -> Explicit:
    raw = tensor_bytes(array)
    blobs[blob_id(raw)] = raw
    return Explicit(blob_id(raw))


def _part() -> bytes:
    rng = np.random.default_rng(3)
    features = rng.integers(0, 256, (ROWS, INPUTS)).astype(np.uint8)
    return part_bytes(features, (np.arange(ROWS) % CLASSES).astype(np.uint16))


def _rows(raw: bytes) -> PartData:
    return parse_part(raw, rows=ROWS, inputs=INPUTS, classes=CLASSES)


def _reveal(ctx: BlockContext, network: Composition, update: GrowUpdate, part: DataPart) -> RevealUpdate:
    """A true claim. It leaves the activations of the model on the part in the cache, as a node does."""
    base = composed_network(ctx, network)
    ctx.scorer.network_rows(base, part, CLASSES, KIND, keep=True)
    root = parameters_root(network.root, AUTHOR, update)
    grown = GrownNetwork(root, base, update, ctx.blobs.get_blob)
    loss = ctx.scorer.score_growth(grown, part, CLASSES, KIND).loss
    return RevealUpdate(ROUND, 0, network.root, root, loss, SALT, update)


def _version(number: int, parent: Hash, root: Hash, added: TrainUpdate | GrowUpdate) -> Version:
    author, kind = (AUTHOR, RoundKind.GROW) if number else (OPENER, RoundKind.TRAIN)
    return Version(MODEL, number, parent, root, added, author, ROUND, 1, int(kind), 0, 0, 0, 0, 0, 0)


def _model(growths: int, root: Hash) -> Model:
    return Model(
        id=MODEL,
        founder=OPENER,
        policy=int(Policy.GATED),
        loss_kind=int(KIND),
        threshold_ppm=900_000,
        retention_epsilon_ppm=20_000,
        retention_delta_ppm=250_000,
        lost_cap_ppm=200_000,
        growth_limits=GrowthLimits(),
        inputs=INPUTS,
        classes=CLASSES,
        classes_before_growth=CLASSES,
        head=growths,
        root=root,
        frozen=True,
        loss=0,
        loss_rows=0,
        open_round=ROUND,
        rounds=growths,
    )


def _round(version: int, base: Hash, part: Hash) -> Round:
    """A round in which one part was revealed, on which version t is said to be bad enough for any update."""
    terms = round_terms(
        kind=int(RoundKind.GROW),
        new_classes=0,
        commitments=(part, bytes(32)),
        rows=ROWS,
        old_rows=30,
        max_update_bytes=100_000,
        max_update_neurons=NEURONS,
        max_update_macs=10**9,
    )
    return Round(
        id=ROUND,
        model=MODEL,
        opener=OPENER,
        terms=terms,
        opened=0,
        version=version,
        base=base,
        classes=CLASSES,
        old_classes=CLASSES,
        standing=(),
        bond=10**9,
        pot=10**9,
        reveal_ended=20,
        validation_drawn=(part,),
        validation_opened=(OpenedPart(part, OPENER, ROWS, 0, 2**40, True),),
        validation_counts=(ROWS // CLASSES,) * CLASSES,
        results=(EpochResult(),),
        best=(EpochBest(),),
    )
