"""Fees, rules that a chain can run under, and types by height."""

from dataclasses import replace

import pytest

from engram.consensus import chainspec
from engram.consensus.chainspec import Allocation, ChainSpec, local
from engram.nn.spec import NetworkLimits
from engram.primitives.codec import encode
from engram.statemachine.errors import BadRules, NotActivated, UpgradeRequired
from engram.statemachine.fees import fee_of, price_of, price_of_macs, risen
from engram.statemachine.rounds.terms import BOND_SCORINGS, MAX_OPENED_PARTS
from engram.statemachine.rules import MAX_BLOCK_MACS, Fees, Rules, check_rules
from engram.statemachine.transaction import Cost
from engram.statemachine.transactions import TX_TYPES
from engram.statemachine.transactions.transfer import Transfer
from engram.statemachine.upgrades import FROM_GENESIS, check_active, check_upgrades
from tests.support.ledger import Ledger, key

FEES = Fees(floor=100, per_byte=3, macs_per_spark=10, per_record=50)

PRESETS = (chainspec.main(), chainspec.test(), local((Allocation(bytes(range(20)), 1),), 0))


@pytest.mark.parametrize(
    ("cost", "fee"),
    [
        (Cost(), 100),
        (Cost(size_bytes=33), 100),
        (Cost(size_bytes=34), 102),
        (Cost(size_bytes=34, records=2), 202),
        (Cost(size_bytes=34, macs=1), 103),
        (Cost(size_bytes=34, macs=10), 103),
        (Cost(size_bytes=34, macs=11), 104),
        (Cost(size_bytes=34, record_bytes=7), 123),
        (Cost(size_bytes=34, funds=10**9), 102),
    ],
)
def test_the_price(cost: Cost, fee: int) -> None:
    assert price_of(FEES, cost).whole == fee_of(FEES, cost, 0) == fee


@pytest.mark.parametrize(
    ("price", "exponent", "least"),
    [(8, 0, 8), (8, 1, 9), (7, 1, 8), (1, 1, 2), (0, 200, 0), (64, 2, 81), (10_240, 12, 42_086)],
)
def test_a_price_rises_by_an_eighth_with_each_step_and_rounds_up_once(
    price: int, exponent: int, least: int
) -> None:
    assert risen(price, exponent) == least
    assert fee_of(replace(FEES, floor=price), Cost(), exponent) == least


@pytest.mark.parametrize(
    "preset",
    [
        *(chainspec.main(), chainspec.test(), chainspec.consortium((), 0)),
        *(chainspec.cluster((), 0), local((), 0)),
    ],
    ids=lambda spec: spec.name,
)
def test_a_full_block_costs_the_same_by_count_by_bytes_and_by_macs(preset: ChainSpec) -> None:
    """By count exactly what it costs by bytes; by MACs, which do not divide, up to 2 % more."""
    rules, fees = preset.rules, preset.rules.fees
    by_bytes = fee_of(fees, Cost(size_bytes=rules.max_body_bytes), 0)
    by_count = fees.floor * rules.max_block_transactions
    by_macs = fee_of(fees, Cost(macs=rules.max_block_macs), 0)
    assert by_count == by_bytes
    assert by_bytes <= by_macs <= by_bytes * 102 // 100
    dearer = replace(fees, macs_per_spark=fees.macs_per_spark + 1)
    assert fee_of(dearer, Cost(macs=rules.max_block_macs), 0) < by_bytes


def test_what_is_paid_already_is_taken_off_at_the_price_without_congestion() -> None:
    own = Cost(size_bytes=400, macs=1_000)
    longer = replace(own, macs=10**6 + 1_000, paid_macs=10**6)
    assert fee_of(FEES, longer, 0) == fee_of(FEES, own, 0)
    whole = fee_of(FEES, replace(longer, paid_macs=0), 0)
    for exponent in (1, 12, 40):
        charged = fee_of(FEES, longer, exponent)
        assert charged == risen(whole, exponent) - price_of_macs(FEES, 10**6)
        assert charged >= fee_of(FEES, own, exponent)
    paid = Cost(macs=10**6, paid_macs=10**6)
    assert fee_of(FEES, paid, 0) == FEES.floor, "the floor is charged in any case"


