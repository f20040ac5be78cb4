"""Tensors: conversion between arrays and canonical bytes, and a reference to one. No network, no storage.

Canonical bytes: type code (1 byte), number of dimensions (1 byte, 1 to 4), each dimension (4 bytes,
little-endian, not 0), then the elements in row-major order, little-endian.
Type codes: 1 int8, 2 int16, 3 int32, 4 uint8, 5 uint16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from engram.nn.dtypes import DTYPES, MAX_DIMENSIONS, IntArray, elements
from engram.nn.errors import BadTensor
from engram.primitives.types import Hash


@dataclass(frozen=True)
class Explicit:
    """A tensor that is named by the hash of its bytes, which have been published on the chain."""

    TAG: ClassVar[int] = 1
    tensor: Hash
    """The content id of its canonical bytes."""


def tensor_bytes(array: IntArray) -> bytes:
    """Canonical bytes of an int8, int16, int32, uint8 or uint16 array of 1 to 4 dimensions, none of them 0.

    Raises `BadTensor` for any other type or shape.
    """
    code = dtype_code(array.dtype)
    _check_shape(array.shape)
    return _header(code, array.shape) + np.ascontiguousarray(array, dtype=DTYPES[code]).tobytes()


def tensor_array(raw: bytes) -> IntArray:
    """The array whose canonical bytes are `raw`. It is read-only and shares the memory of `raw`.

    Raises `BadTensor`.
    """
    if len(raw) < 2:
        raise BadTensor("the tensor's bytes end within the header", expected=2, got=len(raw))
    code, dimensions = raw[0], raw[1]
    if code not in DTYPES:
        raise BadTensor("no element type has this code", expected=tuple(DTYPES), got=code)
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise BadTensor("a tensor has 1 to 4 dimensions", expected=f"1..{MAX_DIMENSIONS}", got=dimensions)
    start = 2 + 4 * dimensions
    shape = tuple(int.from_bytes(raw[at : at + 4], "little") for at in range(2, start, 4))
    expected = tensor_size(code, shape)
    if len(raw) != expected:
        raise BadTensor(
            "the tensor's bytes do not have the length that its shape requires",
            expected=expected,
            got=len(raw),
        )
    _check_shape(shape)
    return np.frombuffer(raw, dtype=DTYPES[code], offset=start).reshape(shape)


def tensor_size(code: int, shape: Sequence[int]) -> int:
    """The number of canonical bytes of a tensor of this type code and shape, known before it is made."""
    return 2 + 4 * len(shape) + elements(shape) * DTYPES[code].itemsize


def dtype_code(dtype: np.dtype[Any]) -> int:
    """The code of an element type in either byte order. Raises `BadTensor` if tensors cannot hold it."""
    for code, known in DTYPES.items():
        if dtype.kind == known.kind and dtype.itemsize == known.itemsize:
            return code
    names = tuple(str(known) for known in DTYPES.values())
    raise BadTensor("tensors cannot hold this element type", expected=names, got=str(dtype))


def _check_shape(shape: Sequence[int]) -> None:
    if not 1 <= len(shape) <= MAX_DIMENSIONS:
        raise BadTensor("a tensor has 1 to 4 dimensions", expected=f"1..{MAX_DIMENSIONS}", got=len(shape))
    if any(not 0 < size < 2**32 for size in shape):
        raise BadTensor("every dimension must be at least 1 and fit 32 bits", got=tuple(shape))


def _header(code: int, shape: Sequence[int]) -> bytes:
    return bytes([code, len(shape)]) + b"".join(size.to_bytes(4, "little") for size in shape)
