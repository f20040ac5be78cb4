"""Transactions that wait for another state: how many, of which size together, and for how long."""

from dataclasses import replace

import pytest

from engram.node.mempool.deferred import Deferred, Source
from engram.statemachine.transaction import Transaction

TX = Transaction(1, bytes([1]) * 32, 0, 1, 0, 1, b"", bytes(64))


def tx(number: int, size: int = 0) -> Transaction:
    return replace(TX, nonce=number, payload=bytes(size))


def test_the_oldest_go_for_what_is_beyond_the_number() -> None:
    kept = Deferred(3, 1 << 20, heads=2)
    txs = [tx(number) for number in range(5)]
    gone = [kept.add(each.id, each, "code") for each in txs]
    assert gone == [[], [], [], [txs[0].id], [txs[1].id]]
    assert [name for name, _ in kept.items()] == [each.id for each in txs[2:]]


@pytest.mark.fault(id=24)
def test_a_flood_pushes_out_nothing_of_others() -> None:
    """Neither what a peer brought that this node has dialled, nor what other strangers brought."""
    kept = Deferred(8, 1 << 20, heads=2)
    chosen, guest = Source("198.51.0.0/16"), Source("203.0.0.0/16", is_stranger=True)
    flood = Source("192.0.0.0/16", is_stranger=True)
    honest = [tx(number, 1_000) for number in range(4)]
    for each, source in zip(honest, (chosen, chosen, chosen, guest), strict=True):
        assert kept.add(each.id, each, "code", source) == []
    for number in range(100):
        one = tx(100 + number, 900)
        gone = kept.add(one.id, one, "code", flood)
        assert gone == ([tx(96 + number, 900).id] if number >= 4 else [])
    assert [name for name, _ in kept.items()][:4] == [each.id for each in honest]
    for number in range(3):
        one = tx(200 + number, 900)
        kept.add(one.id, one, "code", chosen)
    assert [name for name, _ in kept.items()][:4] == [each.id for each in honest], "of strangers' first"


@pytest.mark.fault(id=24)
def test_the_oldest_go_for_what_is_beyond_the_size() -> None:
    large = [tx(number, 1_000) for number in range(50)]
    size = large[0].size_bytes
    kept = Deferred(len(large), 3 * size, heads=2)
    for each in large:
        kept.add(each.id, each, "code")
        kept.add(each.id, each, "code")  # once more is no more
    assert [name for name, _ in kept.items()] == [each.id for each in large[-3:]]
    first = large[-3].id
    assert not kept.failed(first)
    assert kept.failed(first)
    kept.remove(large[-2].id)
    assert [kept.add(each.id, each, "code") for each in large[:3]] == [[], [], [large[-1].id]]
