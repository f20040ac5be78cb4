"""Reads docs/json.md, which ships with the package, and makes a JSON Schema of what each command prints.

The page says how a shape is written. A name of a field has one type wherever it stands, unless a shape gives
it another one. Shapes are strict: an object has no field that its shape does not name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).parents[2] / "docs" / "json.md"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
LINES: Final = "lines"

Json = dict[str, Any]

_WHOLE: Final[Json] = {"type": "integer", "minimum": 0}
_TEXT: Final[Json] = {"type": "string"}
_NUMBER: Final[Json] = {"type": "number"}
_BASIC: Final[Mapping[str, Json]] = {
    **dict.fromkeys(("sparks", "q24", "count", "macs", "work", "bytes", "height", "ticks", "ppm"), _WHOLE),
    "time_ms": _WHOLE,
    "logit": {"type": "integer"},
    "share": {"type": "number", "minimum": 0, "maximum": 1},
    **dict.fromkeys(("nats", "seconds", "ms", "time_s", "number"), _NUMBER),
    "flag": {"type": "boolean"},
    "id": {**_TEXT, "pattern": "^[0-9a-f]{64}$"},
    "hex": {**_TEXT, "pattern": "^([0-9a-f]{2})*$"},
    "address": {**_TEXT, "pattern": "^[a-z]+1[0-9a-z]+$"},
    "code": {**_TEXT, "pattern": "^[a-z0-9_]*$"},
    **dict.fromkeys(("path", "text"), _TEXT),
    "any": {},
    "null": {"type": "null"},
}
_TOKEN: Final = re.compile(r'\s*("[^"]*"|\.\.\.|[\w*]+|[{}\[\],:/?])')
_DEFINITION: Final = re.compile(r"^(\S[^=:]*?) ?[=:] ", re.MULTILINE)


class PageInvalid(ValueError):
    """The page of the outputs does not keep to its own grammar."""


@dataclass(frozen=True)
class Page:
    """What docs/json.md says."""

    texts: Mapping[str, str]
    """What each type is, in words."""
    fields: Mapping[str, str]
    """The type of each field."""
    shapes: Mapping[str, str]
    commands: Mapping[str, str]

    def schema(self, command: str) -> Json:
        """The JSON Schema of a command's output; of one of its lines if the command prints lines.

        Raises `KeyError` for a command that the page does not have, and `PageInvalid`.
        """
        shape = self.commands[command]
        lines = shape.startswith(f"{LINES} ")
        builder = _Builder(self)
        root = builder.read(shape.removeprefix(f"{LINES} "))
        told = "each line" if lines else "the output"
        return {
            "$schema": DIALECT,
            "title": f"{told} of engram {command} --json",
            "x-lines": lines,
            **root,
            "$defs": builder.definitions,
        }

    def error(self) -> Json:
        """The JSON Schema of what any command prints after an error."""
        builder = _Builder(self)
        root = builder.read(self.shapes["Error"])
        return {"$schema": DIALECT, "title": "an error of engram", **root, "$defs": builder.definitions}


def load_page() -> Page:
    """The page as it ships. Raises `PageInvalid`."""
    return parse(FILE.read_text("utf-8"))


def parse(page: str) -> Page:
    """A page of this form. Raises `PageInvalid`."""
    texts = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE))
    blocks = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    if len(blocks) != 3:
        raise PageInvalid(f"the page has {len(blocks)} blocks of text and not 3")
    types, shapes, commands = (_definitions(block) for block in blocks)
    fields = [(name, kind) for kind, names in types.items() for name in names.split()]
    if len(dict(fields)) < len(fields):
        names = [name for name, _ in fields]
        raise PageInvalid(
            f"fields with two types: {sorted({name for name in names if names.count(name) > 1})}"
        )
    return Page(texts, dict(fields), shapes, commands)


def _definitions(block: str) -> dict[str, str]:
    """Names and what is said of them; further lines of one are indented."""
    joined = re.sub(r"\n\s+", " ", block)
    found = {}
    for line in joined.strip().splitlines():
        head = _DEFINITION.match(line)
        if head is None or head[1] in found:
            raise PageInvalid(f"this defines nothing, or something twice: {line[:60]}")
        found[head[1]] = line[head.end() :].strip()
    return found


class _Builder:
    """Turns shapes into JSON Schemas; those that a name stands for are collected in `definitions`."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.definitions: Json = {}
        self._tokens: list[str] = []

    def read(self, shape: str) -> Json:
        """The schema of one shape."""
        before, self._tokens = self._tokens, _tokens(shape)
        schema = self._choice("")
        if self._tokens:
            raise PageInvalid(f"not understood from here: {' '.join(self._tokens[:8])}")
        self._tokens = before
        return schema

    def _choice(self, field: str) -> Json:
        """One or several shapes, with a stroke between them."""
        found = [self._one(field)]
        while self._tokens[:1] == ["/"]:
            self._tokens.pop(0)
            found.append(self._one(field))
        words = [each["const"] for each in found if set(each) == {"const"}]
        if len(words) == len(found) > 1:
            return {"enum": words}
        return found[0] if len(found) == 1 else {"anyOf": found}

    def _one(self, field: str) -> Json:
        token = self._next()
        if token == "[":
            items = self._choice(field)
            self._expect("]")
            return {"type": "array", "items": items}
        if token == "{":
            return self._object()
        if token.startswith('"'):
            return {"const": token[1:-1]}
        return self._named(token)

    def _object(self) -> Json:
        properties: Json = {}
        required: list[str] = []
        others: Any = False
        while self._tokens[:1] != ["}"]:
            name = self._next()
            optional = self._took("?")
            stated = self._took(":")
            if name == "...":
                others = {}
            elif name == "*":
                others = self._choice(name)
            else:
                properties[name] = self._choice(name) if stated else self._field(name)
                required += [] if optional else [name]
            if not self._took(","):
                break
        self._expect("}")
        # Beside an address can stand the name that it has in the data directory.
        for name in [name for name, schema in properties.items() if "#/$defs/address" in str(schema)]:
            if "name" not in properties:
                properties[f"{name}_name"] = dict(_TEXT)
        shape = {"type": "object", "properties": properties, "required": required}
        return {**shape, "additionalProperties": others}

    def _field(self, name: str) -> Json:
        if name not in self._page.fields:
            raise PageInvalid(f"the field {name} has no type")
        return self._named(self._page.fields[name])

    def _named(self, name: str) -> Json:
        """A reference to a type or a shape, or the type null."""
        if name == "null":
            return dict(_BASIC[name])
        # The name of a field can stand for its type: the elements of a list that has the field's name.
        kind = name if name in _BASIC or name in self._page.shapes else self._page.fields.get(name, name)
        if kind not in self.definitions:
            self.definitions[kind] = {}
            self.definitions[kind] = self._definition(kind)
        return {"$ref": f"#/$defs/{kind}"}

    def _definition(self, kind: str) -> Json:
        if kind in self._page.shapes:
            return self.read(self._page.shapes[kind])
        if kind not in _BASIC:
            raise PageInvalid(f"there is no type or shape {kind}")
        text = self._page.texts.get(kind)
        return dict(_BASIC[kind]) if text is None else {"description": text, **_BASIC[kind]}

    def _next(self) -> str:
        if not self._tokens:
            raise PageInvalid("a shape ends too early")
        return self._tokens.pop(0)

    def _took(self, token: str) -> bool:
        if self._tokens[:1] != [token]:
            return False
        self._tokens.pop(0)
        return True

    def _expect(self, token: str) -> None:
        if not self._took(token):
            raise PageInvalid(f"{token} expected before: {' '.join(self._tokens[:8])}")


def _tokens(shape: str) -> list[str]:
    found, place = [], 0
    while place < len(shape.rstrip()):
        token = _TOKEN.match(shape, place)
        if token is None:
            raise PageInvalid(f"not understood: {shape[place : place + 40]}")
        found.append(token[1])
        place = token.end()
    return found
