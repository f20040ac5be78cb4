"""Makes JSON Schemas of results from their types.

A type is a TypedDict, whose fields are the object's; a record of the chain, which stands for what `Renderer`
makes of it; `Annotated` with the words of an enumeration; or a list, a mapping or a union of such. A
TypedDict that is marked by `also` has the fields of a record, or of another object, besides its own. The
texts below fields become their descriptions, so that what the code says of a field and what the document
says is one thing.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Annotated, Any, Final, Literal, NotRequired, TypeVar, get_args, get_origin

from engram.nn.growth import Policy
from engram.nn.loss import LossKind
from engram.node.decimals import DECIMAL_FIELDS, DECIMAL_PATTERN
from engram.node.rpc.results.units import SHARE, UNITS
from engram.primitives.keys import ADDRESS_BYTES
from engram.primitives.schema import (
    BoolSchema,
    BytesSchema,
    IntSchema,
    ListSchema,
    OptionalSchema,
    RecordSchema,
    Schema,
    TextSchema,
    TupleSchema,
    UnionSchema,
    record,
    trailing,
)
from engram.statemachine.receipt import Receipt, Status
from engram.statemachine.records import Badge, BadgeKind, Model, Version
from engram.statemachine.rounds.records import Round, RoundKind, RoundStatus, RoundTerms

Json = dict[str, Any]
T = TypeVar("T", bound=type)

COMPONENTS: Final = "#/components/schemas/"
_ALSO: Final[dict[type, tuple[type, ...]]] = {}
_TEXT: Final[Json] = {"type": "string"}
_ID_BYTES: Final = 32


@dataclass(frozen=True)
class TextForm:
    """What a text of a result looks like."""

    pattern: str
    text: str


@dataclass(frozen=True)
class Words:
    """The words that a text of a result can be."""

    words: tuple[str, ...]


def words_of(members: Iterable[Enum]) -> Words:
    """The names of an enumeration in small letters."""
    return Words(tuple(str(member.name).lower() for member in members))


ID: Final = TextForm("^[0-9a-f]{64}$", "64 hexadecimal digits")
HEX: Final = TextForm("^([0-9a-f]{2})*$", "bytes as hexadecimal digits")
ADDRESS: Final = TextForm("^[a-z]+1[0-9a-z]+$", "address of an account")
CODE: Final = TextForm("^[a-z0-9_]*$", "word of an error or a reason; empty for none")

Id = Annotated[str, ID]
Hex = Annotated[str, HEX]
AddressText = Annotated[str, ADDRESS]
Code = Annotated[str, CODE]

_NUMBERED: Final[Mapping[tuple[type, str], type[Enum]]] = {
    (Receipt, "status"): Status,
    (Model, "policy"): Policy,
    (Model, "loss_kind"): LossKind,
    (Version, "kind"): RoundKind,
    (RoundTerms, "kind"): RoundKind,
    (Round, "status"): RoundStatus,
    (Badge, "badge"): BadgeKind,
}
"""Fields of records whose numbers stand for words."""


def also(*parts: type) -> Callable[[T], T]:
    """Says that an object has the fields of these records or objects besides its own."""

    def mark(cls: T) -> T:
        _ALSO[cls] = parts
        return cls

    return mark


class SchemaBuilder:
    """Makes schemas; those of objects are collected in `definitions` by the names of their types."""

    def __init__(self) -> None:
        self.definitions: Json = {}
        self._types: dict[str, type] = {}

    def schema(self, hint: Any, field: str = "") -> Json:
        """The schema of a value of this type that stands in a field of this name.

        Raises `TypeError` for what is no type of a result, and for two types of one name.
        """
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is Annotated:
            return self._annotated(arguments, field)
        if origin in (typing.Union, types.UnionType):
            return _any_of([self.schema(each, field) for each in arguments])
        if origin is Literal:
            return {"type": "string", "enum": list(arguments)}
        if origin is list:
            return {"type": "array", "items": self.schema(arguments[0], field)}
        if origin is dict:
            return {"type": "object", "additionalProperties": self.schema(arguments[1], field)}
        if hint is Any:
            return {"description": "any JSON value"}
        if typing.is_typeddict(hint) or dataclasses.is_dataclass(hint):
            return self._object(hint)
        plain = _PLAIN.get(hint)
        if plain is None:
            raise TypeError(f"{hint} is no type of a result")
        return _integer(field) if hint is int else _with_unit(plain, field)

    def _annotated(self, arguments: tuple[Any, ...], field: str) -> Json:
        told = arguments[1]
        if isinstance(told, TextForm):
            return {**_TEXT, "pattern": told.pattern, "description": told.text}
        if isinstance(told, Words):
            return {**_TEXT, "enum": list(told.words)}
        return self.schema(arguments[0], field)  # the bounds of a record's field

    def _object(self, cls: type) -> Json:
        name = cls.__name__
        if self._types.setdefault(name, cls) is not cls:
            raise TypeError(f"two results are called {name}")
        self._define(name, cls, {})
        return {"$ref": f"{COMPONENTS}{name}"}

    def _fields(self, cls: type) -> tuple[Json, list[str]]:
        """The properties of an object, and the names of those that are always there."""
        if dataclasses.is_dataclass(cls):
            shown = {name: self._field_of_record(cls, name, schema) for name, schema in record(cls)}
            always = list(shown)[: len(shown) - len(trailing(cls))]
            return _described(cls, shown), always
        properties: Json = {}
        needed: list[str] = []
        for part in _ALSO.get(cls, ()):
            theirs, always = self._fields(part)
            properties |= theirs
            needed += always
        own: Json = {}
        for name, hint in typing.get_type_hints(cls, include_extras=True).items():
            optional = get_origin(hint) is NotRequired
            own[name] = self.schema(get_args(hint)[0] if optional else hint, name)
            needed += [] if optional or name in needed else [name]
        return {**properties, **_described(cls, own)}, needed

    def _field_of_record(self, cls: type, name: str, schema: Schema) -> Json:
        kinds = _NUMBERED.get((cls, name))
        if kinds is None:
            return self._shown(schema, name)
        told = ", ".join(f"{member.value} {str(member.name).lower()}" for member in kinds)
        return {"enum": [member.value for member in kinds], "type": "integer", "description": told}

    def _shown(self, schema: Schema, field: str) -> Json:
        """The schema of what `Renderer` makes of a value."""
        match schema:
            case IntSchema():
                return _integer(field)
            case BoolSchema():
                return {"type": "boolean"}
            case TextSchema():
                return dict(_TEXT)
            case BytesSchema(lo, hi) if lo == hi == ADDRESS_BYTES:
                return _any_of([self.schema(AddressText), {"type": "null"}])
            case BytesSchema(lo, hi):
                return self.schema(Id if lo == hi == _ID_BYTES else Hex)
            case RecordSchema(cls):
                return self._object(cls)
            case UnionSchema(members):
                return _any_of([self._member(cls) for _, cls in members])
            case OptionalSchema(inner):
                return _any_of([self._shown(inner, field), {"type": "null"}])
            case ListSchema(item):
                return {"type": "array", "items": self._shown(item, field)}
            case TupleSchema(items):
                several = [self._shown(item, field) for item in items]
                return {"type": "array", "prefixItems": several, "minItems": len(items), "items": False}

    def _define(self, name: str, cls: type, beside: Json) -> None:
        """Adds an object's schema under a name; `beside` are further fields before those of the class."""
        if name in self.definitions:
            return
        self.definitions[name] = {}  # so that a class whose fields lead back to it ends
        properties, needed = self._fields(cls)
        self.definitions[name] = {
            "type": "object",
            "description": _summary(cls),
            "properties": {**beside, **properties},
            "required": [*beside, *needed],
            "additionalProperties": False,
        }

    def _member(self, cls: type) -> Json:
        """A member of a union: its fields, and its name under `type`."""
        name = f"{cls.__name__}Member"
        self._define(name, cls, {"type": {**_TEXT, "const": cls.__name__}})
        return {"$ref": f"{COMPONENTS}{name}"}


