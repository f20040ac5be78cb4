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
SAMPLED_BYTES: Final = 2**16
"""Of so many bytes or more, a sample is deflated first."""
SAMPLE: Final = 8
"""The slices of a sample, evenly spread, of `SLICE_BYTES` each."""
SLICE_BYTES: Final = 2_048
SAMPLE_SLACK_PERCENT: Final = 5
"""A sample is deflated a little less well than the whole: so much more of it may be left."""
MOST_SAMPLE_PERCENT: Final = 75
"""Whatever is asked for, long bytes of which more is left are packed plain. Those are weights: they keep
three quarters and more, and deflating them takes as long as the rest of importing their block.
"""

_PLAIN: Final = 0
_DEFLATED: Final = 1
_HEAD: Final = struct.Struct(">BI")


def pack(raw: bytes, *, most_percent: int = 90) -> bytes:
    """The packed form of these bytes, which `unpack` turns back into them.

    They are deflated if that leaves at most `most_percent` of them: what is hardly smaller is not worth the
    time that inflating takes. Deflating a megabyte takes some 20 milliseconds, with the interpreter's lock
    released; long bytes are packed plain if a sample of them does not become much smaller.
    """
    if len(raw) >= LEAST_DEFLATED_BYTES and not _stays_long(raw, most_percent):
        stream = zlib.compress(raw, LEVEL)
        if 100 * (len(stream) + _HEAD.size) <= most_percent * len(raw):
            return _HEAD.pack(_DEFLATED, len(raw)) + stream
    return pack_plain(raw)


def _stays_long(raw: bytes, most_percent: int) -> bool:
    """Whether the bytes are long, and a sample of them leaves more than it may."""
    if len(raw) < SAMPLED_BYTES:
        return False
    step = (len(raw) - SLICE_BYTES) // (SAMPLE - 1)
    sample = b"".join(raw[at * step : at * step + SLICE_BYTES] for at in range(SAMPLE))
    most = min(most_percent + SAMPLE_SLACK_PERCENT, MOST_SAMPLE_PERCENT)
    return 100 * len(zlib.compress(sample, LEVEL)) > most * len(sample)


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
