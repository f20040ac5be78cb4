"""The matter of small rounds: secret parts, tiny real networks, terms and foundings.

The data: feature 0 tells class 0 (low) from class 1 (high), feature 1 marks class 2. Feature 2 + i tells the
label in part i and lies in every other part: who trains on a validation part alone learns it, and fails the
sealed ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engram.nn.data import part_bytes, part_commitment
from engram.nn.dtypes import IntArray
from engram.nn.growth import Growth, Policy
from engram.nn.layers import DenseRelu, Output
from engram.nn.network import NetworkSpec
from engram.nn.tensor import Explicit, tensor_bytes
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.additions import GrowUpdate, Half, SegmentSources, TrainUpdate, Update
from engram.statemachine.content import blob_id
from engram.statemachine.rounds.draw import nonce_hash
from engram.statemachine.rounds.records import RoundKind, RoundTerms
from engram.statemachine.rounds.terms import Founding
from engram.statemachine.rules import Rules
from tests.support.ledger import key

COIN = 10**8
OPENER, ALICE, BOB, CAROL, WITNESS = (key(number) for number in range(1, 6))
ACTORS = (OPENER, ALICE, BOB, CAROL, WITNESS)
PURSE = 1_000 * COIN

SMALL_RULES = Rules(
    min_window_ticks=1,
    min_gap_ticks=0,
    draw_ticks=2,
    tick_ring=64,
    maturity_blocks=3,
    min_parts=2,
    min_sealed=1,
    min_sealed_rows=8,
    min_witness_rows=8,
    min_old_rows=6,
    min_z_squared=4,
)
"""Rules under which rounds have few rows and short windows."""
NONCE = b"\x07" * 32
SALT = b"\x05" * 32
LABELS = 3
"""Classes that the data know of."""


@dataclass(frozen=True)
class SecretPart:
    """A part with the salt that keeps it secret."""

    salt: Hash
    raw: bytes

    @property
    def commitment(self) -> Hash:
        return part_commitment(self.salt, self.raw)


def make_part(
    index: int,
    *,
    parts: int,
    classes: int = 2,
    rows: int = 8,
    seed: int = 0,
    names: Sequence[int] = (0, 1, 2),
) -> SecretPart:
    """Part `index` of a split into `parts`: rows of every class in turn; class j is labelled names[j]."""
    rng = np.random.default_rng((seed, index))
    labels = (np.arange(rows) % classes).astype(np.uint16)
    features = np.zeros((rows, 2 + parts), dtype=np.uint8)
    centre = np.array([50, 206, 128])[labels]
    features[:, 0] = centre + rng.integers(-12, 13, rows)
    features[:, 1] = np.where(labels == 2, 220, 0) + rng.integers(0, 8, rows)
    for other in range(parts):
        tells = (labels == 1) if other == index else (labels != 1)
        features[:, 2 + other] = np.where(tells, 240, 10)
    salt = hashlib.sha256(b"salt %d %d" % (seed, index)).digest()
    return SecretPart(salt, part_bytes(features, np.array(names, dtype=np.uint16)[labels]))


@dataclass(frozen=True)
class Weights:
    """Blocks of a network or a growth with their numbers."""

    spec: NetworkSpec | Growth
    hidden: tuple[SegmentSources, ...]
    outputs: tuple[SegmentSources, ...]
    tensors: tuple[bytes, ...]
    halves: tuple[Half, ...] = ()
    statistics: Hash = ZERO_HASH

    @property
    def update(self) -> Update:
        if isinstance(self.spec, Growth):
            sources = self.hidden, self.outputs, self.tensors
            return GrowUpdate(self.spec, *sources, self.halves, self.statistics)
        return TrainUpdate(self.spec, self.hidden, self.outputs, self.tensors)


def source(array: IntArray) -> tuple[Explicit, bytes]:
    raw = tensor_bytes(array)
    return Explicit(blob_id(raw)), raw


def block(
    weights: Sequence[Sequence[int]], bias: Sequence[int]
) -> tuple[SegmentSources, tuple[bytes, bytes]]:
    """The sources of one int8 block, and its tensors."""
    w, w_raw = source(np.array(weights, dtype=np.int8))
    b, b_raw = source(np.array(bias, dtype=np.int32))
    return SegmentSources(w, b), (w_raw, b_raw)


def column(inputs: int, feature: int, weight: int = 1) -> list[list[int]]:
    """Weights of one neuron that reads one feature."""
    return [[weight if row == feature else 0] for row in range(inputs)]


def distinct(*tensors: bytes) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(tensors))


def network(inputs: int, gain: int, *, feature: int = 0, classes: int = 2, nudge: int = 0) -> Weights:
    """inputs-1-classes: one neuron reads a feature; the further it is from 128, the surer the network.

    Gain 0 knows nothing; `nudge` shifts one bias by next to nothing.
    """
    hidden, hidden_tensors = block(column(inputs, feature), [0])
    weights = [-gain, gain][:classes] + [0] * (classes - 2)
    outputs, output_tensors = block([weights], [-128 * value + nudge * (value > 0) for value in weights])
    spec = NetworkSpec(
        inputs,
        classes,
        (),
        (DenseRelu(1, 0, inputs, 1, 0, 8, 8),),
        (Output(1, 0, 1, 0, classes, -8, 8),),
    )
    return Weights(spec, (hidden,), (outputs,), distinct(*hidden_tensors, *output_tensors))


def growth(inputs: int, gain: int, *, classes: int = 2, feature: int = 1) -> Weights:
    """On a network of one neuron: a second that reads the mark of a new class, and that class's output."""
    hidden, hidden_tensors = block(column(inputs, feature), [0])
    outputs, output_tensors = block([[gain]], [-128 * gain])
    spec = Growth(
        1,
        (DenseRelu(1, 0, inputs, 1, 0, 8, 8),),
        (Output(1, 1, 2, classes, 1, -8, 8),),
        (),
    )
    return Weights(spec, (hidden,), (outputs,), distinct(*hidden_tensors, *output_tensors))


