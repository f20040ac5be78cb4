"""The exact bytes of a header, its id, and the roots that it commits to."""

import pytest

from engram.consensus.block import Block, BlockHeader, pow_prefix, receipts_root, transactions_root
from engram.primitives.codec import decode, encode
from engram.primitives.errors import CodecError, OutOfRange
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.merkle import list_root
from engram.statemachine.receipt import Receipt


def header(nonce: bytes = bytes(8), height: int = 300) -> BlockHeader:
    roots = (bytes([3]) * 32, bytes([4]) * 32, bytes([5]) * 32)
    return BlockHeader(
        1, height, bytes([1]) * 32, 1_700_000_000_123, 0x1D00FFFF, bytes([2]) * 20, *roots, nonce
    )


def test_the_exact_bytes_of_a_header() -> None:
    expected = (
        "9a" "01" "cd012c" "c420" + "01" * 32 + "cf0000018bcfe5687b" "ce1d00ffff" "c414" + "02" * 20
        + "c420" + "03" * 32 + "c420" + "04" * 32 + "c420" + "05" * 32 + "c408" "0807060504030201"
    )  # fmt: skip
    assert encode(header(bytes.fromhex("0807060504030201"))).hex() == expected


@pytest.mark.parametrize("height", [0, 127, 128, 2**16, 2**32, 2**64 - 1])
def test_the_nonce_is_a_suffix(height: int) -> None:
    prefix = pow_prefix(header(height=height))
    for nonce in (bytes(8), b"\xff" * 8, b"\xc4\x08\x00\x00\x00\x00\x00\x00"):
        assert encode(header(nonce, height)) == prefix + nonce


def test_the_id_is_the_tagged_hash_of_the_bytes() -> None:
    assert header().id == tagged_hash(Tag.HEADER, encode(header()))
    assert header().id != (header(b"\x00" * 7 + b"\x01")).id


def test_a_nonce_has_eight_bytes() -> None:
    with pytest.raises(OutOfRange):
        encode(header(bytes(7)))
    with pytest.raises(CodecError):
        decode(BlockHeader, encode(header())[:-1])


def test_roots_are_list_roots() -> None:
    receipts = [Receipt(bytes(32), 0, "", 1, 2), Receipt(bytes(32), 1, "no", 1, 2)]
    assert transactions_root([b"a" * 32, b"b" * 32]) == list_root([b"a" * 32, b"b" * 32])
    assert receipts_root(receipts) == list_root([encode(receipt) for receipt in receipts])


def test_an_empty_block_round_trips() -> None:
    block = Block(header(), ())
    assert decode(Block, encode(block)) == block
