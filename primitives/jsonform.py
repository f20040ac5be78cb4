"""JSON values of frozen dataclasses, by the same schemas as their bytes. No text, no files.

Bytes become lower-case hex, integers JSON integers, tuples arrays, and an absent value null. A dataclass
becomes an object with its field names as keys, without those that its bytes leave out; a member of a union
also has the key `"type"` with the name of its class.
"""

from __future__ import annotations

from typing import Any, TypeVar

from engram.primitives.codegen import functions
from engram.primitives.errors import NonCanonical, UnknownTag, WrongArity, WrongType
from engram.primitives.schema import (
    BytesSchema,
    Fields,
    ListSchema,
    OptionalSchema,
    RecordSchema,
    Schema,
    TupleSchema,
    UnionSchema,
    record,
    trailing,
)

T = TypeVar("T")


def to_json(obj: object) -> dict[str, Any]:
    """The JSON object of a dataclass instance. Raises `CodecError` when a field breaks its annotation."""
    functions(type(obj)).write(obj)
    return _object(obj)


def from_json(cls: type[T], value: object) -> T:
    """The instance whose `to_json` is `value`. Raises `CodecError`, whose message names the field."""
    obj: T = _record(cls, value, cls.__qualname__)
    functions(cls).write(obj)
    return obj


def _object(obj: object) -> dict[str, Any]:
    fields = record(type(obj))
    left, defaults = len(fields), trailing(type(obj))
    for default in reversed(defaults):
        if getattr(obj, fields[left - 1][0]) != default:
            break
        left -= 1
    return {name: _value(schema, getattr(obj, name)) for name, schema in fields[:left]}


def _value(schema: Schema, value: Any) -> Any:
    match schema:
        case BytesSchema():
            return value.hex()
        case RecordSchema():
            return _object(value)
        case UnionSchema():
            return {"type": type(value).__name__, **_object(value)}
        case OptionalSchema(inner):
            return None if value is None else _value(inner, value)
        case ListSchema(item):
            return [_value(item, each) for each in value]
        case TupleSchema(items):
            return [_value(item, each) for item, each in zip(items, value, strict=True)]
        case _:
            return value


def _record(cls: type[T], value: object, where: str) -> T:
    if type(value) is not dict:
        raise WrongType(f"{where} is not an object", expected="object", got=type(value).__name__)
    fields = record(cls)
    least = len(fields) - len(trailing(cls))
    present = fields[: max(least, _last_named(fields, value) + 1)]
    names = {name for name, _ in present}
    if set(value) != names:
        missing, unknown = names - set(value), {str(name) for name in value} - names
        raise WrongArity(
            f"{where}: fields are missing or unknown", expected=sorted(missing), got=sorted(unknown)
        )
    return cls(*(_parse(schema, value[name], f"{where}.{name}") for name, schema in present))


def _last_named(fields: Fields, value: dict[str, object]) -> int:
    """The place of the last of the fields that the object has; -1 if it has none."""
    return max((place for place, (name, _) in enumerate(fields) if name in value), default=-1)


def _parse(schema: Schema, value: Any, where: str) -> Any:
    match schema:
        case BytesSchema():
            return _bytes(value, where)
        case RecordSchema(cls):
            return _record(cls, value, where)
        case UnionSchema(members):
            return _member(members, value, where)
        case OptionalSchema(inner):
            return None if value is None else _parse(inner, value, where)
        case ListSchema(item):
            each = enumerate(_array(value, where))
            return tuple(_parse(item, entry, f"{where}[{index}]") for index, entry in each)
        case TupleSchema(items):
            return _tuple(items, _array(value, where), where)
        case _:
            return value


def _bytes(value: object, where: str) -> bytes:
    if type(value) is not str:
        raise WrongType(f"{where} is not a string of hex digits", expected="str", got=type(value).__name__)
    try:
        raw = bytes.fromhex(value)
    except ValueError as error:
        raise WrongType(f"{where} is not hex: {error}") from error
    if raw.hex() != value:
        raise NonCanonical(f"{where} is not plain lower-case hex")
    return raw


def _member(members: tuple[tuple[int, type], ...], value: object, where: str) -> object:
    if type(value) is not dict:
        raise WrongType(f"{where} is not an object", expected="object", got=type(value).__name__)
    by_name = {cls.__name__: cls for _, cls in members}
    name = value.get("type")
    if type(name) is not str or name not in by_name:
        raise UnknownTag(f"{where} has no member of this type", expected=list(by_name), got=str(name))
    return _record(by_name[name], {key: each for key, each in value.items() if key != "type"}, where)


def _array(value: object, where: str) -> list[Any]:
    if type(value) is not list:
        raise WrongType(f"{where} is not an array", expected="array", got=type(value).__name__)
    return value


def _tuple(items: tuple[Schema, ...], values: list[Any], where: str) -> tuple[Any, ...]:
    if len(values) != len(items):
        raise WrongArity(f"{where} has a wrong number of items", expected=len(items), got=len(values))
    return tuple(
        _parse(item, each, f"{where}[{index}]")
        for index, (item, each) in enumerate(zip(items, values, strict=True))
    )
