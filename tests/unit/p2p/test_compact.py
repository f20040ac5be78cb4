"""Short ids: which transactions they name, and which forms and answers no honest peer sends."""

import random
from collections.abc import Sequence
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.p2p import compact
from engram.p2p.compact import PartialBody, is_ascending, match, short_id, short_ids
from engram.p2p.errors import WrongReply
from tests.support.p2p_chain import GENESIS, Link, transaction_id

TRANSACTIONS = tuple(b"transaction %d" % number for number in range(6))
BLOCK = Link(GENESIS.id, 1, b"block", TRANSACTIONS)
FORM = BLOCK.form()


def partial(*pooled: int, prefilled: Sequence[int] = ()) -> PartialBody[bytes]:
    """The block of someone in whose mempool the transactions at these places wait."""
    form = BLOCK.form(prefilled=tuple(prefilled))
    known = {short_id(FORM.key, BLOCK.txids[place]): TRANSACTIONS[place] for place in pooled}
    return PartialBody(form, [TRANSACTIONS[place] for place in prefilled], known, transaction_id)


def test_a_short_id_is_the_keyed_hash_of_the_text() -> None:
    expected = blake2b(BLOCK.txids[0], digest_size=8, key=FORM.key).digest()
    assert short_id(FORM.key, BLOCK.txids[0]) == expected == FORM.short_ids[:8]
    assert short_id(bytes(16), BLOCK.txids[0]) != expected


@given(st.sets(st.integers(0, 5)), st.sets(st.integers(0, 5)))
def test_what_neither_waits_nor_came_along_is_missing(pooled: set[int], prefilled: set[int]) -> None:
    body = partial(*pooled, prefilled=sorted(prefilled))
    missing = sorted(set(range(6)) - pooled - prefilled)
    assert body.missing == tuple(missing)
    assert body.fill([TRANSACTIONS[place] for place in missing]) == TRANSACTIONS
    assert body.agrees_with(BLOCK.txids)


def test_transactions_are_matched_by_their_short_ids_alone() -> None:
    others = [random.Random(number).randbytes(32) for number in range(100)]
    pool = [*others[:50], *BLOCK.txids[1:3], *others[50:], BLOCK.txids[5]]
    shorts = [FORM.short_ids[8 * place : 8 * place + 8] for place in range(6)]
    assert match(FORM, pool) == {shorts[place]: BLOCK.txids[place] for place in (1, 2, 5)}
    assert match(FORM, [BLOCK.txids[1]] * 2) == {shorts[1]: BLOCK.txids[1]}
    assert match(BLOCK.form(short_ids=b""), pool) == {}


def test_two_transactions_with_the_same_short_id_are_both_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight bytes never collide in a test: here a short id is the first byte of the id."""
    monkeypatch.setattr(compact, "short_id", lambda key, txid: txid[:1] * 8)
    form = BLOCK.form(short_ids=b"a" * 8 + b"b" * 8)
    assert match(form, [b"a1", b"b1", b"a2", b"c1"]) == {b"b" * 8: b"b1"}


def test_a_transaction_that_stands_twice_in_a_block_takes_both_places() -> None:
    twice = Link(GENESIS.id, 1, b"twice", TRANSACTIONS[:1] * 2)
    body: PartialBody[bytes] = PartialBody(twice.form(), (), {}, transaction_id)
    assert body.missing == (0, 1)
    assert body.fill(twice.transactions) == twice.transactions
    pooled = {short_id(twice.key, twice.txids[0]): TRANSACTIONS[0]}
    assert PartialBody(twice.form(), (), pooled, transaction_id).fill(()) == twice.transactions


@pytest.mark.parametrize(
    "transactions",
    [TRANSACTIONS[:1], TRANSACTIONS[:3], (), (TRANSACTIONS[1], TRANSACTIONS[0]), (b"other", TRANSACTIONS[1])],
)
def test_an_answer_with_other_transactions_is_a_lie(transactions: tuple[bytes, ...]) -> None:
    body = partial(2, 3, 4, 5)
    with pytest.raises(WrongReply):
        body.fill(transactions)


@pytest.mark.parametrize(
    ("places", "given"),
    [((0,), ()), ((0,), (0, 1)), ((1, 0), (1, 0)), ((0, 0), (0, 0)), ((6,), (0,)), ((1,), (0,))],
)
def test_a_form_whose_transactions_are_not_at_their_places_is_a_lie(
    places: tuple[int, ...], given: tuple[int, ...]
) -> None:
    with pytest.raises(WrongReply):
        PartialBody(
            BLOCK.form(prefilled=places), [TRANSACTIONS[place] for place in given], {}, transaction_id
        )


@pytest.mark.parametrize("size", [1, 7, 9, 47])
def test_a_short_id_that_is_cut_off_is_a_lie(size: int) -> None:
    form = BLOCK.form(short_ids=FORM.short_ids[:size])
    with pytest.raises(WrongReply):
        match(form, BLOCK.txids)
    with pytest.raises(WrongReply):
        PartialBody(form, (), {}, transaction_id)


def test_short_ids_of_another_block_are_told_from_the_true_ones() -> None:
    lie = short_ids(FORM.key, [*BLOCK.txids[:5], bytes(32)])
    body: PartialBody[bytes] = PartialBody(BLOCK.form(short_ids=lie), (), {}, transaction_id)
    assert not body.agrees_with(BLOCK.txids)
    assert not partial().agrees_with(BLOCK.txids[:5])


@pytest.mark.parametrize(
    ("places", "ascending"),
    [((), True), ((0, 1, 5), True), ((5,), True), ((6,), False), ((1, 1), False), ((2, 1), False)],
)
def test_places_ascend_within_the_block(places: tuple[int, ...], ascending: bool) -> None:
    assert is_ascending(places, 6) is ascending