def test_the_price_of_work_rounds_up() -> None:
    assert [price_of_macs(FEES, macs) for macs in (0, 1, 10, 11)] == [0, 1, 1, 2]


def test_the_fee_follows_the_bytes_that_are_sent() -> None:
    ledger = Ledger({key(1): 10**9})
    ledger.rules = replace(ledger.rules, fees=replace(ledger.rules.fees, floor=0))
    tx = ledger.pay(key(1), Transfer(bytes(20), 5))
    fees = ledger.rules.fees
    assert tx.max_fee == len(encode(tx)) * fees.per_byte + fees.per_record


def test_the_default_rules_hold_together() -> None:
    check_rules(Rules())


@pytest.mark.parametrize(
    "change",
    [
        {"fees": Fees(macs_per_spark=0)},
        {"max_transaction_bytes": 2**20 + 1},
        {"max_transaction_bytes": 10},
        {"max_body_bytes": 512 * 1024 - 1},
        {"tick_exponent": 13, "max_exponent": 12},
        {"max_exponent": 201},
        {"tick_patience_blocks": 0},
        {"halving_blocks": 0},
        {"subsidy": 2**63},
        {"subsidy": 2**45, "halving_blocks": 2**18},
        {"chunk_bytes": 0},
        {"chunk_bytes": 512 * 1024},
        {"max_blob_bytes": 64 * 1024 * 1024 + 1},
        {"tick_ring": 4},
        {"draw_ticks": 0},
        {"min_window_ticks": 0},
        {"max_epochs": 33},
        {"max_parts": 257},
        {"min_parts": 1},
        {"min_parts": 7, "max_parts": 6},
        {"min_validation": 0},
        {"min_validation": 6},
        {"min_sealed": 0},
        {"min_sealed": 6},
        {"min_z_squared": 0},
        {"max_retention_parts": 17},
        {"max_infer_rows": 2_000},
        {"max_infer_values": 65_534},
        {"max_block_macs": 2**20 - 1},
        {"max_block_macs": 2**54 + 1},
        {"min_witness_bond": 0},
        {"upload_expiry_ticks": 1},
        {"networks": NetworkLimits(max_rows=2**17 + 1)},
    ],
)
def test_rules_that_contradict_each_other(change: dict[str, object]) -> None:
    with pytest.raises(BadRules):
        check_rules(replace(Rules(), **change))  # type: ignore[arg-type]  # names and values stand above


def test_the_dearest_bond_of_an_author_fits_its_field() -> None:
    """Four times every unseen and every retention part, each half a block, at the dearest price of a MAC."""
    rules = replace(Rules(), fees=Fees(macs_per_spark=1), max_block_macs=MAX_BLOCK_MACS)
    check_rules(rules)
    charge = price_of_macs(rules.fees, rules.max_block_macs // 2)
    assert BOND_SCORINGS * (MAX_OPENED_PARTS + rules.max_retention_parts) * charge < 2**64


def test_types_in_force() -> None:
    check_active(((1, 0), (2, 10)), 2, 10)
    for kind, height in ((2, 9), (3, 10)):
        with pytest.raises(NotActivated):
            check_active(((1, 0), (2, 10)), kind, height)


def test_every_type_of_this_software_can_be_in_force_from_genesis() -> None:
    assert dict(FROM_GENESIS) == dict.fromkeys(TX_TYPES, 0)
    check_upgrades(FROM_GENESIS, 0)


def test_a_type_that_this_software_lacks_stops_it_at_its_height() -> None:
    upgrades = (*FROM_GENESIS, (65_000, 7))
    check_upgrades(upgrades, 6)
    for height in (7, 8):
        with pytest.raises(UpgradeRequired) as caught:
            check_upgrades(upgrades, height)
        assert caught.value.expected == 65_000


def test_kinds_and_names_are_distinct() -> None:
    assert all(kind == payload.KIND for kind, payload in TX_TYPES.items())
    assert len({payload.NAME for payload in TX_TYPES.values()}) == len(TX_TYPES)
