"""Payloads from the JSON form in which RPC shows them: every type comes back, nothing else does."""

import json
from functools import cache
from typing import Any

import pytest

from engram.node.errors import TransactionTypeUnknown
from engram.node.payloads import NAMES, parse_payload
from engram.node.rpc.render import Renderer
from engram.primitives.errors import BadAddress, CodecError
from engram.primitives.keys import parse_address
from engram.statemachine.transaction import Transaction, TxPayload, decode_transaction
from engram.statemachine.transactions import decode_payload
from tests.support.node_chain import SPEC
from tests.support.source_tree import ROOT

RENDER = Renderer(SPEC.hrp, SPEC.rules)


def parsed(name: str, value: Any) -> TxPayload:
    return parse_payload(name, value, lambda text: parse_address(text, SPEC.hrp))


@cache
def transactions() -> tuple[tuple[str, Transaction], ...]:
    """The frozen transactions of every type."""
    files = sorted((ROOT / "tests/vectors").glob("tx_*.json"))
    cases = [case for file in files for case in json.loads(file.read_text())]
    return tuple(
        (each["type"], decode_transaction(bytes.fromhex(each["bytes"])))
        for case in cases
        for each in case["transactions"]
    )


def test_every_type_comes_back() -> None:
    for name, tx in transactions():
        shown = json.loads(json.dumps(RENDER.transaction(tx, tx.size_bytes)["payload"]))
        assert parsed(name, shown) == decode_payload(tx)
    assert {name for name, _ in transactions()} == set(NAMES)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("gift", {}, TransactionTypeUnknown),
        ("transfer", {}, CodecError),
        ("transfer", None, CodecError),
        ("transfer", [], CodecError),
        ("transfer", {"target": "eng1", "amount": 1}, BadAddress),
        ("transfer", {"target": None, "amount": -1}, CodecError),
        ("transfer", {"target": None, "amount": 2**64}, CodecError),
        ("transfer", {"target": None, "amount": True}, CodecError),
        ("transfer", {"target": 7, "amount": 1}, CodecError),
        ("transfer", {"target": None, "amount": 1, "more": 2}, CodecError),
        ("reveal_update", {"addition": {"type": "None"}}, CodecError),
    ],
)
def test_what_is_no_payload_is_refused(name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        parsed(name, value)
