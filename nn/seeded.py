"""Generators of seeded tensors: a seed of 32 bytes stands for the weights of a large segment. No storage.

Random bytes come in blocks: stream(seed) = B(0) ‖ B(1) ‖ …, where B(c) is the first 2^16 bytes of the tagged
SHAKE-128 "engram/seeded" of generator (1 byte) ‖ seed (32) ‖ c (4, little-endian).

- 1 `zeros`: any type and shape, all elements 0; the seed is 32 zero bytes, and there are no arguments.
- 2 `uniform_ternary`: shape (rows, columns), elements -1, 0, 1 equally likely, no arguments. Of the stream's
  bytes, those ≥ 243 are dropped, and the first m = ⌈rows·columns / 5⌉ others are used. Each has five base-3
  digits. Row by row, the elements are the least significant digits of all m bytes, then their second digits,
  and so on, where a digit t is the element t - 1. (243 is 3^5: the bytes that stay are equally likely, so
  their digits are as well. Taking them digit by digit lets whole arrays be divided at once.)
- 3 `ternary_receptive_fields`: shape (H·W, columns), arguments (H, W, least side, largest side). Column j is
  a neuron over an image of H rows and W columns. The stream begins with four 32-bit little-endian words
  a, b, c, d for each column, column by column. The column's field has height
  h = least + a mod (min(largest, H) - least + 1), width w likewise from b and W, top row c mod (H - h + 1),
  left column d mod (W - w + 1). After all words follow the bits, each byte's least significant bit first, one
  for every element, column by column, and in a column pixel by pixel: inside the field, 1 is weight +1 and 0
  is weight -1. All other weights are 0, and their bits are not looked at. Pixel (r, c) is row r·W + c.

Everything is made in whole arrays, so the time follows the number of elements, whatever the shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

import numpy as np
import numpy.typing as npt

from engram.nn.dtypes import DTYPES, INT8, INT16, INT32, MAX_DIMENSIONS, IntArray, elements
from engram.nn.errors import BadSeededTensor, UnknownGenerator
from engram.primitives.hashing import Tag, tagged_bytes
from engram.primitives.types import U8, U32, ZERO_HASH, Hash, Size

TENSOR_MACS: Final = 2**21
"""Multiply-accumulates charged for drawing anything at all: 42 microseconds, if each takes 20 picoseconds."""

BLOCK_BYTES: Final = 2**16
"""The random bytes that come from one hash."""

_SIGNED: Final = (INT8, INT16, INT32)
_DIGITS: Final = 5
_LEAST_DROPPED: Final = 3**_DIGITS
_CHUNK_ELEMENTS: Final = 2**19
"""Receptive fields are drawn in chunks of about so many elements, which stay in the processor's cache."""


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
    column_macs: int
    """Multiply-accumulates charged for one column, beside those of its elements."""
    element_macs: int
    """Multiply-accumulates charged for one element, 8 of them for the proof of its segment's bounds.

    0 if nothing is drawn: then nothing is charged here.
    """


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

    TENSOR_MACS + columns·column_macs + elements·element_macs of the generator; 0 for `zeros`. Raises what
    `check_seeded` raises.
    """
    check_seeded(seeded)
    made = SEEDED[seeded.generator]
    if not made.element_macs:
        return 0
    return TENSOR_MACS + seeded.shape[-1] * made.column_macs + elements(seeded.shape) * made.element_macs


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
    total = elements(seeded.shape)
    values = np.empty(total, dtype=DTYPES[seeded.dtype])
    wanted = -(-total // _DIGITS)
    done = block = 0
    while done < wanted:
        rest = _usable_bytes(seeded, block, wanted - done)
        for first in range(done, total, wanted):
            shifted = rest // np.uint8(3)  # several times as fast as np.divmod
            digits = (rest - shifted * np.uint8(3)).view(np.int8)
            place = values[first : first + digits.size]
            np.subtract(digits[: place.size], np.int8(1), out=place)
            rest = shifted
        done += rest.size
        block += 1
    return values.reshape(seeded.shape)


def _usable_bytes(seeded: Seeded, block: int, most: int) -> npt.NDArray[np.uint8]:
    """The first `most` bytes of a block of the stream that are below 243, or all of them."""
    size = most
    while True:  # about one byte in 20 is dropped, so what was drawn may not suffice
        size = min(BLOCK_BYTES, size + size // 16 + 4)
        drawn = np.frombuffer(_stream(seeded, block * BLOCK_BYTES, size), dtype=np.uint8)
        kept = drawn[drawn < _LEAST_DROPPED]
        if size == BLOCK_BYTES or kept.size >= most:
            return kept[:most]
        size *= 2


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
    pixels, columns = seeded.shape
    a, b, c, d = np.frombuffer(_stream(seeded, 0, 16 * columns), dtype="<u4").reshape(columns, 4).T
    h = least + a % np.uint32(min(largest, height) - least + 1)
    w = least + b % np.uint32(min(largest, width) - least + 1)
    # Small types make the comparisons fast. A difference below 0 wraps around and is then above every side.
    small = np.min_scalar_type(max(height, width) - 1)
    tops, lefts, bottoms, rights = (
        each.astype(small)[:, np.newaxis]
        for each in (c % (height - h + 1), d % (width - w + 1), h - 1, w - 1)
    )
    y, x = (each.astype(small) for each in divmod(np.arange(pixels, dtype=np.uint32), np.uint32(width)))
    weights = np.empty((pixels, columns), dtype=DTYPES[seeded.dtype])
    step = 8 * max(1, _CHUNK_ELEMENTS // (8 * pixels))
    for first in range(0, columns, step):  # a multiple of 8 columns: their bits are whole bytes
        part = slice(first, min(first + step, columns))
        inside = (y - tops[part] <= bottoms[part]) & (x - lefts[part] <= rights[part])
        raw = _stream(seeded, 16 * columns + first * pixels // 8, -(-inside.size // 8))
        bits = np.unpackbits(np.frombuffer(raw, dtype=np.uint8), count=inside.size, bitorder="little")
        signs = bits.view(np.int8).reshape(inside.shape) * np.int8(2) - np.int8(1)
        weights[:, part] = (signs * inside.view(np.int8)).T
    return weights


def _check_signed_matrix(seeded: Seeded) -> None:
    if seeded.dtype not in _SIGNED:
        raise BadSeededTensor(
            "ternary elements need a signed element type", expected=_SIGNED, got=seeded.dtype
        )
    if len(seeded.shape) != 2:
        raise BadSeededTensor("a weight matrix must have two dimensions", expected=2, got=len(seeded.shape))


def _stream(seeded: Seeded, start: int, size: int) -> bytes:
    """`size` bytes of the tensor's stream, from byte number `start` on."""
    prefix = bytes([seeded.generator]) + seeded.seed
    found, end = [], start + size
    for block in range(start // BLOCK_BYTES, -(-end // BLOCK_BYTES)):
        base = block * BLOCK_BYTES
        made = tagged_bytes(Tag.SEEDED, min(end - base, BLOCK_BYTES), prefix, block.to_bytes(4, "little"))
        found.append(made[max(0, start - base) :])
    return b"".join(found)


SEEDED: Final[Mapping[int, Generator]] = {
    1: Generator("zeros", _check_zeros, _zeros, 0, 0),
    2: Generator("uniform_ternary", _check_ternary, _uniform_ternary, 0, 56),
    3: Generator("ternary_receptive_fields", _check_receptive_fields, _receptive_fields, 2**12, 104),
}