_PLAIN: Final[Mapping[Any, Json]] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    str: _TEXT,
    type(None): {"type": "null"},
}


def _integer(field: str) -> Json:
    """A number, or decimal text where the name of the field says so."""
    if field in DECIMAL_FIELDS:
        return _with_unit({**_TEXT, "pattern": DECIMAL_PATTERN}, field)
    return _with_unit({"type": "integer"}, field)


def _with_unit(schema: Json, field: str) -> Json:
    unit = UNITS.get(field) if schema.get("type") in ("integer", "number") or "pattern" in schema else None
    bounds = {"minimum": 0, "maximum": 1} if unit == SHARE else {}
    return dict(schema) if unit is None else {**schema, "x-unit": unit, **bounds}


def _any_of(schemas: list[Json]) -> Json:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _described(cls: type, properties: Json) -> Json:
    """The properties, each with the text that stands below its field."""
    texts = _texts(cls)
    return {
        name: {**schema, "description": _joined(texts[name], schema)} if name in texts else schema
        for name, schema in properties.items()
    }


def _joined(text: str, schema: Json) -> str:
    """What is said of a field, with what its numbers or digits stand for."""
    told = schema.get("description")
    return text if told is None else f"{text} ({told})"


def _summary(cls: type) -> str:
    return inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0].replace("\n", " ")


@cache
def _texts(cls: type) -> Mapping[str, str]:
    """What the source of a class says of its fields: the texts that stand below them.

    A type that a call has made, because a field has the name of a keyword, has no such source and no texts.
    """
    try:
        source = inspect.getsource(cls)
    except OSError:
        return {}
    (tree,) = ast.parse(textwrap.dedent(source)).body
    assert isinstance(tree, ast.ClassDef), "the source of a class is its definition"
    found = {}
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found
