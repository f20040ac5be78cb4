"""Sealed bytes open with the same key, salt, purpose, nonce and associated bytes, and in no other way."""

from __future__ import annotations

import pytest

from engram.node.errors import SealBroken
from engram.node.sealing import MARK_BYTES, NONCE_BYTES, TAG_BYTES, Sealer
from engram.primitives.keys import PrivateKey

KEY, OTHER = (PrivateKey.from_seed(bytes([number]) * 32) for number in (1, 2))
NONCE = bytes(NONCE_BYTES)
SEALER = Sealer(KEY, b"salt", "test")


def test_what_was_sealed_opens_and_shows_nothing_of_itself() -> None:
    sealed = SEALER.seal(NONCE, b"content" * 9, b"place")
    assert b"content" not in sealed
    assert len(sealed) == 63 + TAG_BYTES
    assert Sealer(KEY, b"salt", "test").open(NONCE, sealed, b"place") == b"content" * 9


@pytest.mark.parametrize(
    ("sealer", "nonce", "belongs"),
    [
        (Sealer(OTHER, b"salt", "test"), NONCE, b"place"),
        (Sealer(KEY, b"tals", "test"), NONCE, b"place"),
        (Sealer(KEY, b"salt", "tset"), NONCE, b"place"),
        (SEALER, bytes([1]) * NONCE_BYTES, b"place"),
        (SEALER, NONCE, b"places"),
    ],
)
def test_nothing_else_opens_it(sealer: Sealer, nonce: bytes, belongs: bytes) -> None:
    sealed = SEALER.seal(NONCE, b"content", b"place")
    with pytest.raises(SealBroken):
        sealer.open(nonce, sealed, belongs)


def test_every_flipped_bit_is_seen() -> None:
    sealed = SEALER.seal(NONCE, b"content", b"place")
    for bit in range(8 * len(sealed)):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealBroken):
            SEALER.open(NONCE, bytes(flipped), b"place")


def test_the_mark_tells_keys_apart_and_the_secret_is_not_shown() -> None:
    marks = {
        Sealer(key, salt, purpose).mark
        for key in (KEY, OTHER)
        for salt in (b"a", b"b")
        for purpose in ("x", "y")
    }
    assert len(marks) == 8
    assert {len(mark) for mark in marks} == {MARK_BYTES}
    assert KEY.seed.hex() not in repr(SEALER)
