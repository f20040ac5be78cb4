"""The pool of waiting transactions against a small model that recomputes everything from a list."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.node.errors import AlreadyPooled, NonceGap, PoolFull, Refused, ReplacementFee, SenderLimit
from engram.node.mempool.pool import Pool, PooledTx, PoolLimits
from engram.statemachine.errors import NonceMismatch
from engram.statemachine.transaction import Transaction

LIMITS = PoolLimits(max_bytes=8_000, sender_transactions=4, sender_bytes=3_000, nonce_window=6)


def entry(sender: int, nonce: int, fee: int, size: int = 300, price: int = 100) -> PooledTx:
    tx = Transaction(1, bytes([sender]) * 32, nonce, fee, 1, size.to_bytes(2, "big"), bytes(64))
    return PooledTx(tx, tx.id, bytes([sender]) * 20, size, price)


def filled(*entries: PooledTx, limits: PoolLimits = LIMITS) -> Pool:
    pool = Pool(limits)
    for item in entries:
        pool.add(item, 0)
    return pool


def test_nonces_before_rates_within_a_sender() -> None:
    pool = filled(entry(1, 1, 900), entry(1, 0, 100), entry(2, 0, 500), entry(2, 2, 9_000))
    order = [
        (item.sender[0], item.tx.nonce) for item in pool.in_order({bytes([1]) * 20: 0, bytes([2]) * 20: 0})
    ]
    assert order == [(2, 0), (1, 0), (1, 1)]


def test_the_rate_weighs_the_fee_by_the_price() -> None:
    cheap_but_light, dear_but_heavy = entry(1, 0, 300, price=100), entry(2, 0, 500, price=400)
    pool = filled(dear_but_heavy, cheap_but_light)
    order = list(pool.in_order({cheap_but_light.sender: 0, dear_but_heavy.sender: 0}))
    assert order == [cheap_but_light, dear_but_heavy]


def test_where_transactions_are_free_the_fee_alone_counts() -> None:
    pool = filled(entry(1, 0, fee=0, price=0), entry(2, 0, fee=3, price=0))
    assert [each.tx.fee for each in pool.in_order({bytes([n]) * 20: 0 for n in (1, 2)})] == [3, 0]


def test_refusals_name_the_rule() -> None:
    pool = filled(entry(1, 0, 100))
    with pytest.raises(AlreadyPooled):
        pool.add(entry(1, 0, 100), 0)
    with pytest.raises(ReplacementFee) as replaced:
        pool.add(entry(1, 0, 109), 0)
    assert (replaced.value.expected, replaced.value.got) == (110, 109)
    with pytest.raises(NonceMismatch):
        pool.add(entry(1, 1, 100), 2)
    with pytest.raises(NonceGap):
        pool.add(entry(1, 7, 100), 0)
    pool.add(entry(1, 6, 100), 0)
    with pytest.raises(SenderLimit):
        filled(*(entry(1, nonce, 100) for nonce in range(4))).add(entry(1, 4, 100), 0)
    with pytest.raises(SenderLimit):
        filled(entry(1, 0, 100, 2_000)).add(entry(1, 1, 100, 1_001), 0)


def test_a_tenth_more_replaces() -> None:
    first, second = entry(1, 0, 100), entry(1, 0, 110)
    pool = filled(first)
    assert pool.add(second, 0) == [first]
    assert list(pool) == [second]


def test_a_full_pool_drops_the_worst_payer_and_what_follows_it() -> None:
    worst, follower = entry(1, 0, 100, 1_000), entry(1, 1, 9_000, 1_000)
    others = [entry(sender, 0, 500, 1_000) for sender in range(2, 8)]
    limits = replace(LIMITS, max_bytes=16_000)
    pool = filled(worst, follower, *others, limits=limits)
    with pytest.raises(PoolFull):
        pool.add(entry(9, 0, 100, 1_000), 0)
    assert set(pool.add(entry(9, 0, 101, 1_000), 0)) == {worst, follower}
    assert pool.memory_bytes <= 16_000


def test_nothing_is_dropped_for_an_entry_that_cannot_stay_without_it() -> None:
    limits = replace(LIMITS, max_bytes=4_000)
    first = entry(1, 0, 100, 1_000)
    pool = filled(first, entry(2, 0, 500, 1_000), limits=limits)
    with pytest.raises(PoolFull):
        pool.add(entry(1, 1, 9_000, 1_000), 0)
    assert first.txid in pool


def test_settling_and_cutting() -> None:
    entries = [entry(1, nonce, 100) for nonce in range(4)]
    pool = filled(*entries)
    assert pool.settle(entries[0].sender, 2) == entries[:2]
    assert pool.cut(entries[2].txid) == entries[2:]
    assert pool.cut(entries[2].txid) == []
    assert (len(pool), pool.memory_bytes, pool.senders()) == (0, 0, [])


def outcome(pool: Pool, new: PooledTx, account_nonce: int) -> type[Exception] | None:
    try:
        pool.add(new, account_nonce)
    except (Refused, NonceMismatch) as error:
        return type(error)
    return None


class Model:
    """The same pool as a plain list in order of arrival."""

    def __init__(self) -> None:
        self.entries: list[PooledTx] = []
        self.nonces = dict.fromkeys(range(3), 0)

    def bytes_of(self, entries: list[PooledTx]) -> int:
        return sum(item.memory_bytes for item in entries)

    def add(self, new: PooledTx, nonce: int) -> type[Exception] | None:
        own = [item for item in self.entries if item.sender == new.sender]
        same = [item for item in own if item.tx.nonce == new.tx.nonce]
        if any(item.txid == new.txid for item in own):
            return AlreadyPooled
        if new.tx.nonce < nonce:
            return NonceMismatch
        if new.tx.nonce > nonce + LIMITS.nonce_window:
            return NonceGap
        if same and new.tx.fee * 10 < same[0].tx.fee * 11:
            return ReplacementFee
        rest = [item for item in own if item not in same]
        if len(rest) + 1 > LIMITS.sender_transactions:
            return SenderLimit
        if sum(item.size_bytes for item in [*rest, new]) > LIMITS.sender_bytes:
            return SenderLimit
        kept = [item for item in self.entries if item not in same]
        worst_first = sorted(self.entries, key=lambda item: (item.rate, -self.entries.index(item)))
        for worst in worst_first:
            if self.bytes_of(kept) + new.memory_bytes <= LIMITS.max_bytes:
                break
            if worst.rate >= new.rate or (worst.sender == new.sender and worst.tx.nonce < new.tx.nonce):
                return PoolFull
            kept = [i for i in kept if i.sender != worst.sender or i.tx.nonce < worst.tx.nonce]
        if self.bytes_of(kept) + new.memory_bytes > LIMITS.max_bytes:
            return PoolFull
        self.entries = [*kept, new]
        return None

    def in_order(self) -> list[PooledTx]:
        left, order, nonces = list(self.entries), [], dict(self.nonces)
        while ready := [item for item in left if item.tx.nonce == nonces[item.sender[0]]]:
            best = max(ready, key=lambda item: (item.rate, -self.entries.index(item)))
            order.append(best)
            left.remove(best)
            nonces[best.sender[0]] += 1
        return order


admissions = st.tuples(
    st.just("add"),
    st.integers(0, 2),
    st.integers(0, 9),
    st.integers(100, 160),
    st.sampled_from((100, 400, 900)),
)
inclusions = st.tuples(st.just("include"), st.integers(0, 2), st.just(0), st.just(0), st.just(0))


@settings(max_examples=100)
@given(st.lists(st.one_of(admissions, admissions, admissions, inclusions), max_size=60))
def test_the_pool_does_what_the_model_does(steps: list[tuple[str, int, int, int, int]]) -> None:
    pool, model = Pool(LIMITS), Model()
    for action, sender, nonce, fee, size in steps:
        address = bytes([sender]) * 20
        if action == "include":
            model.nonces[sender] += 1
            model.entries = [
                i for i in model.entries if i.sender != address or i.tx.nonce >= model.nonces[sender]
            ]
            pool.settle(address, model.nonces[sender])
        else:
            new = entry(sender, nonce, fee, size)
            assert outcome(pool, new, model.nonces[sender]) is model.add(new, model.nonces[sender])
        assert set(pool) == set(model.entries)
        assert pool.memory_bytes == model.bytes_of(model.entries)
        nonces = {bytes([number]) * 20: value for number, value in model.nonces.items()}
        assert list(pool.in_order(nonces)) == model.in_order()
