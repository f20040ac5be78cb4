"""Which integers of JSON-RPC are decimal text: by their field, never by their value; both ways are exact."""

from collections.abc import Iterator, Mapping
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.consensus.block import BlockHeader
from engram.consensus.chainspec import ChainSpec
from engram.node.client import RpcClient
from engram.node.decimals import DECIMAL_FIELDS, is_decimal, with_decimals, with_integers
from engram.node.errors import RemoteError
from engram.primitives.schema import (
    IntSchema,
    ListSchema,
    OptionalSchema,
    RecordSchema,
    Schema,
    TupleSchema,
    UnionSchema,
    record,
)
from engram.statemachine.receipt import Receipt
from engram.statemachine.registry import RECORDS
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions import TX_TYPES
from tests.support.rpc_door import opened

pytestmark = pytest.mark.fault(id=50)
EXACT: Final = 2**53 - 1
"""The greatest integer up to which a binary64 number holds each one."""
BOUNDED: Final[Mapping[str, str]] = {
    "audit_ended": "a tick",
    "committed": "a tick",
    "expires": "a tick or height",
    "genesis_time_ms": "milliseconds since 1970",
    "half_life_ms": "milliseconds",
    "height": "blocks that were made",
    "loss_rows": "rows that were stored",
    "nonce": "transactions that were included",
    "opened": "a height",
    "reveal_ended": "a tick",
    "sealed_correct": "rows that were stored",
    "sealed_rows": "rows that were stored",
    "sent_tensor_bytes": "bytes that were stored",
    "tick": "time",
    "ticked": "a height",
    "ticks": "time",
    "timestamp_ms": "milliseconds since 1970, and not in the future",
    "validation_rows": "rows that were stored",
    "witnesses_ended": "a tick",
}
"""Fields of 64 bits that are numbers, and what keeps them below 2^53: nobody can choose them freely."""


def wide_fields(cls: type) -> Iterator[str]:
    for name, schema in record(cls):
        yield from wide(name, schema)


def wide(name: str, schema: Schema) -> Iterator[str]:
    match schema:
        case IntSchema(_, hi) if hi > EXACT:
            yield name
        case RecordSchema(cls):
            yield from wide_fields(cls)
        case UnionSchema(members):
            for _, cls in members:
                yield from wide_fields(cls)
        case OptionalSchema(inner):
            yield from wide(name, inner)
        case ListSchema(item):
            yield from wide(name, item)
        case TupleSchema(items):
            for item in items:
                yield from wide(name, item)


def test_each_field_of_64_bits_is_text_or_bounded() -> None:
    """A new field has to be put into one of the two lists."""
    classes = (*RECORDS.values(), *TX_TYPES.values(), BlockHeader, Receipt, Transaction, ChainSpec)
    found = {name for cls in classes for name in wide_fields(cls)}
    assert found - DECIMAL_FIELDS == set(BOUNDED)


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**256), 2**256) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["balance", "work", "height", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(JSON)
def test_a_result_comes_back_as_it_was(value: object) -> None:
    sent = with_decimals(value)
    assert all(not is_decimal(text) for text in texts(value)) <= (with_integers(sent) == value)
    assert all(type(item) is not int for item in under(sent, "balance"))


def texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(item)


def under(value: object, name: str, at: str = "") -> Iterator[object]:
    """What stands in fields of this name, and in lists there."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from under(item, name, key)
    elif isinstance(value, list):
        for item in value:
            yield from under(item, name, at)
    elif at == name:
        yield value


async def test_small_and_great_values_have_one_form() -> None:
    assert with_decimals({"balance": 0, "height": 0}) == {"balance": "0", "height": 0}
    assert with_decimals({"values": (1, 2**64)}) == {"values": ["1", str(2**64)]}
    assert with_decimals({"tip": None, "fee": True, "work": "x"}) == {"tip": None, "fee": True, "work": "x"}


@pytest.mark.parametrize("text", ["01", "+1", "1.0", "", "-", "1e3", " 1", "1" * 81, "\u0661"])
def test_what_is_no_decimal_text_stays_text(text: str) -> None:
    assert with_integers({"balance": text}) == {"balance": text}


async def test_parameters_are_taken_in_both_forms() -> None:
    async with opened() as door, RpcClient(door.url) as client:
        for amount in (0, 2**53 + 1, 2**64 - 1, -(2**63)):
            for form in (amount, str(amount)):
                request = {"jsonrpc": "2.0", "id": 1, "method": "pay", "params": [form]}
                assert (await door.post(document=request))[1]["result"] == {"amount": str(amount)}
                assert await client.call("pay", amount=form) == {"amount": amount}
        for wrong in (str(2**64), str(-(2**63) - 1), "01", "+1", "1.0", "", "0x10", "9" * 5_000):
            with pytest.raises(RemoteError) as refusal:
                await client.call("pay", amount=wrong)
            assert refusal.value.code == "invalid_params"


async def test_numbers_in_errors_are_text_on_the_wire_and_integers_at_the_client() -> None:
    async with opened() as door, RpcClient(door.url) as client:
        _, reply = await door.post(document={"jsonrpc": "2.0", "id": 1, "method": "refuse"})
        assert (reply["error"]["data"]["expected"], reply["error"]["data"]["got"]) == ("7", "9")
        with pytest.raises(RemoteError) as refusal:
            await client.call("refuse")
        assert (refusal.value.expected, refusal.value.got) == (7, 9)
