"""Tagged hashes against their definition, and the separation of kinds."""

import hashlib

import pytest

from engram.primitives.codec import encode
from engram.primitives.hashing import Tag, hash_object, prefixed, tagged_hash
from tests.support.codec_samples import PAY


def by_definition(tag: str, message: bytes) -> bytes:
    digest = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(digest + digest + message).digest()


@pytest.mark.parametrize("tag", [*Tag, "BIP0340/challenge"])
def test_the_definition_of_bip_340(tag: str) -> None:
    assert tagged_hash(tag, b"message") == by_definition(tag, b"message")
    assert tagged_hash(tag) == by_definition(tag, b"")


def test_chunks_are_joined() -> None:
    assert tagged_hash(Tag.NODE, b"ab", b"", b"c") == tagged_hash(Tag.NODE, b"abc")


def test_the_shared_prefix_is_not_used_up() -> None:
    first = tagged_hash(Tag.NODE, b"x")
    state = prefixed(Tag.NODE).copy()
    state.update(b"x")
    assert state.digest() == first == tagged_hash(Tag.NODE, b"x")


def test_every_kind_of_object_has_its_own_tag() -> None:
    assert len(Tag) == len(Tag.__members__)
    assert all(tag.startswith("engram/") for tag in Tag)
    assert len({tagged_hash(tag, b"same") for tag in Tag}) == len(Tag)


def test_a_tag_and_its_text_are_one() -> None:
    by_text: dict[str, int] = {Tag.NODE: 1}
    assert by_text["engram/node"] == 1


def test_an_object_is_hashed_by_its_canonical_bytes() -> None:
    assert hash_object(Tag.TRANSACTION_ID, PAY) == tagged_hash(Tag.TRANSACTION_ID, encode(PAY))
