"""What the parameters of JSON-RPC methods take: their types, as annotations say them, and their JSON Schemas.

A type is `int`, `bool`, `str`, `bytes` (hexadecimal on the wire), `list`, or one of these `| None`. With
`Annotated` it says more: `IdBytes` is an id, a list says what its items are and how many there may be, and a
text which words it can be. An id of another length is refused here, by its name; what a list or a word holds,
the method itself checks, because it knows the rule and has an error for it.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from engram.node.decimals import DECIMAL_PATTERN
from engram.primitives.types import ZERO_HASH

Json = dict[str, Any]

ID_BYTES: Final = len(ZERO_HASH)

JSON_NAMES: Final[Mapping[type, str]] = {
    int: "integer",
    bool: "boolean",
    str: "string",
    bytes: "hex string",
    list: "array",
}
"""What a parameter's type is called to clients."""
_SCHEMAS: Final[Mapping[type, Json]] = {
    int: {"type": ["integer", "string"], "pattern": DECIMAL_PATTERN},
    bool: {"type": "boolean"},
    str: {"type": "string"},
    bytes: {"type": "string", "pattern": "^([0-9a-fA-F]{2})*$"},
    list: {"type": "array"},
}


@dataclass(frozen=True)
class IdForm:
    """Bytes that are an id: a hash, 64 hexadecimal digits on the wire."""

    name: str = "id"
    told: str = f"{2 * ID_BYTES} hexadecimal digits"

    @property
    def schema(self) -> Json:
        return {"type": "string", "pattern": f"^[0-9a-fA-F]{{{2 * ID_BYTES}}}$"}


@dataclass(frozen=True)
class ListForm:
    """What the items of a list are, as a JSON Schema, and how many there may be."""

    items: Mapping[str, Any]
    least: int
    most: int

    @property
    def schema(self) -> Json:
        return {"type": "array", "items": dict(self.items), "minItems": self.least, "maxItems": self.most}


@dataclass(frozen=True)
class WordForm:
    """The words that a text can be."""

    words: tuple[str, ...]

    @property
    def schema(self) -> Json:
        return {"type": "string", "enum": list(self.words)}


Form = IdForm | ListForm | WordForm
ID: Final = IdForm()
IdBytes = Annotated[bytes, ID]


@dataclass(frozen=True)
class Parameter:
    """One named parameter of a method."""

    name: str
    kind: type
    optional: bool
    required: bool
    rest: bool = False
    """Whether it takes all further values by position."""
    form: Form | None = None
    """What its annotation says beside the type."""

    @property
    def type_name(self) -> str:
        """What its type is called to clients."""
        return self.form.name if isinstance(self.form, IdForm) else JSON_NAMES[self.kind]

    @property
    def expected(self) -> str:
        """What a refusal says that was expected."""
        return self.form.told if isinstance(self.form, IdForm) else JSON_NAMES[self.kind]

    def schema(self) -> Json:
        """Its JSON Schema; for one that takes all further values by position, that of their list."""
        own = _SCHEMAS[self.kind] if self.form is None else self.form.schema
        if self.rest:
            return {"type": "array", "items": dict(own), "minItems": 1}
        return _nullable(own) if self.optional else dict(own)


def parameter_type(hint: Any) -> tuple[type, Form | None, bool]:
    """The plain type of a parameter, what its annotation says beside that, and whether it may be null.

    Raises TypeError at start-up for an annotation that JSON cannot carry.
    """
    members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if typing.get_origin(hint) is typing.Union:  # as `Annotated[...] | None` is
        members = typing.get_args(hint)
    given = [member for member in members if member is not type(None)]
    if len(given) != 1:
        raise TypeError(f"JSON cannot carry {hint}")
    (member,) = given
    form = None
    if typing.get_origin(member) is Annotated:
        member, form = typing.get_args(member)[:2]
    plain = typing.get_origin(member) or member
    if plain not in JSON_NAMES or not isinstance(form, Form | None):
        raise TypeError(f"JSON cannot carry {hint}")
    return plain, form, len(given) != len(members)


def _nullable(schema: Mapping[str, Any]) -> Json:
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return {**schema, "type": [*kinds, "null"]}
