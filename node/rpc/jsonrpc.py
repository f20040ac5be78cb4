"""What JSON-RPC methods are: their table, their parameters, the errors that the protocol itself gives.

`dispatcher` answers requests from them. A method is an async function whose annotations are its parameters'
types, see `parameters`; those that can be null have a default. A last parameter like `*topics: str` takes all
further values by position, or a list by its name. The first line of the function's docstring is its
description.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from engram.node.decimals import with_decimals
from engram.node.rpc.parameters import Parameter, parameter_type

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = (
    -32700,
    -32600,
    -32601,
    -32602,
    -32603,
)
CHAIN_ERROR: Final = -32000
"""A `ChainError`; its own code, expected and got stand in `data`."""
UNAUTHORIZED: Final = -32001
REPLY_TOO_LARGE: Final = -32002
TOO_BUSY: Final = -32003
CODES: Final = {
    PARSE_ERROR: "parse_error",
    INVALID_REQUEST: "invalid_request",
    METHOD_NOT_FOUND: "method_not_found",
    INVALID_PARAMS: "invalid_params",
    INTERNAL_ERROR: "internal_error",
    UNAUTHORIZED: "unauthorized",
    REPLY_TOO_LARGE: "reply_too_large",
    TOO_BUSY: "too_busy",
}
"""The stable code, as chain errors have one, of each number that JSON-RPC gives."""

Handler = Callable[..., Awaitable[Any]]
F = TypeVar("F", bound=Handler)
MARK: Final = "rpc_method"
"""Under this name a marked function keeps how it is marked."""


class RpcFault(Exception):
    """A request that JSON-RPC itself refuses."""

    def __init__(self, code: int, message: str, *, expected: object = None, got: object = None) -> None:
        super().__init__(message)
        self.code, self.message, self.expected, self.got = code, message, expected, got

    def to_json(self) -> dict[str, object]:
        """The error object of the specification, section 5.1; `data` as a `ChainError` gives it."""
        data = {
            "code": CODES[self.code],
            "message": self.message,
            "expected": with_decimals(self.expected, "expected"),
            "got": with_decimals(self.got, "got"),
        }
        return {"code": self.code, "message": self.message, "data": data}


@dataclass(frozen=True)
class Method:
    """A callable method and what may call it."""

    name: str
    handler: Handler
    parameters: tuple[Parameter, ...]
    summary: str
    admin: bool
    """Changes the node itself: asks for the bearer token of the data directory."""
    changes: bool = False
    """Changes what others see of the node, such as its mempool, or the node itself: nothing for a page."""
    result: Any = Any
    """The type of what it gives, see `results`."""

    def to_json(self) -> dict[str, object]:
        """The method as a listing shows it."""
        params = [
            {"name": p.name, "type": p.type_name, "required": p.required, "nullable": p.optional}
            for p in self.parameters
        ]
        return {"name": self.name, "params": params, "summary": self.summary, "admin": self.admin}


def rpc_method(result: Any, *, admin: bool = False, changes: bool = False) -> Callable[[F], F]:
    """Marks an async function of a class as an RPC method of the same name; see `methods_of`.

    `result` is the type of what it gives, of which the served document has the schema (`results.schemas`).
    """

    def mark(handler: F) -> F:
        handler.__dict__[MARK] = {"result": result, "admin": admin, "changes": changes}
        return handler

    return mark


def methods_of(*groups: object) -> tuple[Method, ...]:
    """The methods that the objects' classes mark with `rpc_method`, in their order there."""
    return tuple(
        method_of(name, getattr(group, name), **vars(handler)[MARK])
        for group in groups
        for name, handler in vars(type(group)).items()
        if MARK in getattr(handler, "__dict__", ())
    )


def method_of(
    name: str, handler: Handler, result: Any = Any, *, admin: bool = False, changes: bool = False
) -> Method:
    """Describe `handler` from its signature. Raises TypeError at start-up for an annotation that JSON
    cannot carry.
    """
    hints = typing.get_type_hints(handler, include_extras=True)
    parameters = []
    for item in inspect.signature(handler).parameters.values():
        kind, form, optional = parameter_type(hints[item.name])
        needed, rest = item.default is inspect.Parameter.empty, item.kind is item.VAR_POSITIONAL
        parameters.append(Parameter(item.name, kind, optional, needed, rest, form))
    summary = (handler.__doc__ or "").strip().splitlines()[0]
    return Method(name, handler, tuple(parameters), summary, admin, changes or admin, result)


def method_table(methods: Iterable[Method]) -> dict[str, Method]:
    """The methods by name. Raises ValueError at start-up where two have one name."""
    table: dict[str, Method] = {}
    for method in methods:
        if method.name in table:
            raise ValueError(f"two methods are called {method.name}")
        table[method.name] = method
    return table
