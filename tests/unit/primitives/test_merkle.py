"""Roots and proofs of ordered lists, and the mutations they must not confuse."""

from dataclasses import replace
from typing import Any

import pytest

from engram.primitives.codec import decode, encode
from engram.primitives.errors import ListProofMismatch, MalformedProof
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.merkle import ListProof, list_root, prove_item
from engram.primitives.types import ZERO_HASH

ITEMS = [bytes([index]) * 3 for index in range(20)]


def test_the_root_of_three_items_by_hand() -> None:
    first, second, third = (tagged_hash(Tag.LIST_LEAF, item) for item in ITEMS[:3])
    top = tagged_hash(Tag.LIST_NODE, tagged_hash(Tag.LIST_NODE, first, second), third)
    assert list_root(ITEMS[:3]) == tagged_hash(Tag.LIST_ROOT, (3).to_bytes(8, "big"), top)


def test_the_root_of_nothing() -> None:
    assert list_root([]) == tagged_hash(Tag.LIST_ROOT, bytes(8), ZERO_HASH)


def test_no_list_shares_a_root_with_a_variation() -> None:
    variations = [ITEMS[:count] for count in range(20)]
    variations += [[*ITEMS[:count], ITEMS[count - 1]] for count in range(1, 20)]  # CVE-2012-2459
    variations += [[*ITEMS[:4], *ITEMS[2:4]], ITEMS[1::-1], [b"", b""], [b""]]
    variations += [[tagged_hash(Tag.LIST_LEAF, item) for item in ITEMS[:2]]]
    assert len({list_root(items) for items in variations}) == len(variations)


@pytest.mark.parametrize("count", range(1, 20))
def test_every_item_is_proved_where_it_stands(count: int) -> None:
    items = ITEMS[:count]
    root = list_root(items)
    for index, item in enumerate(items):
        proof = prove_item(items, index)
        assert decode(ListProof, encode(proof)) == proof
        proof.verify(root, item)
        for other in range(count):
            if other != index:
                with pytest.raises((ListProofMismatch, MalformedProof)):
                    replace(proof, index=other).verify(root, item)


def test_another_item_root_or_sibling_is_a_mismatch() -> None:
    proof, root = prove_item(ITEMS, 5), list_root(ITEMS)
    for wrong, target, item in (
        (proof, root, ITEMS[6]),
        (proof, list_root(ITEMS[:19]), ITEMS[5]),
        (replace(proof, siblings=(ZERO_HASH, *proof.siblings[1:])), root, ITEMS[5]),
        (replace(proof, siblings=proof.siblings[::-1]), root, ITEMS[5]),
    ):
        with pytest.raises(ListProofMismatch) as raised:
            wrong.verify(target, item)
        assert raised.value.expected == target


def test_the_count_is_proved_too() -> None:
    """Item 0 of 17 has as many siblings as item 0 of 18: only the root's count tells them apart."""
    proof, root = prove_item(ITEMS[:17], 0), list_root(ITEMS[:17])
    with pytest.raises(ListProofMismatch):
        replace(proof, count=18).verify(root, ITEMS[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"index": 20},
        {"index": -1},
        {"count": 0},
        {"count": 2**32 - 1},
        {"siblings": ()},
        {"siblings": (ZERO_HASH,) * 32},
    ],
)
def test_a_path_that_no_list_has_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedProof):
        replace(prove_item(ITEMS, 5), **changes).verify(list_root(ITEMS), ITEMS[5])


def test_an_index_outside_the_list_has_no_proof() -> None:
    for index in (-1, 20):
        with pytest.raises(IndexError):
            prove_item(ITEMS, index)
