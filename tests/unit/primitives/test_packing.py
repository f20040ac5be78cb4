"""The packed form of bytes: what it saves, and that no stranger's bytes take more than was declared."""

import random
import tracemalloc
import zlib

import numpy as np
import pytest

from engram.primitives.errors import BadPacking, CodecError, TooLarge, Truncated
from engram.primitives.packing import (
    LEAST_DEFLATED_BYTES,
    PACKING_BYTES,
    SAMPLED_BYTES,
    pack,
    plain_size,
    unpack,
)

TEXT = b"the same words again and again, " * 200
NOISE = random.Random(1).randbytes(5_000)
MOST = 10_000


def deflated(raw: bytes, declared: int | None = None, stream: bytes | None = None) -> bytes:
    size = len(raw) if declared is None else declared
    return b"\x01" + size.to_bytes(4, "big") + (zlib.compress(raw) if stream is None else stream)


@pytest.mark.parametrize("raw", [b"", b"x", TEXT[:100], TEXT[:1_023], TEXT[:1_024], TEXT, NOISE])
def test_packed_bytes_come_back(raw: bytes) -> None:
    packed = pack(raw)
    assert (plain_size(packed), unpack(packed, len(raw))) == (len(raw), raw)
    assert len(packed) <= len(raw) + PACKING_BYTES


def test_only_what_becomes_smaller_is_deflated() -> None:
    assert len(pack(TEXT)) < len(TEXT) // 20
    assert pack(NOISE) == b"\x00" + NOISE
    assert pack(TEXT[: LEAST_DEFLATED_BYTES - 1])[0] == 0
    mixed = NOISE[:3_000] + bytes(2_000)
    assert (pack(mixed)[0], pack(mixed, most_percent=50)[0]) == (1, 0)


def test_long_bytes_of_which_a_sample_stays_long_are_not_deflated() -> None:
    weights = np.random.default_rng(1).integers(-30, 31, 2 * SAMPLED_BYTES).astype(np.int8).tobytes()
    assert pack(weights[: SAMPLED_BYTES - 1])[0] == 1
    assert pack(weights[:SAMPLED_BYTES])[0] == 0
    rows = b"".join(weights[at : at + 500] + bytes(1_500) for at in range(0, 50_000, 500))
    assert pack(rows)[0] == 1
    assert unpack(pack(rows), len(rows)) == rows
    assert pack(rows, most_percent=10)[0] == 0


@pytest.mark.parametrize("size", [0, 1, 31, 1_000])
def test_more_than_the_limit_is_refused_before_it_is_inflated(size: int) -> None:
    for packed in (b"\x00" + bytes(size + 1), deflated(bytes(2_000), 2_000)):
        with pytest.raises(TooLarge) as caught:
            unpack(packed, size)
        assert caught.value.expected == size


@pytest.mark.fault(id=4, inputs=2)
def test_a_bomb_takes_no_memory() -> None:
    """64 MiB behind a number that is small, and behind one that is too large."""
    bomb = zlib.compress(bytes(64 << 20), 9)
    tracemalloc.start()
    try:
        for declared, error in ((100_000, BadPacking), (64 << 20, TooLarge)):
            with pytest.raises(error):
                unpack(deflated(b"", declared, bomb), 1 << 20)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1 << 20


@pytest.mark.parametrize(
    "packed",
    [
        b"\x02" + TEXT,
        b"\xff",
        deflated(TEXT, len(TEXT) - 1),
        deflated(TEXT, len(TEXT) + 1),
        deflated(TEXT) + b"\x00",
        deflated(TEXT)[:-1],
        deflated(TEXT, stream=zlib.compress(TEXT)[2:]),
        deflated(TEXT, stream=b""),
        deflated(b"x"),
        deflated(b"", stream=b""),
    ],
    ids=lambda packed: packed[:8].hex(),
)
def test_what_is_no_packed_form(packed: bytes) -> None:
    with pytest.raises(BadPacking) as caught:
        unpack(packed, MOST)
    assert caught.value.code == "bad_packing"


def test_a_stream_with_a_dictionary_is_refused() -> None:
    maker = zlib.compressobj(zdict=TEXT)
    with pytest.raises(BadPacking):
        unpack(deflated(TEXT, stream=maker.compress(TEXT) + maker.flush()), MOST)


@pytest.mark.parametrize("packed", [b"", b"\x01", b"\x01\x00\x00\x01"])
def test_a_head_that_ends_early(packed: bytes) -> None:
    with pytest.raises(Truncated):
        unpack(packed, MOST)


def test_every_flipped_bit_behind_the_form_is_found() -> None:
    packed = pack(TEXT)
    for at in range(len(packed)):
        for bit in range(8):
            flipped = bytearray(packed)
            flipped[at] ^= 1 << bit
            try:
                found = unpack(bytes(flipped), MOST)
            except CodecError:
                continue
            assert at == 0 or found == TEXT, "only the bits that pad the last byte of the stream mean nothing"
