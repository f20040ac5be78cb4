"""Data parts: labelled rows, their canonical bytes and the salted commitment to them. No files, no network.

Canonical bytes: rows N (4 bytes, little-endian), inputs d (4 bytes, little-endian), N·d features (uint8, row
by row), N labels (uint16, little-endian).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engram.nn.errors import BadPart, LabelOutOfRange
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import Hash

Labels = npt.NDArray[np.integer[Any]]

_HEADER_BYTES: Final = 8
_LABEL: Final = np.dtype("<u2")


@dataclass(frozen=True, eq=False)
class PartData:
    """The labelled rows of one part."""

    features: npt.NDArray[np.uint8]
    """(N, d) uint8."""
    labels: npt.NDArray[np.uint16]
    """(N,) uint16."""


def part_size(rows: int, inputs: int) -> int:
    """The number of canonical bytes of a part with so many rows and inputs, known before it is read."""
    return _HEADER_BYTES + rows * inputs + rows * _LABEL.itemsize


def part_bytes(features: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint16]) -> bytes:
    """The canonical bytes of uint8 features (N, d) and uint16 labels (N,), N ≥ 1, d ≥ 1. Raises `BadPart`."""
    if features.dtype != np.uint8 or features.ndim != 2 or 0 in features.shape:
        raise BadPart(
            "the features must be a uint8 matrix that is not empty",
            got=(str(features.dtype), *features.shape),
        )
    if labels.dtype != np.uint16 or labels.shape != features.shape[:1]:
        raise BadPart("the labels must be one uint16 for each row", got=(str(labels.dtype), *labels.shape))
    header = b"".join(size.to_bytes(4, "little") for size in features.shape)
    return header + features.tobytes() + labels.astype(_LABEL).tobytes()


def parse_part(raw: bytes, *, rows: int, inputs: int, classes: int) -> PartData:
    """The part whose canonical bytes are `raw`: exactly these rows and inputs, and labels below `classes`.

    Its arrays are read-only. Raises `BadPart`, `LabelOutOfRange`.
    """
    if len(raw) < _HEADER_BYTES:
        raise BadPart("the part's bytes end within the header", expected=_HEADER_BYTES, got=len(raw))
    shape = int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:8], "little")
    if shape != (rows, inputs) or 0 in shape:
        raise BadPart("the part has another number of rows or inputs", expected=(rows, inputs), got=shape)
    if len(raw) != part_size(rows, inputs):
        raise BadPart(
            "the part's bytes do not have the length that its rows and inputs require",
            expected=part_size(rows, inputs),
            got=len(raw),
        )
    features = np.frombuffer(raw, np.uint8, count=rows * inputs, offset=_HEADER_BYTES).reshape(shape)
    labels = np.frombuffer(raw, _LABEL, offset=_HEADER_BYTES + rows * inputs).astype(np.uint16)
    labels.setflags(write=False)
    check_labels(labels, classes)
    return PartData(features, labels)


def part_commitment(salt: bytes, raw: bytes) -> Hash:
    """The tagged hash of salt (32 bytes) ‖ canonical bytes, which the owner publishes before parts are drawn.

    The salt keeps others from finding the part by hashing guesses. Raises `BadPart` for a salt of another
    length.
    """
    if len(salt) != 32:
        raise BadPart("a salt must have 32 bytes", expected=32, got=len(salt))
    return tagged_hash(Tag.PART, salt, raw)


def check_labels(labels: Labels, classes: int) -> None:
    """Refuses labels outside 0, …, classes - 1. `labels` must not be empty. Raises `LabelOutOfRange`."""
    lowest, highest = int(np.min(labels)), int(np.max(labels))
    if lowest < 0 or highest >= classes:
        raise LabelOutOfRange(expected=f"0..{classes - 1}", got=lowest if lowest < 0 else highest)
