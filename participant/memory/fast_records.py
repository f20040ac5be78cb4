"""The records in which the fast memory stands on disk, in their canonical encoding.

A log begins with a `FastState` and the examples of that time, as `KeptRecord`s. Then follow, in the order in
which they happened, batches that arrived and classes that were named. Whoever reads a batch again finds out
by `reservoirs.py` which of its examples were kept, so a record has the rows of these only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from engram.primitives.types import U16, U32, U64, Size, Text

MAX_BATCH_BYTES: Final = 32 << 20
"""The most bytes of rows that a record holds, and that may arrive at once."""
MAX_BATCH_ROWS: Final = 2**20
_Numbers = Annotated[bytes, Size(0, 8 * MAX_BATCH_ROWS)]
_Labels = Annotated[bytes, Size(0, 2 * MAX_BATCH_ROWS)]
_Rows = Annotated[bytes, Size(0, MAX_BATCH_BYTES)]


@dataclass(frozen=True)
class ClassRecord:
    """The name of a class, and its number in the chain's model."""

    TAG: ClassVar[int] = 4
    label: U16
    name: Text
    chain_class: U16 | None


@dataclass(frozen=True)
class BoundRecord:
    """The least key that a class has lost."""

    label: U16
    key: U64


@dataclass(frozen=True)
class FastState:
    """Everything but the examples."""

    TAG: ClassVar[int] = 1
    seed: U64
    capacity: U32
    inputs: U32
    next_number: U64
    examples: U32
    """How many examples follow in `KeptRecord`s."""
    bounds: Annotated[tuple[BoundRecord, ...], Size(0, 65_536)]
    classes: Annotated[tuple[ClassRecord, ...], Size(0, 65_536)]


@dataclass(frozen=True)
class KeptRecord:
    """Examples that were there when the log was written anew."""

    TAG: ClassVar[int] = 2
    numbers: _Numbers
    """u64, little-endian."""
    labels: _Labels
    """u16, little-endian."""
    rows: _Rows
    """u8, row by row."""


@dataclass(frozen=True)
class ArrivedRecord:
    """A batch: the labels of all, the rows of those that were kept."""

    TAG: ClassVar[int] = 3
    first: U64
    labels: _Labels
    rows: _Rows


FastContent = FastState | KeptRecord | ArrivedRecord | ClassRecord


@dataclass(frozen=True)
class FastRecord:
    """One record."""

    content: FastContent
