"""Mixtures as bytes: canonical, named by their hash, deflated for transport and disk.

Canonical bytes: length of the header (le32), the header (codec), then the numbers of every component, class
by class, in float32: its rest, its mean, its variances, and its directions row by row. A file is MAGIC and
the canonical bytes, deflated. The content id is the hash of the canonical bytes alone.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Annotated, Final

from engram.participant.memory.errors import BankMismatch, MixturesMalformed
from engram.participant.memory.mixture_set import MixtureSet, check_set, component_of, numbers_of, set_of
from engram.participant.memory.mixtures import Component
from engram.participant.memory.statistics import LEAST_ROWS
from engram.participant.memory.statistics_file import LEVEL, MAX_CLASSES, MAX_SOURCES
from engram.primitives.codec import decode, encode
from engram.primitives.errors import CodecError
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import U16, U32, U64, Hash, Size

MIXTURES_MAGIC: Final = b"engram mixtures 1\n"
MAX_COMPONENTS: Final = 1_024
"""The most components of a class."""
MAX_VALUES: Final = 65_536
MOST_BYTES: Final = 2**28
"""The most canonical bytes."""


@dataclass(frozen=True)
class ComponentShape:
    """What the numbers of a component are."""

    rows: U64
    rank: U16


@dataclass(frozen=True)
class ClassShape:
    """The components of a class."""

    label: U16
    components: Annotated[tuple[ComponentShape, ...], Size(1, MAX_COMPONENTS)]


@dataclass(frozen=True)
class MixturesHeader:
    """What stands before the numbers."""

    bank: Hash
    values: U32
    classes: Annotated[tuple[ClassShape, ...], Size(1, MAX_CLASSES)]
    sources: Annotated[tuple[Hash, ...], Size(0, MAX_SOURCES)]


def canonical_set(given: MixtureSet) -> bytes:
    """The canonical bytes."""
    classes = []
    for label, mixture in given.mixtures.items():
        pairs = zip(mixture, given.rows[label], strict=True)
        shapes = tuple(ComponentShape(rows, len(component.variances)) for component, rows in pairs)
        classes.append(ClassShape(label, shapes))
    header = encode(MixturesHeader(given.bank, given.values, tuple(classes), given.sources))
    numbers = [numbers_of(each) for mixture in given.mixtures.values() for each in mixture]
    return b"".join((len(header).to_bytes(4, "little"), header, *numbers))


def set_id(given: MixtureSet) -> Hash:
    """The name of a set of mixtures."""
    return tagged_hash(Tag.MIXTURES, canonical_set(given))


def write_set(given: MixtureSet) -> bytes:
    """The bytes of a file."""
    return MIXTURES_MAGIC + zlib.compress(canonical_set(given), LEVEL)


def read_set(
    raw: bytes, bank: Hash | None = None, values: int | None = None, *, least_rows: int = LEAST_ROWS
) -> MixtureSet:
    """The mixtures in a file, if some rows can have them and they are of this bank, where one is given.

    Raises `MixturesMalformed`, `BankMismatch`, `TooFewRowsToHide`, `MixturesForged`.
    """
    body = _inflated(raw)
    size = int.from_bytes(body[:4], "little")
    try:
        header = decode(MixturesHeader, body[4 : 4 + size])
    except CodecError as error:
        raise MixturesMalformed(f"the header is damaged: {error}") from error
    wanted = (header.bank if bank is None else bank, header.values if values is None else values)
    if (header.bank, header.values) != wanted:
        raise BankMismatch(expected=wanted, got=(header.bank, header.values))
    labels = tuple(each.label for each in header.classes)
    if tuple(sorted(set(labels))) != labels or tuple(sorted(set(header.sources))) != header.sources:
        raise MixturesMalformed("classes and the names of the sources do not rise")
    rows = [shape.rows for each in header.classes for shape in each.components]
    if not 1 <= header.values <= MAX_VALUES or min(rows) < 1:
        raise MixturesMalformed("there are no values or no rows", got=(header.values, min(rows)))
    given = set_of(header.bank, header.values, _components(header, body[4 + size :]), header.sources)
    check_set(given, *wanted, least_rows=least_rows)
    return given


def _components(header: MixturesHeader, numbers: bytes) -> dict[int, list[tuple[Component, int]]]:
    values, begin = header.values, 0
    shapes = [shape for each in header.classes for shape in each.components]
    expected = sum(_size(values, shape.rank) for shape in shapes)
    if len(numbers) != expected:
        raise MixturesMalformed(expected=expected, got=len(numbers))
    found: dict[int, list[tuple[Component, int]]] = {}
    for each in header.classes:
        for shape in each.components:
            end = begin + _size(values, shape.rank)
            component = component_of(numbers[begin:end], values, shape.rank)
            found.setdefault(each.label, []).append((component, shape.rows))
            begin = end
    return found


def _size(values: int, rank: int) -> int:
    return 4 * (1 + values + rank + values * rank)


def _inflated(raw: bytes) -> bytes:
    if not raw.startswith(MIXTURES_MAGIC):
        start = raw[: len(MIXTURES_MAGIC)]
        raise MixturesMalformed("this is not a file of mixtures", expected=MIXTURES_MAGIC, got=start)
    engine = zlib.decompressobj()
    try:
        body = engine.decompress(raw[len(MIXTURES_MAGIC) :], MOST_BYTES)
    except zlib.error as error:
        raise MixturesMalformed(f"the file is damaged: {error}") from error
    if not engine.eof or engine.unused_data:
        raise MixturesMalformed("the file is too long or ends early", expected=f"{MOST_BYTES} bytes at most")
    return body
