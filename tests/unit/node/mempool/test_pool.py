"""The pool of waiting transactions against a small model that recomputes everything from a list."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.node.errors import AlreadyPooled, NonceGap, PoolFull, Refused, ReplacementFee, SenderLimit
from engram.node.mempool.pool import Pool, PooledTx, PoolLimits, hindrances, largest_share
from engram.statemachine.errors import NonceMismatch
from engram.statemachine.fees import BasePrice
from engram.statemachine.records import Account
from engram.statemachine.rules import Rules
from engram.statemachine.transaction import Cost, Transaction
from tests.support.faults import plays

LIMITS = PoolLimits(max_bytes=8_000, sender_transactions=4, sender_bytes=3_000, nonce_window=6)


def entry(
    sender: int, nonce: int, tip: int, size: int = 300, *, cap: int = 1_000_000, parts: int = 1
) -> PooledTx:
    """Its minimum fee is 100 at exponent 0, and it takes `parts` thousandths of a block."""
    tx = Transaction(1, bytes([sender]) * 32, nonce, cap + tip, tip, 1, size.to_bytes(2, "big"), bytes(64))
    return PooledTx(tx, tx.id, bytes([sender]) * 20, size, BasePrice(100), Fraction(parts, 1_000))


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


def test_the_rate_weighs_the_tip_by_the_share_of_a_block() -> None:
    light, heavy = entry(1, 0, 300, parts=1), entry(2, 0, 500, parts=4)
    pool = filled(heavy, light)
    assert list(pool.in_order({light.sender: 0, heavy.sender: 0})) == [light, heavy]


@pytest.mark.parametrize(
    ("cost", "share"),
    [
        (Cost(size_bytes=100), Fraction(1, 8)),
        (Cost(size_bytes=500), Fraction(1, 2)),
        (Cost(size_bytes=500, macs=60), Fraction(3, 5)),
    ],
    ids=["by count", "by bytes", "by macs"],
)
def test_the_largest_share_counts(cost: Cost, share: Fraction) -> None:
    rules = Rules(max_body_bytes=1_000, max_block_macs=100, max_block_transactions=8)
    assert largest_share(rules, cost) == share


def test_rates_that_differ_by_next_to_nothing_are_told_apart() -> None:
    """The nearest fractions that two budgets of 2^55 MACs allow."""
    most = 2**55
    shares = Fraction(most - 1, most), Fraction(most - 2, most - 1)
    one, other = (replace(entry(sender, 0, 1), share=share) for sender, share in enumerate(shares))
    assert 1 / shares[0] < 1 / shares[1]
    assert one.rate < other.rate


def test_what_the_base_has_outgrown_is_parked_and_returns() -> None:
    """A minimum of 100 is 113 at exponent 1, 127 at 2 and 143 at 3."""
    modest, follower, rich = entry(1, 0, 5, cap=127), entry(1, 1, 5), entry(2, 0, 1)
    assert (modest.bearable, entry(3, 0, 5, cap=99).bearable, rich.bearable) == (2, -1, 78)
    assert [modest.charge(exponent) for exponent in (0, 2, 3)] == [105, 132, 132]
    pool, nonces = filled(modest, follower, rich), {modest.sender: 0, rich.sender: 0}
    waits = {}
    for exponent in (2, 3, 2):
        pool.exponent = exponent
        waits[exponent] = hindrances(Account(modest.sender, 10**9), [modest, follower], exponent)
        order = [modest, follower, rich] if exponent == 2 else [rich]
        assert list(pool.in_order(nonces)) == order
    assert waits == {2: {}, 3: dict.fromkeys((modest.txid, follower.txid), "fee_too_low")}


def test_the_parked_leave_a_full_pool_first_and_push_nobody_out() -> None:
    parked, cheap = entry(1, 0, 9_000, 1_000, cap=127), entry(2, 0, 1, 1_000)
    pool = filled(parked, cheap, limits=replace(LIMITS, max_bytes=4_000))
    pool.exponent = 3
    with pytest.raises(PoolFull):
        pool.add(entry(3, 0, 10_000, 1_000, cap=120), 0)
    assert pool.add(entry(3, 0, 1, 1_000), 0) == [parked]
    with pytest.raises(PoolFull):
        pool.add(entry(4, 0, 1, 1_000), 0)


def test_where_transactions_are_free_the_tip_alone_counts() -> None:
    pool = filled(*(replace(entry(sender, 0, tip), price=BasePrice(0)) for sender, tip in ((1, 0), (2, 3))))
    assert [each.tx.tip for each in pool.in_order({bytes([n]) * 20: 0 for n in (1, 2)})] == [3, 0]


def test_refusals_name_the_rule() -> None:
    pool = filled(entry(1, 0, 100))
    with pytest.raises(AlreadyPooled):
        pool.add(entry(1, 0, 100), 0)
    with pytest.raises(ReplacementFee, match="tip") as replaced:
        pool.add(entry(1, 0, 109, cap=2_000_000), 0)
    assert (replaced.value.expected, replaced.value.got) == (110, 109)
    with pytest.raises(ReplacementFee, match="cap") as replaced:
        pool.add(entry(1, 0, 110, cap=1_099_999), 0)
    assert (replaced.value.expected, replaced.value.got) == (1_100_110, 1_100_109)
    with pytest.raises(ReplacementFee, match="tip"):
        filled(entry(1, 0, 0)).add(entry(1, 0, 0, cap=2_000_000), 0)
    with pytest.raises(NonceMismatch):
        pool.add(entry(1, 1, 100), 2)
    with pytest.raises(NonceGap):
        pool.add(entry(1, 7, 100), 0)
    pool.add(entry(1, 6, 100), 0)
    with pytest.raises(SenderLimit):
        filled(*(entry(1, nonce, 100) for nonce in range(4))).add(entry(1, 4, 100), 0)
    with pytest.raises(SenderLimit):
        filled(entry(1, 0, 100, 2_000)).add(entry(1, 1, 100, 1_001), 0)


def test_the_one_that_all_others_wait_for_is_let_in() -> None:
    """Else a sender whose next transaction was lost could never hand it in again."""
    pool = filled(*(entry(1, nonce, 100) for nonce in range(1, 5)))
    with pytest.raises(SenderLimit):
        pool.add(entry(1, 5, 100), 0)
    assert pool.add(entry(1, 0, 100), 0) == []
    assert [each.tx.nonce for each in pool.in_order({entry(1, 0, 100).sender: 0})] == [0, 1, 2, 3, 4]
    full = filled(entry(1, 1, 100, 2_900))
    assert full.add(entry(1, 0, 100, 200), 0) == [], "it may exceed the sender's bytes, too"


def test_a_tenth_more_replaces() -> None:
    first, second = entry(1, 0, 100), entry(1, 0, 110, cap=1_100_000)
    pool = filled(first)
    assert pool.add(second, 0) == [first]
    assert list(pool) == [second]


@pytest.mark.fault(id=22)
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
        self.exponent = 0

    def standing(self, item: PooledTx) -> tuple[bool, Fraction]:
        parked = item.bearable < self.exponent
        return not parked, Fraction(item.bearable) if parked else item.tx.tip / item.share

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
        for old in same:
            if new.tx.tip * 10 < old.tx.tip * 11 or new.tx.max_fee * 10 < old.tx.max_fee * 11:
                return ReplacementFee
        rest = [item for item in own if item not in same]
        if new.tx.nonce > nonce:
            if len(rest) + 1 > LIMITS.sender_transactions:
                return SenderLimit
            if sum(item.size_bytes for item in [*rest, new]) > LIMITS.sender_bytes:
                return SenderLimit
        kept = [item for item in self.entries if item not in same]
        worst_first = sorted(self.entries, key=lambda item: (*self.standing(item), -self.entries.index(item)))
        for worst in worst_first:
            if self.bytes_of(kept) + new.memory_bytes <= LIMITS.max_bytes:
                break
            if self.standing(worst) >= self.standing(new) or (
                worst.sender == new.sender and worst.tx.nonce < new.tx.nonce
            ):
                return PoolFull
            kept = [i for i in kept if i.sender != worst.sender or i.tx.nonce < worst.tx.nonce]
        if self.bytes_of(kept) + new.memory_bytes > LIMITS.max_bytes:
            return PoolFull
        self.entries = [*kept, new]
        return None

    def in_order(self) -> list[PooledTx]:
        left, order, nonces = list(self.entries), [], dict(self.nonces)
        while ready := [
            item
            for item in left
            if item.tx.nonce == nonces[item.sender[0]] and item.bearable >= self.exponent
        ]:
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
    st.sampled_from((99, 113, 143, 1_000)),
)
inclusions = st.tuples(st.just("include"), st.integers(0, 2), st.just(0), st.just(0), st.just(0), st.just(0))
bases = st.tuples(st.just("base"), st.integers(0, 4), st.just(0), st.just(0), st.just(0), st.just(0))


@plays(8, sample=100)
@given(st.lists(st.one_of(admissions, admissions, admissions, inclusions, bases), max_size=60))
def test_the_pool_does_what_the_model_does(steps: list[tuple[str, int, int, int, int, int]]) -> None:
    pool, model = Pool(LIMITS), Model()
    for action, sender, nonce, tip, size, cap in steps:
        address = bytes([sender]) * 20
        if action == "base":
            pool.exponent = model.exponent = sender
        elif action == "include":
            model.nonces[sender] += 1
            model.entries = [
                i for i in model.entries if i.sender != address or i.tx.nonce >= model.nonces[sender]
            ]
            pool.settle(address, model.nonces[sender])
        else:
            new = entry(sender, nonce, tip, size, cap=cap)
            assert outcome(pool, new, model.nonces[sender]) is model.add(new, model.nonces[sender])
        assert set(pool) == set(model.entries)
        assert pool.memory_bytes == model.bytes_of(model.entries)
        nonces = {bytes([number]) * 20: value for number, value in model.nonces.items()}
        assert list(pool.in_order(nonces)) == model.in_order()
