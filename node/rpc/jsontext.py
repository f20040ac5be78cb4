"""Reads JSON text strictly: what a parser may take in two ways is refused by name, before it costs anything.

The text is UTF-8. Its nesting is counted before the parser, which would recurse, sees it. A number that does
not fit into 64 bits and an object with one key twice do not spoil the whole text, which may be a batch of
requests: an `Unusable` stands in their place, with the reason, and whoever finds it there refuses that part.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from engram.node.rpc.jsonrpc import PARSE_ERROR, RpcFault

MAX_DEPTH: Final = 64
"""How many arrays and objects may stand inside each other."""
LEAST_INTEGER: Final = -(2**63)
MOST_INTEGER: Final = 2**64 - 1
MAX_CONTAINERS: Final = 20_000
"""How many arrays and objects a request may hold; each costs far more time and memory than its two bytes."""
_INTEGER_DIGITS: Final = 21
"""No longer number, its sign included, fits into 64 bits; Python refuses to convert much longer ones."""
_LONG_NUMBER: Final = re.compile("[0-9]{19}")
"""Where there is none, no integer of the text can be beyond 64 bits, and the parser's own conversion does."""
_BETWEEN: Final = re.compile(r"[^\[\]{}]+")
_SHOWN: Final = 40


@dataclass(frozen=True)
class Unusable:
    """Stands for a value that no request may hold."""

    reason: str


def read_json(raw: str | bytes) -> Any:
    """The value of a JSON text. Raises `RpcFault` for what is no JSON, and for what is nested too deeply."""
    text = _decoded(raw)
    _check_nesting(text)
    try:
        return json.loads(
            text,
            parse_int=_integer if _LONG_NUMBER.search(text) else None,
            parse_float=_fraction,
            parse_constant=_no_constant,
            object_pairs_hook=_object,
        )
    except ValueError as error:
        raise RpcFault(PARSE_ERROR, f"the request is not JSON: {error}") from None


def first_unusable(value: Any) -> Unusable | None:
    """What no request may hold, if anything of that kind stands in the value."""
    open_values = [value]
    while open_values:
        item = open_values.pop()
        if isinstance(item, Unusable):
            return item
        if isinstance(item, list):
            open_values += item
        elif isinstance(item, dict):
            open_values += item.values()
    return None


def _decoded(raw: str | bytes) -> str:
    if isinstance(raw, str):
        return raw
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RpcFault(
            PARSE_ERROR, f"the request is not UTF-8 text: byte {error.start} belongs to no character"
        ) from None


def _check_nesting(text: str) -> None:
    """Raises `RpcFault` for too many brackets outside of strings, and for too deep ones."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    outside = "".join(text.replace("\\\\", "").replace('\\"', "").split('"')[::2])
    if outside.count("[") + outside.count("{") > MAX_CONTAINERS:
        raise RpcFault(
            PARSE_ERROR,
            "the request holds too many arrays and objects; send it in parts",
            expected=f"at most {MAX_CONTAINERS}",
        )
    if _depth(_BETWEEN.sub("", outside)) > MAX_DEPTH:
        raise RpcFault(
            PARSE_ERROR,
            f"the request is nested too deeply; arrays and objects may stand {MAX_DEPTH} deep",
            expected=f"at most {MAX_DEPTH}",
        )


def _depth(brackets: str) -> int:
    depth = deepest = 0
    for bracket in brackets:
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
        if depth < 0:
            break  # this is no JSON; the parser says so
    return deepest


def _integer(digits: str) -> int | Unusable:
    if len(digits) < _INTEGER_DIGITS and LEAST_INTEGER <= (value := int(digits)) <= MOST_INTEGER:
        return value
    return Unusable(f"the number {digits[:_SHOWN]} does not fit into 64 bits")


def _fraction(digits: str) -> float | Unusable:
    value = float(digits)
    return value if math.isfinite(value) else Unusable(f"the number {digits[:_SHOWN]} is too large")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | Unusable:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    (twice, _), *_ = (Counter(name for name, _ in pairs)).most_common(1)
    return Unusable(f"the key {twice[:_SHOWN]!r} stands twice in one object")