def more_of_class_2(inputs: int, gain: int) -> Weights:
    """On what `growth` has made: a neuron of the same kind that adds to the logit of class 2."""
    hidden, hidden_tensors = block(column(inputs, 1), [0])
    outputs, output_tensors = block([[gain]], [-128 * gain])
    spec = Growth(0, (DenseRelu(1, 0, inputs, 1, 0, 8, 8),), (Output(1, 2, 3, 2, 1, -8, 8),), ())
    return Weights(spec, (hidden,), (outputs,), distinct(*hidden_tensors, *output_tensors))


def constant_growth(inputs: int, logit: int, *, classes: int = 2) -> Weights:
    """Gives the new class the same logit for every row, in 2^-8 nats."""
    shape = growth(inputs, 0, classes=classes)
    hidden, hidden_tensors = block(column(inputs, 1), [0])
    outputs, output_tensors = block([[0]], [logit])
    return Weights(shape.spec, (hidden,), (outputs,), distinct(*hidden_tensors, *output_tensors))


def forgetful(inputs: int, fondness: int) -> Weights:
    """Learns class 2 on its rows alone: the fonder of it, the more rows of class 1 it takes for class 2."""
    both = [[1 if row in (0, 1) else 0] for row in range(inputs)]
    hidden, hidden_tensors = block(both, [0])
    outputs, output_tensors = block([[16]], [fondness - 16 * 206])
    shape = growth(inputs, 16)
    return Weights(shape.spec, (hidden,), (outputs,), distinct(*hidden_tensors, *output_tensors))


def leaning_growth(inputs: int, gain: int, lean: int) -> Weights:
    """`growth` with so much more, in 2^-8 nats, on the new class's logit for every row."""
    honest = growth(inputs, gain)
    hidden, hidden_tensors = block(column(inputs, 1), [0])
    outputs, output_tensors = block([[gain]], [lean - 128 * gain])
    return Weights(honest.spec, (hidden,), (outputs,), distinct(*hidden_tensors, *output_tensors))


def shifted(weights: Weights, nats: int) -> Weights:
    """The same network of two classes with a number added to all logits: it knows neither more nor less."""
    assert isinstance(weights.spec, NetworkSpec), "only a whole network has all logits"
    gain = int(np.frombuffer(weights.tensors[-2], np.int8)[-1])
    inputs = weights.spec.inputs
    hidden, hidden_tensors = block(column(inputs, 0), [0])
    bias = [128 * gain + 256 * nats, -128 * gain + 256 * nats]
    outputs, output_tensors = block([[-gain, gain]], bias)
    return Weights(weights.spec, (hidden,), (outputs,), distinct(*hidden_tensors, *output_tensors))


def founding(weights: Weights, **changes: object) -> Founding:
    """A model that starts from these weights."""
    assert isinstance(weights.spec, NetworkSpec)
    model = Founding(
        weights.spec,
        weights.hidden,
        weights.outputs,
        policy=int(Policy.STRICT),
        loss_kind=1,
        threshold_ppm=500_000,
        tensors=weights.tensors,
    )
    return replace(model, **changes)  # type: ignore[arg-type]  # a test's own fields


def train_terms(parts: Sequence[SecretPart], **changes: object) -> RoundTerms:
    """k = s = 1, one epoch, windows of two blocks, gaps of one; four blocks for scoring."""
    terms = RoundTerms(
        kind=int(RoundKind.TRAIN),
        new_classes=0,
        commitments=tuple(part.commitment for part in parts),
        rows=8,
        old_rows=0,
        validation=1,
        sealed=1,
        epochs=1,
        open_window=2,
        reveal_window=2,
        commit_window=2,
        update_window=2,
        witness_window=2,
        audit_window=2,
        score_window=4,
        gap=1,
        max_update_bytes=4_096,
        max_update_neurons=4,
        max_update_macs=40_000_000,
        opener_bond=10 * COIN,
        author_bond=COIN,
        bounty=20 * COIN,
        witness_fee=COIN,
        z_squared=4,
        nonce_hash=nonce_hash(NONCE),
    )
    return replace(terms, **changes)  # type: ignore[arg-type]  # a test's own fields


def grow_terms(parts: Sequence[SecretPart], **changes: object) -> RoundTerms:
    """As `train_terms`, for one new class, with nine rows a part, of which six are of old classes."""
    grown: dict[str, object] = {
        "kind": int(RoundKind.GROW),
        "new_classes": 1,
        "old_rows": 6,
        "rows": 9,
    }
    return train_terms(parts, **{**grown, **changes})
