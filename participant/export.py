"""What the chain holds, as files for other tools: versions and data parts as numpy archives. Reads no chain."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engram.nn.data import PartData
from engram.nn.network import Parameters
from engram.node.keystore import write_private
from engram.primitives.codec import to_json
from engram.primitives.types import Hash
from engram.statemachine.records import Version


def save_version(path: Path, version: Version, parameters: Parameters) -> Path:
    """Writes the integers of a version to `path`, and its record as JSON beside it; the path of the JSON.

    Arrays: `hidden_0_weights`, `hidden_0_bias`, …, `output_0_weights`, `output_0_bias`, …, in the order of the
    spec's blocks.
    """
    split = len(version.spec.hidden)
    arrays: dict[str, Any] = {}
    for number, block in enumerate(parameters):
        name = f"hidden_{number}" if number < split else f"output_{number - split}"
        arrays |= {f"{name}_weights": block.weights, f"{name}_bias": block.bias}
    record = path.with_suffix(".json")
    _save(path, arrays)
    write_private(record, (json.dumps(to_json(version), indent=2) + "\n").encode())
    return record


def save_parts(path: Path, parts: Sequence[tuple[Hash, PartData]]) -> int:
    """Writes the rows of all parts to `path`, one after the other; how many rows there are.

    Arrays: `features` (rows, inputs) uint8, `labels` (rows,) uint16, as every data set of Engram's; `part`
    (rows,) uint16, which part a row is of; `commitments` (parts, 32) uint8.
    """
    counts = [len(part.labels) for _, part in parts]
    arrays = {
        "features": np.concatenate([part.features for _, part in parts]),
        "labels": np.concatenate([part.labels for _, part in parts]),
        "part": np.repeat(np.arange(len(parts), dtype=np.uint16), counts),
        "commitments": np.array([list(commitment) for commitment, _ in parts], dtype=np.uint8),
    }
    _save(path, arrays)
    return sum(counts)


def _save(path: Path, arrays: dict[str, Any]) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    write_private(path, stream.getvalue())
