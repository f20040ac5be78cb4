"""The frozen vectors of transactions: replayed from their own bytes, and none may be missing."""

import json
from typing import Any

import pytest

from engram.primitives.codec import decode, encode, from_json, to_json
from engram.primitives.types import ZERO_HASH
from engram.statemachine.context import BlockContext
from engram.statemachine.receipt import Receipt
from engram.statemachine.registry import parse_record
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import Scorer
from engram.statemachine.state import State, record_path
from engram.statemachine.transaction import Transaction, signing_message
from engram.statemachine.transactions import TX_TYPES, decode_payload
from engram.statemachine.upgrades import FROM_GENESIS
from tests.support.ledger import Blobs, executed
from tests.support.smt_reference import Nodes
from tests.support.tx_vectors import FOLDER, MAKERS

NAMES = sorted(payload.NAME for payload in TX_TYPES.values())


def vector(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((FOLDER / f"tx_{name}.json").read_text(encoding="utf-8"))
    return cases


def state_of(case: dict[str, Any]) -> State:
    nodes = Nodes()
    genesis = State(nodes, ZERO_HASH)
    for path, leaf in case["state"].items():
        record = parse_record(bytes.fromhex(leaf))
        assert record_path(type(record), record.key).hex() == path
        genesis.put(record)
    root, new = genesis.commit()
    assert root.hex() == case["root"]
    nodes.update(new)
    return State(nodes, root)


def context_of(case: dict[str, Any]) -> BlockContext:
    block = case["block"]
    blobs = Blobs((bytes.fromhex(name), bytes.fromhex(raw)) for name, raw in case["blobs"].items())
    return BlockContext(
        rules=from_json(Rules, case["rules"]),
        chain_id=block["chain_id"],
        height=block["height"],
        tick=block["tick"],
        exponent=block["exponent"],
        parent=bytes.fromhex(block["parent"]),
        miner=bytes.fromhex(block["miner"]),
        blobs=blobs,
        scorer=Scorer(),
        active=FROM_GENESIS,
    )


def test_every_type_has_a_vector() -> None:
    assert sorted(path.name for path in FOLDER.glob("tx_*.json")) == [f"tx_{name}.json" for name in NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_the_vector_holds_its_type(name: str) -> None:
    cases = vector(name)
    assert cases
    assert all(name in {tx["type"] for tx in case["transactions"]} for case in cases)


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_the_files_are_what_the_package_makes(name: str) -> None:
    assert vector(name) == json.loads(json.dumps(MAKERS[name]()))


@pytest.mark.parametrize("name", NAMES)
def test_transactions(name: str) -> None:
    for case in vector(name):
        for each in case["transactions"]:
            tx = decode(Transaction, bytes.fromhex(each["bytes"]))
            assert signing_message(tx).hex() == each["signing_message"]
            assert tx.id.hex() == each["txid"]
            payload = decode_payload(tx)
            assert to_json(payload) == each["payload"]
            assert encode(from_json(TX_TYPES[tx.kind], each["payload"])) == tx.payload


@pytest.mark.parametrize("name", NAMES)
def test_blocks(name: str) -> None:
    for case in vector(name):
        txs = [decode(Transaction, bytes.fromhex(each["bytes"])) for each in case["transactions"]]
        result = executed(state_of(case), context_of(case), txs)
        receipts = case["receipts"]
        assert [encode(receipt).hex() for receipt in result.receipts] == [each["bytes"] for each in receipts]
        assert [from_json(Receipt, each["value"]) for each in receipts] == list(result.receipts)
        assert result.root.hex() == case["new_root"]
        changes = {path.hex(): leaf and leaf.hex() for path, leaf in result.changes.items()}
        assert changes == case["changes"]
        assert {key.hex(): raw.hex() for key, raw in result.blobs.items()} == case["new_blobs"]
