"""Payloads of transactions from the JSON form in which RPC shows them, for those who sign elsewhere.

It is the inverse of `rpc.render`: bytes are hexadecimal text, a field of 20 bytes is an address.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from engram.node.errors import TransactionTypeUnknown
from engram.primitives.jsonform import from_json
from engram.primitives.keys import ADDRESS_BYTES
from engram.primitives.schema import (
    BytesSchema,
    ListSchema,
    OptionalSchema,
    RecordSchema,
    Schema,
    TupleSchema,
    UnionSchema,
    record,
)
from engram.primitives.types import Address
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions import TX_TYPES

NAMES: Final = tuple(cls.NAME for cls in TX_TYPES.values())
"""The names of all transaction types."""

ParseAddress = Callable[[str], Address]


def parse_payload(name: str, value: object, parse_address: ParseAddress) -> TxPayload:
    """The payload of the type `name` with these fields.

    Raises `TransactionTypeUnknown`; `CodecError`, whose message names the field; and what `parse_address`
    raises.
    """
    cls = next((cls for cls in TX_TYPES.values() if name == cls.NAME), None)
    if cls is None:
        raise TransactionTypeUnknown(expected=list(NAMES), got=name)
    return from_json(cls, _in_hex(RecordSchema(cls), value, parse_address))


def _in_hex(schema: Schema, value: Any, parse: ParseAddress) -> Any:
    """The same value with addresses as hexadecimal text. What does not fit the schema is left as it is."""
    match schema, value:
        case BytesSchema(lo, hi), str() | None if lo == hi == ADDRESS_BYTES:
            return bytes(ADDRESS_BYTES).hex() if value is None else parse(value).hex()
        case RecordSchema(cls), dict():
            return _fields(cls, value, parse)
        case UnionSchema(members), dict():
            chosen = [member for _, member in members if member.__name__ == value.get("type")]
            return _fields(chosen[0], value, parse) if chosen else value
        case OptionalSchema(inner), _ if value is not None:
            return _in_hex(inner, value, parse)
        case ListSchema(item), list():
            return [_in_hex(item, each, parse) for each in value]
        case TupleSchema(items), list() if len(items) == len(value):
            return [_in_hex(item, each, parse) for item, each in zip(items, value, strict=True)]
        case _:
            return value


def _fields(cls: type, value: dict[str, Any], parse: ParseAddress) -> dict[str, Any]:
    schemas = dict(record(cls))
    return {
        name: _in_hex(schemas[name], each, parse) if name in schemas else each for name, each in value.items()
    }
