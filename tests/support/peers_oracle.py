"""What docs/protocol/peers.md says of packed bytes, written from the text alone; see `protocol_oracle`."""

from __future__ import annotations

import zlib


def unpacked(packed: bytes, most: int) -> bytes | str:
    """The plain bytes, or the code of what is wrong with the packed ones."""
    if not packed or (packed[0] == 1 and len(packed) < 5):
        return "truncated"
    size = len(packed) - 1 if packed[0] == 0 else int.from_bytes(packed[1:5], "big")
    if packed[0] > 1 or (packed[0] == 1 and len(packed) >= 1 + size):
        return "bad_packing"
    if size > most:
        return "too_large"
    if packed[0] == 0:
        return packed[1:]
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(packed[5:])
    except zlib.error:
        return "bad_packing"
    return plain if stream.eof and not stream.unused_data and len(plain) == size else "bad_packing"
