"""The packed form of bytes between peers and on disk: plain, or deflated where that makes them smaller.

No id, signature, fee or limit of the consensus knows this form: they all see the plain bytes.

    packed = 00 ‖ plain bytes
           | 01 ‖ number of plain bytes (u32, big-endian) ‖ zlib stream of them (RFC 1950), no dictionary

A deflated form is shorter than the plain form of the same bytes, so packed bytes are never more than one byte
longer than plain ones. The declared number is checked against a limit before anything is inflated, and no
more than that is inflated, so a few bytes cannot take much memory.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from engram.primitives.errors import BadPacking, TooLarge, Truncated

PACKING_BYTES: Final = 1
"""How much longer than the plain bytes their packed form can be."""
LEAST_DEFLATED_BYTES: Final = 1024
"""Shorter bytes are packed plain: deflating them saves next to nothing."""
LEVEL: Final = 1
"""Of zlib's levels, 1 takes the least time; rows of images become hardly smaller with a higher one."""

_PLAIN: Final = 0
_DEFLATED: Final = 1
_HEAD: Final = struct.Struct(">BI")


def pack(raw: bytes, *, most_percent: int = 90) -> bytes:
    """The packed form of these bytes, which `unpack` turns back into them.

    They are deflated if that leaves at most `most_percent` of them: what is hardly smaller is not worth the
    time that inflating takes. Deflating a megabyte takes some 20 milliseconds, with the interpreter's lock
    released.
    """
    if len(raw) >= LEAST_DEFLATED_BYTES:
        stream = zlib.compress(raw, LEVEL)
        if 100 * (len(stream) + _HEAD.size) <= most_percent * len(raw):
            return _HEAD.pack(_DEFLATED, len(raw)) + stream
    return pack_plain(raw)


def pack_plain(raw: bytes) -> bytes:
    """The packed form that takes no time to make."""
    return bytes([_PLAIN]) + raw


def plain_size(packed: bytes) -> int:
    """How many bytes `unpack` will return if it returns any. Nothing is inflated.

    Raises `Truncated`, and `BadPacking` for an unknown form or one that is not shorter than the plain form.
    """
    if not packed:
        raise Truncated("the packed bytes have no first byte")
    if packed[0] == _PLAIN:
        return len(packed) - PACKING_BYTES
    if packed[0] != _DEFLATED:
        raise BadPacking("no packed form begins with this byte", expected=(_PLAIN, _DEFLATED), got=packed[0])
    if len(packed) < _HEAD.size:
        raise Truncated("the packed bytes end before their number", expected=_HEAD.size, got=len(packed))
    size: int = _HEAD.unpack_from(packed)[1]
    if len(packed) >= size + PACKING_BYTES:
        raise BadPacking(
            "the deflated form is not shorter than the plain one", expected=size, got=len(packed)
        )
    return size


def unpack(packed: bytes, most_bytes: int) -> bytes:
    """The plain bytes, at most `most_bytes` of them; whoever sent the packed ones may be a stranger.

    Raises `TooLarge` before anything is inflated if more are declared; `Truncated`; `BadPacking` if the
    stream is damaged, is followed by other bytes, or holds another number of bytes than is declared.
    """
    size = plain_size(packed)
    if size > most_bytes:
        raise TooLarge("more plain bytes than are accepted", expected=most_bytes, got=size)
    if packed[0] == _PLAIN:
        return packed[PACKING_BYTES:]
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(memoryview(packed)[_HEAD.size :], size + 1)  # one more shows that it goes on
    except zlib.error as error:
        raise BadPacking(f"the deflated bytes are damaged: {error}") from error
    if len(raw) != size:
        raise BadPacking("another number of plain bytes than declared", expected=size, got=len(raw))
    if not stream.eof or stream.unused_data:
        raise BadPacking("the deflated bytes do not end with their stream")
    return raw
