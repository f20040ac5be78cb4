"""Canonical bytes of frozen dataclasses: encode, decode, validate. The only importer of msgpack.

A dataclass's wire form is the msgpack array of its fields in order, derived from its annotations:

    Annotated[int, Range]   integer, shortest form          T | None        nil or T
    Annotated[bytes, Size]  bin, shortest header            tuple[T, ...]   array, at most 65536 or its Size
    Annotated[str, Size]    str (UTF-8), shortest header    tuple[A, B]     array of exactly these
    bool                    true / false                    A | B           array [TAG, field…] of the member
    frozen dataclass        array of its fields

There is exactly one encoding of a value: what is decoded is encoded again and compared.
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
"""Bytes that `decode` accepts unless told otherwise."""

_ANY_LENGTH: Final = 2**32 - 1
_NIL: Final = b"\xc0"
_FIXED_ARRAYS: Final = frozenset(bytes([head]) for head in range(0x90, 0xA0))
_ARRAY_LENGTH_BYTES: Final[Mapping[bytes, int]] = {b"": 1, b"\xdc": 2, b"\xdd": 4}
"""Bytes of the length after an array's header; where no header is left, one that cannot be read."""


def encode(obj: object) -> bytes:
    """The canonical bytes of a frozen dataclass instance.

    Raises `CodecError` when a field's type, range or length breaks its annotation.
    """
    return msgpack.packb(functions(type(obj)).write(obj))  # type: ignore[no-any-return]


def validate(obj: object) -> None:
    """Refuses an instance built in memory that `decode` could not have given. Raises `CodecError`."""
    functions(type(obj)).write(obj)


def decode(cls: type[T], raw: bytes, *, max_bytes: int = MAX_BYTES) -> T:
    """The instance of `cls` whose canonical bytes are exactly `raw`.

    msgpack is asked for one scalar or one array header at a time, as the type demands, and builds no
    container: no input takes memory that its type does not allow, and nesting ends where the type ends.

    Raises `TooLarge` before anything is read; then `Truncated`, `WrongType`, `OutOfRange`, `WrongArity`,
    `UnknownTag`; and `NonCanonical` for bytes other than the value's one encoding, trailing ones included.
    """
    if type(raw) is not bytes:
        raise WrongType("encoded data is not bytes", expected="bytes", got=type(raw).__name__)
    if len(raw) > max_bytes:
        raise TooLarge(f"encoded {cls.__qualname__} is too large", expected=max_bytes, got=len(raw))
    obj = _read(cls, raw)
    if encode(obj) != raw:
        raise NonCanonical(f"these bytes are not the one encoding of this {cls.__qualname__}")
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
        max_bin_len=_ANY_LENGTH,  # a length beyond the data is Truncated, not another type
        max_str_len=_ANY_LENGTH,
    )
    unpacker.feed(raw)
    count, tell = partial(_array_length, unpacker.read_bytes), unpacker.tell
    try:
        if (arity := count(cls.__qualname__)) != known.arity:
            refuse_arity(arity, cls.__qualname__, known.arity)
        obj: T = known.read(unpacker.unpack, count, lambda: raw[(at := tell()) : at + 1] == _NIL)
    except msgpack.OutOfData as error:
        raise Truncated(f"encoded {cls.__qualname__} ends too early", got=len(raw)) from error
    except ValueError as error:
        raise WrongType(f"encoded {cls.__qualname__} holds another type at byte {tell()}: {error}") from error
    return obj


def _array_length(read_bytes: Callable[[int], bytes], where: str) -> int:
    """Takes an array's header. (msgpack's own `read_array_header` may or may not heed `max_array_len`.)"""
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
