"""Models, versions and data parts as records and blobs, as if earlier blocks had brought them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engram.nn.data import parse_part, part_bytes, part_commitment
from engram.nn.growth import Policy, null_growth_logits
from engram.nn.loss import LossKind, Score, score
from engram.nn.network import NetworkSpec, Parameters, forward
from engram.nn.tensor import Explicit, tensor_bytes
from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.additions import SegmentSources, TrainUpdate, parameters_root
from engram.statemachine.content import blob_id
from engram.statemachine.record import Record
from engram.statemachine.records import Blob, GrowthLimits, Model, Part, Version
from tests.support.ledger import Ledger, key
from tests.support.nn_samples import TWO_LAYERS, network_parameters, random_features

FOUNDER: Address = b"\xf0" * 20
MODEL_ID: Hash = b"\x0d" * 32
SALT: Hash = b"\x5a" * 32


@dataclass(frozen=True)
class Sample:
    """Records, and the bytes that they name."""

    records: tuple[Record, ...]
    blobs: dict[Hash, bytes]


def sources(parameters: Parameters) -> tuple[SegmentSources, ...]:
    """Explicit sources of every segment."""
    return tuple(
        SegmentSources(
            Explicit(blob_id(tensor_bytes(block.weights))), Explicit(blob_id(tensor_bytes(block.bias)))
        )
        for block in parameters
    )


def whole(spec: NetworkSpec, parameters: Parameters) -> TrainUpdate:
    """The whole network of these numbers, without the numbers."""
    split, found = len(spec.hidden), sources(parameters)
    return TrainUpdate(spec, found[:split], found[split:])


def tensor_blobs(parameters: Parameters) -> dict[Hash, bytes]:
    """Canonical bytes of every tensor, by content id."""
    arrays = [array for block in parameters for array in (block.weights, block.bias)]
    return {blob_id(raw): raw for raw in map(tensor_bytes, arrays)}


def founded_model(spec: NetworkSpec = TWO_LAYERS, parameters: Parameters | None = None) -> Sample:
    """A model with version 0, founded at genesis."""
    parameters = network_parameters(spec) if parameters is None else parameters
    added, blobs = whole(spec, parameters), tensor_blobs(parameters)
    root = parameters_root(ZERO_HASH, FOUNDER, added)
    version = Version(MODEL_ID, 0, ZERO_HASH, root, added, FOUNDER, ZERO_HASH, 0, 0, 0, 0, 0, 0, 0, 0)
    model = Model(
        id=MODEL_ID,
        founder=FOUNDER,
        policy=int(Policy.STRICT),
        loss_kind=1,
        threshold_ppm=250_000,
        retention_epsilon_ppm=20_000,
        retention_delta_ppm=250_000,
        lost_cap_ppm=200_000,
        growth_limits=GrowthLimits(),
        inputs=spec.inputs,
        classes=spec.classes,
        classes_before_growth=0,
        head=0,
        root=root,
        frozen=False,
        loss=0,
        loss_rows=0,
        open_round=ZERO_HASH,
        rounds=0,
    )
    return Sample((model, version, *blob_records(blobs)), blobs)


def raw_part(inputs: int = TWO_LAYERS.inputs, rows: int = 20, classes: int = 3, seed: int = 5) -> bytes:
    """Canonical bytes of random rows; every class labels some row if there are rows enough."""
    labels = np.arange(rows, dtype=np.uint16) % np.uint16(classes)
    return part_bytes(random_features(inputs, rows, seed), labels)


def expected_score(classes: int = 3) -> Score:
    """What version 0 of `founded_model` scores on `raw_part`, whose labels are read as below `classes`."""
    part = parse_part(raw_part(), rows=20, inputs=TWO_LAYERS.inputs, classes=classes)
    logits = forward(TWO_LAYERS, network_parameters(TWO_LAYERS), part.features)
    return score(
        LossKind.SOFTMAX_CROSS_ENTROPY, null_growth_logits(logits, classes - TWO_LAYERS.classes), part.labels
    )


def published_part(raw: bytes, rows: int = 20, inputs: int = TWO_LAYERS.inputs, classes: int = 3) -> Sample:
    """A part published at genesis."""
    blobs = {blob_id(raw): raw}
    part = Part(part_commitment(SALT, raw), blob_id(raw), rows, inputs, classes, FOUNDER, ZERO_HASH, 0)
    return Sample((part, *blob_records(blobs)), blobs)


def blob_records(blobs: dict[Hash, bytes]) -> tuple[Blob, ...]:
    """Each blob, brought at genesis and held by one record."""
    return tuple(Blob(name, len(raw), 0, 0, 1) for name, raw in blobs.items())


def bring(ledger: Ledger, samples: Sequence[Sample]) -> Ledger:
    """Gives a ledger the bytes of samples whose records stand in its genesis."""
    for sample in samples:
        ledger.blobs.update(sample.blobs)
    return ledger


def model_ledger(raw: bytes, **options: object) -> Ledger:
    """A ledger on which the founded model and the part of these bytes stand; key 1 holds 100 coins."""
    samples = founded_model(), published_part(raw)
    records = [record for sample in samples for record in sample.records]
    ledger = Ledger({key(1): 10**10}, records=records, **options)  # type: ignore[arg-type]  # Ledger's own options
    return bring(ledger, samples)
