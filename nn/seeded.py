"""Generators of seeded tensors: a seed of 32 bytes stands for the weights of a large segment. No storage.

Random bytes are SHA-256 in counter mode: stream(seed, j) = B(j, 0) ‖ B(j, 1) ‖ …, where B(j, c) is the tagged
hash "engram/seeded" of generator (1 byte) ‖ seed (32) ‖ j (4, little-endian) ‖ c (4, little-endian).

- 1 `zeros`: any type and shape, all elements 0; the seed is 32 zero bytes, and there are no arguments.
- 2 `uniform_ternary`: shape (rows, columns), elements -1, 0, 1 equally likely, no arguments. Column j reads
  stream(seed, j) byte by byte, drops bytes ≥ 243, and takes five base-3 digits of each other byte, least
  significant first; a digit t is the element t - 1. (243 is 3^5: the bytes that stay are equally likely, so
  their digits are as well.)
- 3 `ternary_receptive_fields`: shape (H·W, columns), arguments (H, W, least side, largest side). Column j is
  a neuron over an image of H rows and W columns; stream(seed, j) begins with four 32-bit little-endian words
  a, b, c, d. Its field has height h = least + a mod (min(largest, H) - least + 1), width w likewise from b
  and W, top row c mod (H - h + 1), left column d mod (W - w + 1). The h·w pixels of the field, row by row,
  take the next bits of the stream (each byte's least significant bit first): 1 is weight +1, 0 is weight -1.
  All other weights are 0. Pixel (r, c) is row r·W + c of the tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

import numpy as np
import numpy.typing as npt

from engram.nn.dtypes import DTYPES, INT8, INT16, INT32, MAX_DIMENSIONS, IntArray, elements
from engram.nn.errors import BadSeededTensor, UnknownGenerator
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import U8, U32, ZERO_HASH, Hash, Size

COLUMN_MACS: Final = 2**20
"""Multiply-accumulates charged for drawing one column: 20 microseconds, where each takes 20 picoseconds."""

_SIGNED: Final = (INT8, INT16, INT32)
_TRITS_PER_BYTE: Final = 5


@dataclass(frozen=True)
class Seeded:
    """A tensor that is named by its generator and seed: a few dozen bytes instead of all its elements."""

    TAG: ClassVar[int] = 2
    generator: U8
    """The generator's number, a key of `SEEDED`."""
    seed: Hash
    """32 bytes. A generator that draws nothing requires 32 zero bytes."""
    dtype: U8
    """The code of the element type, a key of `DTYPES`."""
    shape: Annotated[tuple[U32, ...], Size(1, MAX_DIMENSIONS)]
    arguments: Annotated[tuple[U32, ...], Size(0, 8)] = ()
    """The generator determines how many there are and what they mean."""


@dataclass(frozen=True)
class Generator:
    """A named rule that turns a `Seeded` into an array."""

    name: str
    check: Callable[[Seeded], None]
    """Checks seed, type, shape and arguments without drawing anything. Raises `BadSeededTensor`."""
    values: Callable[[Seeded], IntArray]
    """Makes the array, in any integer type; `expand` converts it to the declared one."""
    macs: int
    """Multiply-accumulates charged for one element; 0 if nothing is drawn: then columns are free as well."""


def check_seeded(seeded: Seeded) -> None:
    """Refuses a tensor that `expand` cannot make, and allocates nothing.

    Raises `UnknownGenerator`, `BadSeededTensor`.
    """
    if seeded.generator not in SEEDED:
        raise UnknownGenerator(expected=tuple(SEEDED), got=seeded.generator)
    if seeded.dtype not in DTYPES:
        raise BadSeededTensor("no element type has this code", expected=tuple(DTYPES), got=seeded.dtype)
    if 0 in seeded.shape:
        raise BadSeededTensor("every dimension must be at least 1", got=seeded.shape)
    SEEDED[seeded.generator].check(seeded)


def expand(seeded: Seeded) -> IntArray:
    """The read-only array that `seeded` stands for.

    This takes memory and time in proportion to `seeded.shape`, which a stranger may have chosen: callers must
    first compare it with the shape that they expect.
    Raises `UnknownGenerator`, `BadSeededTensor`.
    """
    check_seeded(seeded)
    array = np.ascontiguousarray(SEEDED[seeded.generator].values(seeded), dtype=DTYPES[seeded.dtype])
    array.setflags(write=False)
    return array


def generation_macs(seeded: Seeded) -> int:
    """Multiply-accumulates charged each time the tensor is made, from its declared shape.

    columns·COLUMN_MACS + elements·(the generator's charge for one element); 0 for `zeros`. Raises what
    `check_seeded` raises.
    """
    check_seeded(seeded)
    macs = SEEDED[seeded.generator].macs
    return seeded.shape[-1] * COLUMN_MACS + elements(seeded.shape) * macs if macs else 0


