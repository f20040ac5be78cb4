"""Statistics as bytes: canonical, named by their hash, deflated for transport and disk.

Canonical bytes: length of the header (le32), the header (codec), the sums of the classes (int64, row by row),
then the Gram matrix on and above its diagonal, row by row, as eight planes: the lowest byte of every number,
then the second lowest, and so on. High planes are almost empty, so they compress to nearly nothing.

A file is MAGIC and the canonical bytes, deflated. The content id is the hash of the canonical bytes alone.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np

from engram.nn.fixed import Int64Array
from engram.participant.memory.errors import BankMismatch, StatisticsForged, StatisticsMalformed
from engram.participant.memory.gram import mirror
from engram.participant.memory.statistics import LEAST_ROWS, Statistics, check
from engram.primitives.codec import decode, encode
from engram.primitives.errors import CodecError
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import U16, U32, U64, Hash, Size

MAGIC: Final = b"engram statistics 1\n"
MAX_CLASSES: Final = 1_024
MAX_SOURCES: Final = 65_535
MAX_HEADER: Final = 2**22
LEVEL: Final = 1
"""Of deflating: higher levels take many times longer for a few percent."""
_PLANES: Final = 8


@dataclass(frozen=True)
class StatisticsHeader:
    """What stands before the sums."""

    bank: Hash
    neurons: U32
    classes: Annotated[tuple[U16, ...], Size(1, MAX_CLASSES)]
    counts: Annotated[tuple[U64, ...], Size(1, MAX_CLASSES)]
    sources: Annotated[tuple[Hash, ...], Size(0, MAX_SOURCES)]


def canonical(statistics: Statistics) -> bytes:
    """The canonical bytes."""
    header = encode(
        StatisticsHeader(
            statistics.bank,
            statistics.neurons,
            statistics.classes,
            tuple(statistics.counts.tolist()),
            statistics.sources,
        )
    )
    upper = np.concatenate([values[row:] for row, values in enumerate(statistics.gram)])
    planes = upper.astype("<i8", copy=False).view(np.uint8).reshape(-1, _PLANES).T
    sums = statistics.sums.astype("<i8").tobytes()
    return b"".join((len(header).to_bytes(4, "little"), header, sums, planes.tobytes()))


def content_id(statistics: Statistics) -> Hash:
    """The name of statistics: what a growth says it was made from."""
    return tagged_hash(Tag.STATISTICS, canonical(statistics))


def write(statistics: Statistics) -> bytes:
    """The bytes of a file."""
    return MAGIC + zlib.compress(canonical(statistics), LEVEL)


def read(raw: bytes, bank: Hash, neurons: int, *, least_rows: int = LEAST_ROWS) -> Statistics:
    """The statistics in a file, if they are of this bank and some rows can have them.

    It unpacks no byte more than its header asks for. Raises `StatisticsMalformed`, `BankMismatch`,
    `TooFewRowsToHide`, `SumsOverflow`, `StatisticsForged`.
    """
    size, header = _begin(raw)
    if header.bank != bank or header.neurons != neurons:
        raise BankMismatch(expected=(bank, neurons), got=(header.bank, header.neurons))
    classes = len(header.classes)
    begin = 4 + size + 8 * neurons * classes
    whole = begin + _gram_size(neurons)
    body = _inflated(_deflated(raw), whole)
    if len(header.counts) != classes or len(body) != whole:
        raise StatisticsMalformed(expected=whole, got=len(body))
    if tuple(sorted(set(header.sources))) != header.sources:
        raise StatisticsMalformed("the names of the sources do not rise")
    if max(header.counts) >= 2**63:
        raise StatisticsForged("a count has more than 63 bits", got=max(header.counts))
    sums = np.frombuffer(body, "<i8", neurons * classes, 4 + size).reshape(classes, neurons)
    statistics = Statistics(
        header.bank,
        header.classes,
        np.array(header.counts, dtype=np.int64),
        sums.astype(np.int64),
        _gram(body[begin:], neurons),
        header.sources,
    )
    check(statistics, bank, neurons, least_rows=least_rows)
    return statistics


def most_bytes(neurons: int) -> int:
    """The most canonical bytes of sums over so many neurons."""
    return 4 + MAX_HEADER + 8 * neurons * MAX_CLASSES + _gram_size(neurons)


def read_header(raw: bytes) -> StatisticsHeader:
    """What a file says about itself; nothing of it is checked. Raises `StatisticsMalformed`."""
    return _begin(raw)[1]


def _begin(raw: bytes) -> tuple[int, StatisticsHeader]:
    """The header of a file, and its size: nothing behind it is unpacked."""
    try:
        begin = zlib.decompressobj().decompress(_deflated(raw), 4 + MAX_HEADER)
    except zlib.error as error:
        raise StatisticsMalformed(f"the file is damaged: {error}") from error
    return _header(begin)


def _deflated(raw: bytes) -> bytes:
    if not raw.startswith(MAGIC):
        raise StatisticsMalformed("this is not a file of statistics", expected=MAGIC, got=raw[: len(MAGIC)])
    return raw[len(MAGIC) :]


def _header(body: bytes) -> tuple[int, StatisticsHeader]:
    """The header that canonical bytes begin with, and its size."""
    size = int.from_bytes(body[:4], "little")
    try:
        return size, decode(StatisticsHeader, body[4 : 4 + size])
    except CodecError as error:
        raise StatisticsMalformed(f"the header is damaged: {error}") from error


def _inflated(deflated: bytes, most: int) -> bytes:
    engine = zlib.decompressobj()
    try:
        body = engine.decompress(deflated, most)
    except zlib.error as error:
        raise StatisticsMalformed(f"the file is damaged: {error}") from error
    if not engine.eof or engine.unused_data:
        raise StatisticsMalformed("the file is too long or ends early", expected=f"{most} bytes at most")
    return body


def _gram_size(neurons: int) -> int:
    return _PLANES * (neurons * (neurons + 1) // 2)


def _gram(planes: bytes, neurons: int) -> Int64Array:
    upper = np.ascontiguousarray(np.frombuffer(planes, np.uint8).reshape(_PLANES, -1).T).view("<i8")[:, 0]
    gram, begin = np.zeros((neurons, neurons), dtype=np.int64), 0
    for row in range(neurons):
        end = begin + neurons - row
        gram[row, row:] = upper[begin:end]
        begin = end
    mirror(gram)
    return gram
