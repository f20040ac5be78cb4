"""Genesis blocks: golden ids, what they commit to, and the state below the first block."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engram.consensus import chainspec
from engram.consensus.block import HEADER_VERSION, receipts_root, transactions_root
from engram.consensus.chainspec import Allocation, ChainSpec, chain_id, load_spec, local, spec_id
from engram.consensus.compact import bits_to_target
from engram.consensus.errors import BadSpec
from engram.consensus.genesis import genesis
from engram.primitives.codec import encode
from engram.statemachine.records import Account, Supply
from engram.statemachine.state import State
from tests.support.smt_reference import Nodes

ALICE, BOB = bytes([1]) * 20, bytes([2]) * 20
SPEC = local((Allocation(ALICE, 5), Allocation(BOB, 7)), 1_700_000_000_000)


VECTOR = json.loads((Path(__file__).parents[2] / "vectors" / "consensus_genesis.json").read_text())


@pytest.mark.parametrize("case", VECTOR["presets"], ids=lambda case: case["spec"]["name"])
def test_golden_genesis(case: dict[str, Any]) -> None:
    spec = load_spec(json.dumps(case["spec"]))
    made = genesis(spec)
    assert (spec_id(spec).hex(), chain_id(spec)) == (case["spec_id"], case["chain_id"])
    assert (encode(made.block.header).hex(), made.id.hex()) == (case["header"], case["block_id"])


@pytest.mark.parametrize("preset", [chainspec.main, chainspec.test])
def test_the_public_presets_are_the_golden_ones(preset: Callable[[], ChainSpec]) -> None:
    golden = {case["spec"]["name"]: case["spec_id"] for case in VECTOR["presets"]}
    assert spec_id(preset()).hex() == golden[preset().name]


def test_the_header_commits_to_the_spec_and_its_state() -> None:
    made = genesis(SPEC)
    header = made.block.header
    assert made.id == header.id
    assert made.block.transactions == ()
    assert (header.version, header.height, header.parent) == (HEADER_VERSION, 0, spec_id(SPEC))
    assert header.timestamp_ms == SPEC.genesis_time_ms
    assert bits_to_target(header.target) == int.from_bytes(SPEC.genesis_target, "big")
    assert (header.transactions_root, header.receipts_root) == (transactions_root([]), receipts_root([]))
    assert (header.miner, header.nonce) == (bytes(20), bytes(8))


def test_the_state_holds_the_allocations_and_counts_them() -> None:
    made = genesis(SPEC)
    state = State(Nodes(made.nodes), made.block.header.state_root)
    assert (state.account(ALICE).balance, state.account(BOB).balance) == (5, 7)
    assert state.get(Supply) == Supply(issued=12, burned=0)
    assert state.find(Account, bytes(20)) is None


def test_another_spec_has_another_genesis() -> None:
    other = replace(SPEC, block_time_ms=SPEC.block_time_ms + 1)
    assert genesis(other).id != genesis(SPEC).id


def test_a_spec_that_cannot_run_has_none() -> None:
    with pytest.raises(BadSpec):
        genesis(replace(SPEC, pow="md5"))