def _check_zeros(seeded: Seeded) -> None:
    if seeded.seed != ZERO_HASH or seeded.arguments:
        raise BadSeededTensor(
            "the generator zeros takes a seed of zero bytes and no arguments", got=seeded.arguments
        )


def _zeros(seeded: Seeded) -> IntArray:
    return np.zeros(seeded.shape, dtype=DTYPES[seeded.dtype])


def _check_ternary(seeded: Seeded) -> None:
    _check_signed_matrix(seeded)
    if seeded.arguments:
        raise BadSeededTensor("the generator uniform_ternary takes no arguments", got=seeded.arguments)


def _uniform_ternary(seeded: Seeded) -> IntArray:
    rows, columns = seeded.shape
    weights = np.empty((rows, columns), dtype=np.int8)
    for column in range(columns):
        weights[:, column] = _trits(seeded, column, rows)
    return weights


def _trits(seeded: Seeded, column: int, count: int) -> npt.NDArray[np.int8]:
    """The first `count` elements of the column. It draws some bytes more than needed, as some are dropped."""
    wanted = -(-count // _TRITS_PER_BYTE)
    kept = np.empty(0, dtype=np.uint8)
    start = 0
    while kept.size < wanted:
        size = wanted - kept.size
        size += size // 16 + 8
        drawn = np.frombuffer(_stream(seeded, column, start, size), dtype=np.uint8)
        start += drawn.size // 32
        kept = np.concatenate([kept, drawn[drawn < 243]])
    digits = kept[:wanted, np.newaxis] // np.array([1, 3, 9, 27, 81], dtype=np.uint8) % 3
    return digits.reshape(-1)[:count].astype(np.int8) - np.int8(1)


def _check_receptive_fields(seeded: Seeded) -> None:
    _check_signed_matrix(seeded)
    if len(seeded.arguments) != 4:
        raise BadSeededTensor(
            "the arguments must be height, width, least side and largest side", got=seeded.arguments
        )
    height, width, least, largest = seeded.arguments
    if height * width != seeded.shape[0]:
        raise BadSeededTensor(
            "the number of rows is not height times width", expected=height * width, got=seeded.shape[0]
        )
    if not 1 <= least <= min(largest, height, width):
        raise BadSeededTensor(
            "the least side must be at least 1 and fit the image and the largest side", got=seeded.arguments
        )


def _receptive_fields(seeded: Seeded) -> IntArray:
    height, width, least, largest = seeded.arguments
    columns = seeded.shape[1]
    weights = np.zeros((columns, height, width), dtype=np.int8)
    for column in range(columns):
        a, b, c, d = np.frombuffer(_stream(seeded, column, 0, 16)[:16], dtype="<u4").tolist()
        h = least + a % (min(largest, height) - least + 1)
        w = least + b % (min(largest, width) - least + 1)
        top, left = c % (height - h + 1), d % (width - w + 1)
        raw = np.frombuffer(_stream(seeded, column, 0, 16 + -(-h * w // 8)), dtype=np.uint8)[16:]
        bits = np.unpackbits(raw, count=h * w, bitorder="little").reshape(h, w)
        weights[column, top : top + h, left : left + w] = bits.astype(np.int8) * np.int8(2) - np.int8(1)
    return weights.reshape(columns, height * width).T


def _check_signed_matrix(seeded: Seeded) -> None:
    if seeded.dtype not in _SIGNED:
        raise BadSeededTensor(
            "ternary elements need a signed element type", expected=_SIGNED, got=seeded.dtype
        )
    if len(seeded.shape) != 2:
        raise BadSeededTensor("a weight matrix must have two dimensions", expected=2, got=len(seeded.shape))


def _stream(seeded: Seeded, column: int, block: int, size: int) -> bytes:
    """At least `size` bytes of the column's stream: whole hashes of 32 bytes, from hash number `block` on."""
    prefix = bytes([seeded.generator]) + seeded.seed + column.to_bytes(4, "little")
    blocks = range(block, block + -(-size // 32))
    return b"".join(tagged_hash(Tag.SEEDED, prefix, c.to_bytes(4, "little")) for c in blocks)


SEEDED: Final[Mapping[int, Generator]] = {
    1: Generator("zeros", _check_zeros, _zeros, 0),
    2: Generator("uniform_ternary", _check_ternary, _uniform_ternary, 2**12),
    3: Generator("ternary_receptive_fields", _check_receptive_fields, _receptive_fields, 2**9),
}
