"""Schemas of frozen dataclasses, derived from their field annotations; the codec and the JSON form use them.

A schema says which values a field may have; reading and writing them is done elsewhere. An annotation that
leaves a bound open is a programming error: it raises `TypeError` the first time its class is used.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Final, Union, get_args, get_origin, get_type_hints

from engram.primitives.types import Range, Size, Trailing

MAX_NESTING: Final = 32
"""How deep the arrays of a canonical value may nest."""

MAX_ITEMS: Final = 65536
"""The most items of a tuple whose annotation states no bound."""

_INT64: Final = Range(-(2**63), 2**64 - 1)


@dataclass(frozen=True, slots=True)
class IntSchema:
    """An `int` (never a `bool`) with lo ≤ value ≤ hi."""

    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class BytesSchema:
    """`bytes` of lo to hi bytes."""

    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class TextSchema:
    """A `str` of lo to hi bytes of UTF-8."""

    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class BoolSchema:
    """`True` or `False`."""


@dataclass(frozen=True, slots=True)
class RecordSchema:
    """An instance of exactly this dataclass; its fields stand in `record(cls)`."""

    cls: type


@dataclass(frozen=True, slots=True)
class UnionSchema:
    """An instance of exactly one member class; each member has a tag of its own."""

    members: tuple[tuple[int, type], ...]


@dataclass(frozen=True, slots=True)
class OptionalSchema:
    """`None` or the inner value."""

    inner: Schema


@dataclass(frozen=True, slots=True)
class ListSchema:
    """A tuple of lo to hi items of one type."""

    item: Schema
    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class TupleSchema:
    """A tuple of exactly these items."""

    items: tuple[Schema, ...]


Schema = (
    IntSchema
    | BytesSchema
    | TextSchema
    | BoolSchema
    | RecordSchema
    | UnionSchema
    | OptionalSchema
    | ListSchema
    | TupleSchema
)

Fields = tuple[tuple[str, Schema], ...]


def _record(cls: type) -> Fields:
    params = getattr(cls, "__dataclass_params__", None)
    if params is None or not params.frozen:
        raise TypeError(f"{cls.__qualname__} is not a frozen dataclass")
    hints = get_type_hints(cls, include_extras=True)
    fields = dataclasses.fields(cls)
    for field in fields:
        if not field.init or field.kw_only:
            raise TypeError(f"{cls.__qualname__}.{field.name} is not a positional argument of __init__")
    where = cls.__qualname__
    return tuple((field.name, schema_of(hints[field.name], f"{where}.{field.name}")) for field in fields)


record: Final[Callable[[type], Fields]] = cache(_record)
"""Names and schemas of a frozen dataclass's fields, in order.

Raises `TypeError` for a class that is not a frozen dataclass, an unbounded or unsupported annotation, or a
field that `__init__` does not take by position.
"""


def _trailing(cls: type) -> tuple[object, ...]:
    hints = get_type_hints(cls, include_extras=True)
    found: list[object] = []
    for field in dataclasses.fields(cls):
        if not _is_trailing(hints[field.name]):
            if found:
                raise TypeError(f"{cls.__qualname__}.{field.name} follows a field that is trailing")
        elif field.default is dataclasses.MISSING:
            raise TypeError(f"{cls.__qualname__}.{field.name} is trailing and has no default")
        else:
            found.append(field.default)
    return tuple(found)


trailing: Final[Callable[[type], tuple[object, ...]]] = cache(_trailing)
"""The defaults of those last fields of a dataclass that are marked `Trailing`, in order; often none.

