"""Data parts: labelled rows ↔ canonical bytes ↔ salted commitment. No files, no network.

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
    """Labelled rows."""

    features: npt.NDArray[np.uint8]
    """(N, d) uint8."""
    labels: npt.NDArray[np.uint16]
    """(N,) uint16."""


def part_size(rows: int, inputs: int) -> int:
    """Number of canonical bytes of a part, known before it is read."""
    return _HEADER_BYTES + rows * inputs + rows * _LABEL.itemsize


def part_bytes(features: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint16]) -> bytes:
    """Canonical bytes of uint8 features (N, d) and uint16 labels (N,), N ≥ 1, d ≥ 1. Raises `BadPart`."""
    if features.dtype != np.uint8 or features.ndim != 2 or 0 in features.shape:
        raise BadPart("features are not uint8 rows", got=(str(features.dtype), *features.shape))
    if labels.dtype != np.uint16 or labels.shape != features.shape[:1]:
        raise BadPart("labels are not one uint16 a row", got=(str(labels.dtype), *labels.shape))
    header = b"".join(size.to_bytes(4, "little") for size in features.shape)
    return header + features.tobytes() + labels.astype(_LABEL).tobytes()


def parse_part(raw: bytes, *, rows: int, inputs: int, classes: int) -> PartData:
    """The part that `raw` is the canonical form of: exactly these rows and inputs, labels below `classes`.

    Its arrays are read-only. Raises `BadPart`, `LabelOutOfRange`.
    """
    if len(raw) < _HEADER_BYTES:
        raise BadPart("part bytes end within the header", expected=_HEADER_BYTES, got=len(raw))
    shape = int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:8], "little")
    if shape != (rows, inputs) or 0 in shape:
        raise BadPart("the part has other rows or inputs", expected=(rows, inputs), got=shape)
    if len(raw) != part_size(rows, inputs):
        raise BadPart("the part has another length", expected=part_size(rows, inputs), got=len(raw))
    features = np.frombuffer(raw, np.uint8, count=rows * inputs, offset=_HEADER_BYTES).reshape(shape)
    labels = np.frombuffer(raw, _LABEL, offset=_HEADER_BYTES + rows * inputs).astype(np.uint16)
    labels.setflags(write=False)
    check_labels(labels, classes)
    return PartData(features, labels)


def part_commitment(salt: bytes, raw: bytes) -> Hash:
    """What an owner publishes before the draw: tagged hash of salt (32 bytes) ‖ canonical bytes.

    Raises `BadPart` for a salt of another length.
    """
    if len(salt) != 32:
        raise BadPart("a salt has 32 bytes", expected=32, got=len(salt))
    return tagged_hash(Tag.PART, salt, raw)


def check_labels(labels: Labels, classes: int) -> None:
    """Refuses labels outside 0, …, classes - 1; `labels` is not empty. Raises `LabelOutOfRange`."""
    lowest, highest = int(np.min(labels)), int(np.max(labels))
    if lowest < 0 or highest >= classes:
        raise LabelOutOfRange(expected=f"0..{classes - 1}", got=lowest if lowest < 0 else highest)
