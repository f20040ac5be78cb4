"""What a node may answer: the client holds every answer against this before anybody reads it.

A node is a stranger: it can be broken, of another version, or hostile. So its answers are read with bounds,
and the fields on which a participant relies must be there and of their types. What does not fit is the node's
fault, not a bug of the reader; `client.py` turns it into an error that names the node.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from engram.node.decimals import with_integers
from engram.node.errors import AnswerInvalid

MAX_ANSWER_BYTES: Final = 160 * 1024 * 1024
"""The largest answer that is read: a proof bundle of the largest size, in hexadecimal digits, and more."""
MAX_REFUSAL_BYTES: Final = 64 * 1024
"""So much is read of an answer whose HTTP status says that the request was refused."""
SHOWN_LETTERS: Final = 300
"""So much of a text that a stranger has sent stands in a message of ours."""
MOST_MESSAGE: Final = 10_000
"""So long may the message of a node's refusal be."""
_MOST_DIGITS: Final = 80
"""No number of the chain has more than 256 bits."""
_MOST_COUNT: Final = 2**256
_CODE: Final = re.compile("[a-z][a-z0-9_]{0,79}")


class Misread(ValueError):
    """An answer is not what a node says; the text says in which way."""


@dataclass(frozen=True)
class Text:
    """Text that matches a pattern as a whole."""

    pattern: re.Pattern[str]
    name: str


@dataclass(frozen=True)
class Maybe:
    """A value of a shape, or null."""

    shape: Any


@dataclass(frozen=True)
class ByName:
    """An object with any names, whose values all have one shape."""

    shape: Any


COUNT: Final = int
"""A whole number that is not negative."""
ID: Final = Text(re.compile("[0-9a-f]{64}"), "an id of 64 hexadecimal digits")
HEX: Final = Text(re.compile("(?:[0-9a-f]{2})*"), "hexadecimal digits")
PREFIX: Final = Text(re.compile("[a-z]{1,16}"), "the first letters of addresses")
_SPAN: Final = [Maybe(COUNT)]
_ROUND: Final = {
    **{"id": ID, "model": ID, "status": COUNT, "opener": str, "due": Maybe(str), "opened": COUNT},
    **{"tick": COUNT, "calendar": ByName(_SPAN), "terms": dict, "new_version": COUNT, "winner": Maybe(str)},
}
_HEAD: Final = {"height": COUNT, "id": ID, "ticks": COUNT, "exponent": COUNT}
RESULTS: Final[Mapping[str, Any]] = {
    "account_get": {
        **{"balance": COUNT, "next_nonce": COUNT, "pending": [{"txid": ID}]},
        "maturing": [{"amount": COUNT, "height": COUNT, "mature": bool}],
    },
    "account_updates": [{"round": ID, "epoch": COUNT, "kind": str, "bond": COUNT, "can_withdraw": bool}],
    "chain_find": [ID],
    "chain_head": _HEAD,
    "chain_spec": {"rules": dict, "hrp": PREFIX},
    "dev_names": [{"address": str, "name": str}],
    "miner_pace": {"muster": COUNT, "left": Maybe(COUNT)},
    "model_get": {"id": ID, "head": COUNT, "loss_kind": COUNT},
    "model_line": [HEX],
    "model_list": [{"id": ID}],
    "model_prove": {"bundle": HEX},
    "model_version": {
        "lineage": [{"version": COUNT, "neurons": COUNT, "author": Maybe(str), "classes": [COUNT]}]
    },
    "model_versions": [
        {
            **{"number": COUNT, "height": COUNT, "kind": COUNT, "classes": COUNT, "neurons": COUNT},
            **{"parameter_bytes": COUNT, "author": Maybe(str), "root": ID},
            **{"sealed_rows": COUNT, "sealed_loss": COUNT, "sealed_correct": COUNT},
        }
    ],
    "node_info": {"chain_id": COUNT, "spec_id": ID, "hrp": PREFIX},
    "part_bytes": [{"content": HEX, "public_since": Maybe(COUNT)}],
    "record_get": Maybe(HEX),
    "round_candidates": [{"epoch": COUNT, "author": str}],
    "round_get": _ROUND,
    "round_list": [_ROUND],
    "round_outcomes": {
        "why": [str],
        "updates": [{"epoch": COUNT, "author": str, "paid": COUNT, "reasons": [str], "why": [str]}],
    },
    "tx_estimate": {"max_fee": COUNT, "tip": COUNT, "minimum": COUNT},
    "tx_get": {"raw": HEX, "kind": COUNT, "payload": Maybe(dict)},
    "tx_status": {"status": str, "receipt": Maybe({"fee": COUNT, "events": [{"name": str}]})},
    "tx_submit": {"known": bool},
}
"""Per method the fields that the library and participants read, with their shapes; there may be more."""
EVENTS: Final[Mapping[str, Any]] = {
    "heads": {"height": COUNT, "id": ID},
    "transactions": {"txid": ID, "status": str},
    "rounds": {"id": ID, "model": ID, "phase": str, "status": str},
    "versions": {"model": ID, "number": COUNT},
    "pace": {"left": Maybe(COUNT)},
}
"""The same for events, per topic."""