Raises `TypeError` where such a field has no default, or is not among the last.
"""


def _is_trailing(annotation: object) -> bool:
    return get_origin(annotation) is Annotated and any(
        isinstance(item, Trailing) for item in get_args(annotation)[1:]
    )


def check_nesting(cls: type) -> None:
    """Raises `TypeError` when the arrays of some value of `cls` would nest deeper than `MAX_NESTING`."""
    if _depth(RecordSchema(cls), ()) > MAX_NESTING:
        raise TypeError(f"{cls.__qualname__} nests deeper than {MAX_NESTING} arrays")


def schema_of(annotation: object, where: str) -> Schema:
    """The schema of one annotation. `where` names the field in errors. Raises `TypeError`."""
    bound: Range | Size | None = None
    if get_origin(annotation) is Annotated:
        annotation, *metadata = get_args(annotation)
        bounds = [item for item in metadata if isinstance(item, (Range, Size))]
        bound = bounds[-1] if bounds else None
    if get_origin(annotation) in (Union, types.UnionType):
        return _union(annotation, where)
    if get_origin(annotation) is tuple:
        return _tuple(annotation, bound, where)
    if isinstance(annotation, type):
        return _plain(annotation, bound, where)
    raise TypeError(f"{where}: {annotation!r} has no canonical form")


def _plain(cls: type, bound: Range | Size | None, where: str) -> Schema:
    if cls is bool:
        return BoolSchema()
    if dataclasses.is_dataclass(cls):
        return RecordSchema(cls)
    if cls is int and isinstance(bound, Range):
        if not _INT64.lo <= bound.lo <= bound.hi <= _INT64.hi:
            raise TypeError(f"{where}: {bound} does not fit 64 bits")
        return IntSchema(bound.lo, bound.hi)
    if cls in (bytes, str) and isinstance(bound, Size):
        return (BytesSchema if cls is bytes else TextSchema)(*_lengths(bound, where))
    raise TypeError(f"{where}: {cls.__qualname__} without Range (int) or Size (bytes, str), or not supported")


def _tuple(annotation: object, bound: Range | Size | None, where: str) -> Schema:
    items = get_args(annotation)
    if len(items) == 2 and items[1] is Ellipsis:
        lo, hi = _lengths(bound, where) if isinstance(bound, Size) else (0, MAX_ITEMS)
        return ListSchema(schema_of(items[0], where), lo, hi)
    if not items or bound is not None:
        raise TypeError(f"{where}: a fixed tuple has at least one item and no bound")
    return TupleSchema(tuple(schema_of(item, where) for item in items))


def _union(annotation: object, where: str) -> Schema:
    members = [member for member in get_args(annotation) if member is not type(None)]
    optional = len(members) < len(get_args(annotation))
    inner = schema_of(members[0], where) if len(members) == 1 else _tagged(members, where)
    return OptionalSchema(inner) if optional else inner


def _tagged(members: list[object], where: str) -> UnionSchema:
    tagged: dict[int, type] = {}
    for member in members:
        tag = getattr(member, "TAG", None)
        if not (isinstance(member, type) and dataclasses.is_dataclass(member) and type(tag) is int):
            raise TypeError(f"{where}: {member!r} is not a dataclass with an integer TAG")
        if tag in tagged or not 0 <= tag <= _INT64.hi:
            raise TypeError(f"{where}: TAG {tag} of {member.__qualname__} is negative, too large or taken")
        if any(field.name == "type" for field in dataclasses.fields(member)):
            raise TypeError(f"{where}: {member.__qualname__}.type clashes with the name of the tag in JSON")
        tagged[tag] = member
    return UnionSchema(tuple(sorted(tagged.items())))


def _lengths(bound: Size, where: str) -> tuple[int, int]:
    if not 0 <= bound.lo <= bound.hi < 2**32:
        raise TypeError(f"{where}: {bound} is empty or above 2**32 - 1")
    return bound.lo, bound.hi


def _depth(schema: Schema, holders: tuple[type, ...]) -> int:
    """How deep the arrays of a value can nest at most. Raises `TypeError` for a class that holds itself."""
    if isinstance(schema, RecordSchema):
        if schema.cls in holders:
            raise TypeError(f"{schema.cls.__qualname__} holds itself, so its depth has no bound")
        holders = (*holders, schema.cls)
    own = 1 if isinstance(schema, (RecordSchema, ListSchema, TupleSchema)) else 0
    return own + max((_depth(inner, holders) for inner in _inner(schema)), default=0)


def innermost_first(cls: type) -> tuple[type, ...]:
    """A class and all classes that its fields hold, each after those that it holds itself."""
    found: dict[type, None] = {}
    for inner in _inner(RecordSchema(cls)):
        found |= dict.fromkeys(_records_in(inner))
    return (*found, cls)


def _records_in(schema: Schema) -> tuple[type, ...]:
    if isinstance(schema, RecordSchema):
        return innermost_first(schema.cls)
    return tuple(dict.fromkeys(each for inner in _inner(schema) for each in _records_in(inner)))


def _inner(schema: Schema) -> tuple[Schema, ...]:
    match schema:
        case RecordSchema(cls):
            return tuple(inner for _, inner in record(cls))
        case OptionalSchema(inner) | ListSchema(inner):
            return (inner,)
        case TupleSchema(items):
            return items
        case UnionSchema(members):
            return tuple(RecordSchema(member) for _, member in members)
        case _:
            return ()
