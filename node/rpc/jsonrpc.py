"""JSON-RPC 2.0 without a transport: method table, parameter checks, error objects, batches. No sockets, no
chain.

A method is an async function whose annotations are its parameters' types: `int`, `bool`, `str`, `bytes`
(hexadecimal on the wire), `list`, and each of these `| None` with a default. Its docstring's first line is
its description.
"""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar

from engram.primitives.errors import ChainError

MAX_BATCH: Final = 100
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
_CODES: Final = {
    PARSE_ERROR: "parse_error",
    INVALID_REQUEST: "invalid_request",
    METHOD_NOT_FOUND: "method_not_found",
    INVALID_PARAMS: "invalid_params",
    INTERNAL_ERROR: "internal_error",
    UNAUTHORIZED: "unauthorized",
}
"""The stable code, as chain errors have one, of each number that JSON-RPC gives."""

Handler = Callable[..., Awaitable[Any]]
F = TypeVar("F", bound=Handler)
_MARK: Final = "rpc_admin"
_JSON_NAMES = {int: "integer", bool: "boolean", str: "string", bytes: "hex string", list: "array"}


class RpcFault(Exception):
    """A request that JSON-RPC itself refuses."""

    def __init__(self, code: int, message: str, *, expected: object = None, got: object = None) -> None:
        super().__init__(message)
        self.code, self.message, self.expected, self.got = code, message, expected, got

    def to_json(self) -> dict[str, object]:
        """The error object of the specification, section 5.1; `data` as a `ChainError` gives it."""
        data = {
            "code": _CODES[self.code],
            "message": self.message,
            "expected": self.expected,
            "got": self.got,
        }
        return {"code": self.code, "message": self.message, "data": data}


@dataclass(frozen=True)
class Parameter:
    """One named parameter of a method."""

    name: str
    kind: type
    optional: bool
    required: bool


@dataclass(frozen=True)
class Method:
    """A callable method and what may call it."""

    name: str
    handler: Handler
    parameters: tuple[Parameter, ...]
    summary: str
    admin: bool
    """Changes the node itself: asks for the bearer token of the data directory."""

    def to_json(self) -> dict[str, object]:
        """The method as a listing shows it."""
        params = [
            {"name": p.name, "type": _JSON_NAMES[p.kind], "required": p.required, "nullable": p.optional}
            for p in self.parameters
        ]
        return {"name": self.name, "params": params, "summary": self.summary, "admin": self.admin}


def rpc_method(*, admin: bool = False) -> Callable[[F], F]:
    """Marks an async function of a class as an RPC method of the same name; see `methods_of`."""

    def mark(handler: F) -> F:
        handler.__dict__[_MARK] = admin
        return handler

    return mark


def methods_of(*groups: object) -> tuple[Method, ...]:
    """The methods that the objects' classes mark with `rpc_method`, in their order there."""
    return tuple(
        method_of(name, getattr(group, name), admin=vars(handler)[_MARK])
        for group in groups
        for name, handler in vars(type(group)).items()
        if _MARK in getattr(handler, "__dict__", ())
    )


def method_of(name: str, handler: Handler, *, admin: bool = False) -> Method:
    """Describe `handler` from its signature. Raises TypeError at start-up for an annotation that JSON
    cannot carry.
    """
    hints = typing.get_type_hints(handler)
    parameters = []
    for item in inspect.signature(handler).parameters.values():
        kind, optional = _plain_type(hints[item.name])
        parameters.append(Parameter(item.name, kind, optional, item.default is inspect.Parameter.empty))
    summary = (handler.__doc__ or "").strip().splitlines()[0]
    return Method(name, handler, tuple(parameters), summary, admin)


def _plain_type(hint: Any) -> tuple[type, bool]:
    members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    plain = [typing.get_origin(m) or m for m in members if m is not type(None)]
    if len(plain) != 1 or plain[0] not in _JSON_NAMES:
        raise TypeError(f"JSON cannot carry {hint}")
    return plain[0], len(plain) != len(members)


def method_table(methods: Iterable[Method]) -> dict[str, Method]:
    """The methods by name. Raises ValueError at start-up where two have one name."""
    table: dict[str, Method] = {}
    for method in methods:
        if method.name in table:
            raise ValueError(f"two methods are called {method.name}")
        table[method.name] = method
    return table


