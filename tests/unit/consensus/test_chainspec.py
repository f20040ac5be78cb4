"""ChainSpec: its file, its ids, its presets, and every way in which a file can be wrong."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engram.consensus import chainspec
from engram.consensus.chainspec import (
    ONE_WORK_TARGET,
    Allocation,
    ChainSpec,
    Origin,
    Upgrade,
    active_types,
    chain_id,
    check_spec,
    dump_spec,
    has_work,
    load_spec,
    local,
    main,
    spec_id,
)
from engram.consensus.errors import BadSpec
from engram.nn.layers import DenseRelu, Output
from engram.nn.spec import NetworkSpec
from engram.nn.spec import check_spec as check_network
from engram.primitives.errors import CodecError
from engram.primitives.keys import format_address
from engram.primitives.schema import RecordSchema, record
from engram.statemachine.additions import TrainUpdate
from engram.statemachine.claimterms import ClaimTerms
from engram.statemachine.errors import BadRules
from engram.statemachine.rounds.claims import audited_rows
from engram.statemachine.rounds.update import reading_macs
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import network_macs
from engram.statemachine.transactions import TX_TYPES
from tests.support.round_samples import a_model

ALICE, BOB = bytes([1]) * 20, bytes([2]) * 20
ALLOCATIONS = (Allocation(BOB, 7), Allocation(ALICE, 5))


def example() -> ChainSpec:
    return local(ALLOCATIONS, 1_700_000_000_000)


def institutions() -> ChainSpec:
    return chainspec.consortium((Allocation(ALICE, 5),), 1_700_000_000_000)


def cards() -> ChainSpec:
    return chainspec.cluster((Allocation(ALICE, 5),), 1_700_000_000_000)


@pytest.mark.parametrize("preset", [main, chainspec.test, institutions, cards, example])
def test_a_spec_survives_its_file(preset: Callable[[], ChainSpec]) -> None:
    assert load_spec(dump_spec(preset())) == preset()


def test_the_file_is_for_people() -> None:
    value = json.loads(dump_spec(example()))
    assert value["allocations"][0] == {"address": format_address(ALICE, "leng"), "amount": 5}
    assert value["genesis_target"] == "01" + "00" * 31
    assert value["rules"]["draw_ticks"] == 3
    assert list(value) == [name for name, _ in record(ChainSpec) if name != "origin"]


def test_presets_differ_in_every_name_that_users_meet() -> None:
    specs = [
        main(),
        chainspec.test(),
        institutions(),
        example(),
        chainspec.dev(ALLOCATIONS, 1_700_000_000_000),
        cards(),
    ]
    assert [spec.name for spec in specs] == ["main", "test", "consortium", "local", "dev", "cluster"]
    assert [spec.hrp for spec in specs] == ["eng", "teng", "ceng", "leng", "deng", "geng"]
    assert len({chain_id(spec) for spec in specs}) == 6
    assert [spec.name for spec in specs if not has_work(spec)] == ["dev"]


def test_a_full_block_costs_the_same_in_whatever_respect_it_is_full() -> None:
    for spec in (main(), chainspec.test(), institutions(), cards(), example()):
        rules, fees = spec.rules, spec.rules.fees
        by_bytes = rules.max_body_bytes * fees.per_byte
        assert by_bytes <= rules.max_block_macs // fees.macs_per_spark <= by_bytes * 103 // 100
        assert rules.max_block_transactions * fees.floor >= by_bytes


def test_institutions_and_strangers_need_more_rows_than_one_machine() -> None:
    for stricter, looser in ((institutions(), example()), (main(), institutions())):
        names = ("min_sealed_rows", "min_witness_rows", "min_old_rows")
        assert all(getattr(stricter.rules, name) > getattr(looser.rules, name) for name in names)
    assert chainspec.test().rules.min_parts == main().rules.min_parts == 16


def test_presets_have_every_transaction_type_from_genesis_on() -> None:
    assert active_types(main()) == tuple((kind, 0) for kind in sorted(TX_TYPES))


def test_a_card_has_more_work_to_do_and_no_more_to_read() -> None:
    more, less = cards().rules, institutions().rules
    assert more.max_block_macs == 10**13
    ratio = more.macs_per_loaded_byte // less.macs_per_loaded_byte
    assert more.max_block_macs // less.max_block_macs - ratio in range(-10, 10)
    assert more.max_body_bytes == 8 * less.max_body_bytes == 32 * 1024 * 1024
    assert more.fees.per_byte == less.fees.per_byte, "weights cost what they cost elsewhere"
    heavy = NetworkSpec(
        784, 10, (), (DenseRelu(1, 0, 784, 12_700, 9, 8, 8),), (Output(1, 0, 12_700, 0, 10, 0, 8),)
    )
    rows = audited_rows(replace(a_model(), claims=ClaimTerms(30, 8)), [1_000])[1]
    for rules in (more, less, example().rules):
        check_network(heavy, rules.networks)
        audit = network_macs(rules, TrainUpdate(heavy, (), ()), rows) + 8 * reading_macs(rules, 784, 1_000)
        assert audit < rules.max_block_macs // 2, (
            "ten million weights can be claimed, with an audit of 8 chunks"
        )


def test_local_is_quick() -> None:
    spec = example()
    rules = spec.rules
    assert (spec.block_time_ms, spec.genesis_time_ms) == (500, 1_700_000_000_000)
    assert (rules.draw_ticks, rules.min_gap_ticks, rules.min_window_ticks) == (3, 2, 3)
    assert [allocation.address for allocation in spec.allocations] == [ALICE, BOB]


def test_a_chain_without_work_has_one_target_only() -> None:
    unworked = replace(example(), pow="none", genesis_target=ONE_WORK_TARGET, max_target=ONE_WORK_TARGET)
    check_spec(unworked)
    assert has_work(example())
    assert not has_work(unworked)
    with pytest.raises(BadSpec, match="genesis_target") as refusal:
        check_spec(replace(unworked, genesis_target=example().genesis_target))
    assert refusal.value.expected == ONE_WORK_TARGET


def test_chain_id_is_the_head_of_the_spec_id() -> None:
    assert chain_id(example()).to_bytes(8, "big") == spec_id(example())[:8]


def test_a_new_transaction_type_keeps_the_chain_id() -> None:
    spec = example()
    assert chain_id(replace(spec, upgrades=(*spec.upgrades, Upgrade(65535, 1000)))) == chain_id(spec)
    assert chain_id(replace(spec, upgrades=())) == chain_id(spec)


def variations(obj: Any) -> list[Any]:
    """Copies of a record that differ in one field each, fields of fields included."""
    varied = []
    for name, schema in record(type(obj)):
        value = getattr(obj, name)
        if isinstance(schema, RecordSchema):
            varied += [replace(obj, **{name: inner}) for inner in variations(value)]
        elif isinstance(value, int):
            varied.append(replace(obj, **{name: value ^ 1}))
        elif isinstance(value, str):
            varied.append(replace(obj, **{name: value + "x"}))
        elif isinstance(value, bytes):
            varied.append(replace(obj, **{name: value[::-1]}))
        elif value is None:
            varied.append(replace(obj, **{name: Origin(bytes(32), bytes(32), 1, bytes(32))}))
        elif name != "upgrades":
            varied.append(replace(obj, **{name: value[1:]}))
    return varied


def test_the_id_commits_to_every_other_constant() -> None:
    specs = [example(), *variations(example())]
    assert len(specs) > len(record(ChainSpec)) + len(record(Rules)) - 3
    assert len({spec_id(spec) for spec in specs}) == len(specs)


def edit(path: str, value: object) -> str:
    """The example's file with one key set (None: removed); `path` is dotted."""
    tree = json.loads(dump_spec(example()))
    *parents, last = path.split(".")
    place = tree
    for key in parents:
        place = place[int(key)] if isinstance(place, list) else place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return json.dumps(tree)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (edit("colour", "red"), "unknown key 'colour'"),
        (edit("rules.fees.tip", 1), "spec.rules.fees: unknown key 'tip'"),
        (edit("allocations.1.note", "x"), "spec.allocations[1]: unknown key 'note'"),
        (edit("rules.subsidy", None), "spec.rules: key 'subsidy' is missing"),
        (edit("allocations.0.address", None), "spec.allocations[0]: key 'address' is missing"),
        (edit("pow", "md5"), "pow: there is no such"),
        (edit("hrp", "Eng1"), "hrp: only the letters"),
        (edit("block_time_ms", 0), "block_time_ms"),
        (edit("half_life_ms", 0), "half_life_ms"),
        (edit("block_time_ms", 0.5), "0.5 is not an integer"),
        (edit("block_time_ms", "500"), "block_time_ms"),
        (edit("block_time_ms", True), "block_time_ms"),
        (edit("block_time_ms", -1), "block_time_ms"),
        (edit("future_limit_ms", 2**32), "future_limit_ms"),
        (edit("rules", []), "rules"),
        (edit("allocations", {}), "allocations"),
        (edit("hrp", 7), "hrp: not a text"),
        (edit("genesis_target", "00" * 32), "genesis_target: must have a compact form"),
        (edit("genesis_target", "01" * 32), "genesis_target: must have a compact form"),
        (edit("genesis_target", "08" + "00" * 31), "genesis_target: above max_target"),
        (edit("genesis_target", "xx"), "genesis_target"),
        (edit("allocations.0.amount", 0), "allocations: an amount is zero"),
        (edit("allocations.0.amount", 2**63), "too many coins"),
        (edit("allocations.0.address", format_address(ALICE, "eng")), "another network"),
        (edit("allocations.0.address", format_address(BOB, "leng")), "allocations[1]: repeated"),
        (
            edit("upgrades", [{"kind": 2, "height": 0}, {"kind": 1, "height": 0}]),
            "upgrades[1]: repeated or out",
        ),
        (dump_spec(example()).replace('"hrp"', '"name": "x", "hrp"'), "key 'name' stands twice"),
        (dump_spec(example()).replace("500,", "NaN,", 1), "NaN is not an integer"),
        ("[" * 100_000, "not JSON"),
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
    ],
)
def test_a_bad_file_is_refused_by_the_name_of_what_is_wrong(text: str, named: str) -> None:
    with pytest.raises(BadSpec) as caught:
        load_spec(text)
    assert caught.value.code == "bad_spec"
    assert named in str(caught.value)


def test_rules_that_would_stop_the_chain_are_refused_by_name() -> None:
    zero = dict.fromkeys(("halving_blocks", "min_witness_bond", "tick_ring", "chunk_bytes"), 0)
    for name, value in {**zero, "max_body_bytes": 2**25 + 1}.items():
        with pytest.raises(BadRules, match=name) as caught:
            load_spec(edit(f"rules.{name}", value))
        assert caught.value.code == "bad_rules"


def test_prefix_of_addresses_has_letters_only() -> None:
    with pytest.raises(BadSpec, match="hrp"):
        check_spec(replace(main(), hrp="en1"))


def test_a_spec_built_in_memory_is_checked_too() -> None:
    with pytest.raises(CodecError):
        check_spec(replace(main(), block_time_ms=-1))
    with pytest.raises(BadSpec, match="repeated"):
        local((Allocation(ALICE, 1), Allocation(ALICE, 2)), 0)