class AnswerObject(dict[str, Any]):
    """An object in an answer. To read a field that it lacks raises `AnswerInvalid`.

    Whoever copies it by its class, as `dataclasses.asdict` does, gives no address of the node.
    """

    __slots__ = ("_url",)

    def __init__(self, fields: Iterable[tuple[str, Any]] = (), url: str = "an unknown address") -> None:
        super().__init__(fields)
        self._url = url

    def __missing__(self, name: str) -> NoReturn:
        raise invalid(self._url, "a request", f"the field {name!r} is missing")

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


def invalid(url: str, what: str, why: str) -> AnswerInvalid:
    """The error that says what is wrong with the answer of the node at `url` to `what`."""
    return AnswerInvalid(
        f"the node at {url} answers {what} with what no node says ({shown(why)}): it is broken, hostile or "
        "of another version, so ask another node"
    )


def read_answer(text: str, url: str) -> Any:
    """The JSON value of an answer of the node at `url`. Raises `ValueError`, `RecursionError`."""
    return _told(with_integers(json.loads(text, parse_int=_whole, parse_constant=_refuse)), url)


def check_result(method: str, result: Any) -> None:
    """Raises `Misread` for what no node says as the result of a method."""
    if method in RESULTS:
        _check(result, RESULTS[method], "the result")


def check_event(topic: str, event: Any) -> None:
    """Raises `Misread` for what no node says as an event of a topic."""
    if topic in EVENTS:
        _check(event, EVENTS[topic], f"the event of {topic}")


def check_probe(answer: Any) -> None:
    """Raises `Misread` for what no node says to `/ready`."""
    _check(
        answer, {"ready": bool, "not_ready": [{"code": Text(_CODE, "a code"), "message": str}]}, "the answer"
    )


def check_refusal(data: Any) -> None:
    """Raises `Misread` for what is no refusal: an object with a code, a message, `expected` and `got`."""
    _check(data, {"code": Text(_CODE, "a code"), "message": str}, "the refusal")
    if not data.keys() >= {"expected", "got"}:
        raise Misread("the refusal lacks a field")


def shown(text: str, most: int = SHOWN_LETTERS) -> str:
    """A text of a stranger for a message: its beginning, without what would steer a terminal."""
    begin = "".join(each if each.isprintable() or each == "\n" else " " for each in text[:most]).strip()
    return begin if len(text) <= most else f"{begin}…"


def _check(value: Any, shape: Any, place: str) -> None:
    match shape:
        case Maybe(inner):
            if value is not None:
                _check(value, inner, place)
        case ByName(inner):
            _check(value, dict, place)
            for name, each in value.items():
                _check(each, inner, f"{place}.{shown(name)}")
        case Text(pattern, name):
            if not isinstance(value, str) or pattern.fullmatch(value) is None:
                raise Misread(f"{place} is not {name}")
        case dict():
            _check(value, dict, place)
            for name, inner in shape.items():
                if name not in value:
                    raise Misread(f"{place} lacks the field {name!r}")
                _check(value[name], inner, f"{place}.{name}")
        case [inner]:
            _check(value, list, place)
            for number, each in enumerate(value):
                _check(each, inner, f"{place}[{number}]")
        case _:
            _check_kind(value, shape, place)


def _check_kind(value: Any, kind: type, place: str) -> None:
    fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if not fits or (kind is int and not 0 <= value < _MOST_COUNT):
        names = {int: "a whole number, 0 or more", str: "text", bool: "true or false", dict: "an object"}
        raise Misread(f"{place} is not {names.get(kind, 'a list')}")


def _told(value: Any, url: str) -> Any:
    if isinstance(value, dict):
        return AnswerObject(((name, _told(inner, url)) for name, inner in value.items()), url)
    return [_told(inner, url) for inner in value] if isinstance(value, list) else value


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS + 1:
        raise Misread(f"a number has {len(digits):,} digits")
    return int(digits)


def _refuse(constant: str) -> NoReturn:
    raise Misread(f"{constant} is no number of JSON")