class Dispatcher:
    """Answers requests from a table of methods; the same for HTTP and WebSocket."""

    def __init__(
        self, methods: Mapping[str, Method], on_internal_error: Callable[[str, Exception], None]
    ) -> None:
        self._methods = methods
        self._on_internal_error = on_internal_error

    @property
    def methods(self) -> Mapping[str, Method]:
        return self._methods

    async def answer(self, raw: str | bytes, *, admin: bool) -> str | None:
        """The response text to one request or batch; None where all were notifications."""
        try:
            document = json.loads(raw, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return _text(_failure(None, RpcFault(PARSE_ERROR, "the request is not JSON")))
        if not isinstance(document, list):
            reply = await self._answer_one(document, admin)
            return None if reply is None else _text(reply)
        if not document or len(document) > MAX_BATCH:
            return _text(
                _failure(None, RpcFault(INVALID_REQUEST, f"a batch holds 1 to {MAX_BATCH} requests"))
            )
        replies = [await self._answer_one(item, admin) for item in document]
        kept = [reply for reply in replies if reply is not None]
        return _text(kept) if kept else None

    async def _answer_one(self, request: Any, admin: bool) -> dict[str, object] | None:
        fault = _malformed(request)
        if fault is not None:
            return _failure(None, fault)
        try:
            reply: dict[str, object] = {"result": await self._call(request, admin)}
        except RpcFault as error:
            reply = {"error": error.to_json()}
        except ChainError as error:
            reply = {"error": {"code": CHAIN_ERROR, "message": str(error), "data": error.to_json()}}
        except Exception as error:  # the border where a bug becomes an answer and does not end the node
            self._on_internal_error(request["method"], error)
            fault = RpcFault(INTERNAL_ERROR, "internal error; the node's log has the details")
            reply = {"error": fault.to_json()}
        if "id" not in request:
            return None  # a notification is never answered, section 4.1
        return {"jsonrpc": "2.0", "id": request["id"]} | reply

    async def _call(self, request: dict[str, Any], admin: bool) -> object:
        method = self._methods.get(request["method"])
        if method is None:
            raise RpcFault(METHOD_NOT_FOUND, f"no method {request['method']}; rpc_methods lists them")
        if method.admin and not admin:
            raise RpcFault(
                UNAUTHORIZED, f"{method.name} needs the bearer token in the node's data directory (rpc.token)"
            )
        return await method.handler(**_arguments(method, request.get("params", {})))


def _malformed(request: Any) -> RpcFault | None:
    if (
        not isinstance(request, dict)
        or request.get("jsonrpc") != "2.0"
        or not isinstance(request.get("method"), str)
    ):
        return RpcFault(INVALID_REQUEST, 'a request is an object with "jsonrpc": "2.0" and a "method"')
    if not isinstance(request.get("id"), str | int | type(None)) or isinstance(request.get("id"), bool):
        return RpcFault(INVALID_REQUEST, "an id is a string or a whole number")
    return None


def _arguments(method: Method, params: Any) -> dict[str, Any]:
    if isinstance(params, list):
        if len(params) > len(method.parameters):
            raise RpcFault(INVALID_PARAMS, f"{method.name} takes at most {len(method.parameters)} parameters")
        params = {parameter.name: value for parameter, value in zip(method.parameters, params, strict=False)}
    if not isinstance(params, dict):
        raise RpcFault(INVALID_PARAMS, "params is an object or an array")
    known = {parameter.name for parameter in method.parameters}
    unknown = sorted(set(params) - known)
    if unknown:
        raise RpcFault(
            INVALID_PARAMS,
            f"{method.name} has no parameter {unknown[0]}",
            expected=sorted(known),
            got=unknown[0],
        )
    missing = [p.name for p in method.parameters if p.required and p.name not in params]
    if missing:
        raise RpcFault(INVALID_PARAMS, f"{method.name} needs the parameter {missing[0]}")
    return {p.name: _value(p, params[p.name]) for p in method.parameters if p.name in params}


def _value(parameter: Parameter, value: Any) -> Any:
    if value is None and parameter.optional:
        return None
    fault = RpcFault(
        INVALID_PARAMS,
        f"{parameter.name} must be of type {_JSON_NAMES[parameter.kind]}",
        expected=_JSON_NAMES[parameter.kind],
        got=repr(value)[:80],
    )
    if parameter.kind is bytes:
        if not isinstance(value, str):
            raise fault
        try:
            return bytes.fromhex(value)
        except ValueError:
            raise fault from None
    if type(value) is not parameter.kind:
        raise fault
    return value


def _failure(identity: object, fault: RpcFault) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": identity, "error": fault.to_json()}


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _text(document: object) -> str:
    return json.dumps(document, separators=(",", ":"))
