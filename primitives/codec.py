"""Canonical bytes of frozen dataclasses: encode, decode, validate. The only importer of msgpack.

A dataclass's wire form is the msgpack array of its fields in order, derived from its annotations:

    Annotated[int, Range]   integer, shortest form          T | None        nil or T
    Annotated[bytes, Size]  bin, shortest header            tuple[T, ...]   array, at most 65536 or its Size
    Annotated[str, Size]    str (UTF-8), shortest header    tuple[A, B]     array of exactly these
    bool                    true / false                    A | B           array [TAG, field…] of the member
    frozen dataclass        array of its fields, without last ones that are `Trailing` and have their defaults

A value has exactly one encoding, because ids are hashes of encodings and one value must not have two ids.
`decode` makes sure of it in the simplest way: it encodes what it has read once more and refuses other bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeVar

import msgpack

from engram.primitives.codegen import functions, refuse_arity
from engram.primitives.errors import NonCanonical, TooLarge, Truncated, WrongType
from engram.primitives.jsonform import from_json, to_json

__all__ = ["MAX_BYTES", "decode", "encode", "from_json", "to_json", "validate"]

T = TypeVar("T")

MAX_BYTES: Final = 2**26
"""The most bytes that `decode` accepts, unless the caller gives another limit."""

_ANY_LENGTH: Final = 2**32 - 1
_NIL: Final = b"\xc0"
_FIXED_ARRAYS: Final = frozenset(bytes([head]) for head in range(0x90, 0xA0))
_ARRAY_LENGTH_BYTES: Final[Mapping[bytes, int]] = {b"": 1, b"\xdc": 2, b"\xdd": 4}
"""First byte of an array -> number of length bytes that follow it.

The empty key stands for the end of the data: the one length byte that it asks for is missing, so the end is
reported as `Truncated`.
"""


def encode(obj: object) -> bytes:
    """The canonical bytes of a frozen dataclass instance.

    Raises `CodecError` when a field's type, range or length breaks its annotation.
    """
    return msgpack.packb(functions(type(obj)).write(obj))  # type: ignore[no-any-return]


def validate(obj: object) -> None:
    """Refuses an instance, built in memory, that `decode` could never have returned. Raises `CodecError`."""
    functions(type(obj)).write(obj)


def decode(cls: type[T], raw: bytes, *, max_bytes: int = MAX_BYTES) -> T:
    """The instance of `cls` whose canonical bytes are exactly `raw`.

    The type decides what is read next, and msgpack is asked for one scalar or one array header at a time; it
    never builds a container by itself. Hostile bytes can therefore take no more memory, and nest no deeper,
    than the type allows.

    Raises `TooLarge` before anything is read; then `Truncated`, `WrongType`, `OutOfRange`, `WrongArity`,
    `UnknownTag`; and `NonCanonical` for bytes other than the value's one encoding, trailing ones included.
    """
    if type(raw) is not bytes:
        raise WrongType("encoded data is not bytes", expected="bytes", got=type(raw).__name__)
    if len(raw) > max_bytes:
        raise TooLarge(f"encoded {cls.__qualname__} is too large", expected=max_bytes, got=len(raw))
    obj = _read(cls, raw)
    if encode(obj) != raw:
        raise NonCanonical(f"these bytes are not the canonical encoding of this {cls.__qualname__}")
    return obj


def _read(cls: type[T], raw: bytes) -> T:
    known = functions(cls)
    size = len(raw) or 1
    unpacker = msgpack.Unpacker(
        read_size=size,
        max_buffer_size=size,
        max_array_len=0,
        max_map_len=0,
        max_ext_len=0,
        max_bin_len=_ANY_LENGTH,  # so that a length beyond the data raises Truncated, not WrongType
        max_str_len=_ANY_LENGTH,
    )
    unpacker.feed(raw)
    count, tell = partial(_array_length, unpacker.read_bytes), unpacker.tell
    try:
        if (read := known.reads.get(fields := count(cls.__qualname__))) is None:
            refuse_arity(fields, cls.__qualname__, known.arity)
        obj: T = read(unpacker.unpack, count, lambda: raw[(at := tell()) : at + 1] == _NIL)
    except msgpack.OutOfData as error:
        raise Truncated(f"encoded {cls.__qualname__} ends too early", got=len(raw)) from error
    except ValueError as error:
        raise WrongType(
            f"encoded {cls.__qualname__} has a value of a wrong type at byte {tell()}: {error}"
        ) from error
    return obj


def _array_length(read_bytes: Callable[[int], bytes], where: str) -> int:
    """Reads an array's header and returns the number of its items.

    msgpack's own `read_array_header` is not used, because not every version of it heeds `max_array_len`.
    """
    head = read_bytes(1)
    if head in _FIXED_ARRAYS:
        return head[0] & 0x0F
    if head not in _ARRAY_LENGTH_BYTES:
        raise WrongType(f"{where} is not an array", got=head)
    size = _ARRAY_LENGTH_BYTES[head]
    length = read_bytes(size)
    if len(length) < size:
        raise Truncated(f"{where} ends within its header")
    return int.from_bytes(length, "big")
