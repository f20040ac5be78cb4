"""Holds what nodes answer and publish against the schemas of the document that they serve."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

import engram.node.rpc
from engram.node.client import RpcClient
from engram.node.decimals import with_decimals
from engram.node.rpc.jsonrpc import MARK
from engram.node.rpc.openrpc import TOPIC_TYPES
from engram.node.rpc.results.schemas import SchemaBuilder

_WORD: Final = re.compile("[a-z_]{0,24}")
"""What may be a word of an enumeration, and so belongs to the form of an answer."""
_seen: set[tuple[str, Any]] = set()
"""What was held already: the name of a method or topic, and the form of an answer."""


@cache
def result_types() -> dict[str, Any]:
    """The type of every method's result, and of every topic's events under `topic NAME`."""
    found: dict[str, Any] = {f"topic {name}": told for name, told in TOPIC_TYPES.items()}
    for module in pkgutil.iter_modules(engram.node.rpc.__path__, "engram.node.rpc."):
        for _, cls in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            for name, value in vars(cls).items():
                if MARK in getattr(value, "__dict__", ()):
                    found[name] = value.__dict__[MARK]["result"]
    return found


@cache
def validator(name: str) -> Draft202012Validator:
    """What judges the results of a method, or the events of `topic NAME`."""
    shapes = SchemaBuilder()
    schema = shapes.schema(result_types()[name])
    return Draft202012Validator({**schema, "components": {"schemas": shapes.definitions}})


def check_shape(name: str, value: Any) -> None:
    """Asserts that a result, as Python values, is sent as its schema says. One of a known form is let be."""
    if _STRANGERS or name not in result_types():
        return
    form = name, _form(value)
    if form in _seen:
        return
    wrong = best_match(validator(name).iter_errors(with_decimals(value)))
    assert wrong is None, (
        f"{name} answers otherwise than it says, at {wrong.json_path}: {wrong.message[:400]}"
    )
    _seen.add(form)


def _form(value: Any) -> Any:
    """The names, types and words within a value; a list is as its different members are."""
    match value:
        case dict():
            return tuple((name, _form(item)) for name, item in value.items())
        case list() | tuple():
            return frozenset(_form(item) for item in value)
        case str():
            return value if _WORD.fullmatch(value) else "id" if len(value) == 64 else "text"
        case _:
            return type(value)


_STRANGERS: list[object] = []
"""Holds something while what answers is no node of ours."""


@contextmanager
def strangers_let_be() -> Iterator[None]:
    """Inside this block nothing is held against the schemas: the test plays a node that breaks them."""
    _STRANGERS.append(object())
    try:
        yield
    finally:
        _STRANGERS.pop()


@contextmanager
def every_answer_held() -> Iterator[None]:
    """Every client of this process holds what nodes answer and publish against their schemas."""
    request, events = RpcClient.request, RpcClient._events

    async def held_request(self: RpcClient, method: str, params: dict[str, Any] | list[Any]) -> Any:
        result = await request(self, method, params)
        check_shape(method, result)
        return result

    async def held_events(self: RpcClient, socket: Any) -> AsyncIterator[tuple[str, Any]]:
        async for topic, event in events(self, socket):
            check_shape(f"topic {topic}", event)
            yield topic, event

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RpcClient, "request", held_request)
        patch.setattr(RpcClient, "_events", held_events)
        yield
