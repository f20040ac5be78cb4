"""Answers JSON-RPC 2.0 requests and batches from a table of methods: the same for HTTP and for WebSockets.

It is strict in what it accepts, so that no two clients can understand one request differently: the protocol's
version must be named, an id is text, a whole number or null, and what no request may hold is refused by name
(see `jsontext`). `params` may be null, which is the same as none. A notification is obeyed, never answered.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from engram.node.decimals import is_decimal, with_decimals
from engram.node.rpc.jsonrpc import (
    CHAIN_ERROR,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    REPLY_TOO_LARGE,
    TOO_BUSY,
    UNAUTHORIZED,
    Method,
    RpcFault,
    method_table,
)
from engram.node.rpc.jsontext import LEAST_INTEGER, MOST_INTEGER, Unusable, first_unusable, read_json
from engram.node.rpc.parameters import ID_BYTES, IdForm, Parameter
from engram.primitives.errors import ChainError

MAX_BATCH: Final = 100
MAX_BATCH_REPLY_CHARS: Final = 16 * 1024 * 1024
"""Once the replies to a batch are longer together, its other requests are refused and not carried out."""
MAX_BATCH_S: Final = 10.0
"""Once a batch has taken so many seconds, its other requests are refused and not carried out."""
_OF_WEBSOCKETS: Final = ("subscribe", "unsubscribe")
_SHOWN: Final = 80

_TOO_LONG: Final = "the replies to this batch are too long; send smaller batches"
_TOO_SLOW: Final = "this batch takes too long; send smaller batches"

BugReport = Callable[[str, Exception], None]


class Dispatcher:
    """Answers requests from a table of methods."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        on_internal_error: BugReport,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`monotonic` gives the seconds by which a batch is timed."""
        self._methods = methods
        self._on_internal_error = on_internal_error
        self._monotonic = monotonic

    def joined(self, own: Iterable[Method]) -> Dispatcher:
        """A dispatcher of these methods besides its own, such as those of one connection."""
        table = method_table((*self._methods.values(), *own))
        return Dispatcher(table, self._on_internal_error, self._monotonic)

    def reading(self) -> Dispatcher:
        """A dispatcher of those of its methods that change nothing."""
        table = {name: method for name, method in self._methods.items() if not method.changes}
        return Dispatcher(table, self._on_internal_error, self._monotonic)

    async def answer(self, raw: str | bytes, *, admin: bool) -> str | None:
        """The response text to one request or batch; None where all were notifications."""
        try:
            document = read_json(raw)
        except RpcFault as fault:
            return _text(_failure(None, fault))
        if not isinstance(document, list):
            return await self._answer_one(document, admin)
        if not document or len(document) > MAX_BATCH:
            size = RpcFault(INVALID_REQUEST, f"a batch holds 1 to {MAX_BATCH} requests", got=len(document))
            return _text(_failure(None, size))
        return await self._answer_batch(document, admin)

    async def _answer_batch(self, requests: list[Any], admin: bool) -> str | None:
        """The replies to the requests, which are carried out one after the other, in their order."""
        replies: list[str] = []
        length, end = 0, self._monotonic() + MAX_BATCH_S
        for request in requests:
            if length > MAX_BATCH_REPLY_CHARS:
                reply = _refused(request, RpcFault(REPLY_TOO_LARGE, _TOO_LONG))
            elif self._monotonic() > end:
                reply = _refused(request, RpcFault(TOO_BUSY, _TOO_SLOW))
            else:
                reply = await self._answer_one(request, admin)
            if reply is not None:
                replies.append(reply)
                length += len(reply)
        return f"[{','.join(replies)}]" if replies else None

    async def _answer_one(self, request: Any, admin: bool) -> str | None:
        fault = _malformed(request)
        if fault is not None:
            return _text(_failure(None, fault))
        try:
            reply: dict[str, object] = {"result": with_decimals(await self._call(request, admin))}
        except RpcFault as error:
            reply = {"error": error.to_json()}
        except ChainError as error:
            data = with_decimals(error.to_json())
            reply = {"error": {"code": CHAIN_ERROR, "message": str(error), "data": data}}
        except Exception as error:  # the border where a bug becomes an answer and does not end the node
            self._on_internal_error(request["method"], error)
            fault = RpcFault(INTERNAL_ERROR, "internal error; the node's log has the details")
            reply = {"error": fault.to_json()}
        if "id" not in request:
            return None  # a notification is never answered, section 4.1
        return _text({"jsonrpc": "2.0", "id": request["id"]} | reply)

    async def _call(self, request: dict[str, Any], admin: bool) -> object:
        name = request["method"]
        method = self._methods.get(name)
        if method is None:
            where = "it needs a WebSocket at /ws" if name in _OF_WEBSOCKETS else "rpc_methods lists them"
            raise RpcFault(METHOD_NOT_FOUND, f"no method {name[:_SHOWN]} here; {where}")
        if method.admin and not admin:
            raise RpcFault(
                UNAUTHORIZED, f"{method.name} needs the bearer token in the node's data directory (rpc.token)"
            )
        positional, named = _arguments(method, request.get("params"))
        return await method.handler(*positional, **named)


def _malformed(request: Any) -> RpcFault | None:
    if isinstance(request, Unusable):
        return RpcFault(INVALID_REQUEST, request.reason)
    if (
        not isinstance(request, dict)
        or request.get("jsonrpc") != "2.0"
        or not isinstance(request.get("method"), str)
    ):
        return RpcFault(INVALID_REQUEST, 'a request is an object with "jsonrpc": "2.0" and a "method"')
    identity = request.get("id")
    if isinstance(identity, Unusable):
        return RpcFault(INVALID_REQUEST, f"the id cannot be used: {identity.reason}")
    if type(identity) not in (str, int, type(None)):
        return RpcFault(INVALID_REQUEST, "an id is text, a whole number or null")
    if isinstance(identity, str) and not _is_unicode(identity):
        return RpcFault(INVALID_REQUEST, "the id holds half of a surrogate pair, which is no character")
    return None


def _arguments(method: Method, params: Any) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of the handler: those of `*rest`, and the others by their names."""
    if isinstance(params, Unusable):
        raise RpcFault(INVALID_PARAMS, f"params cannot be used: {params.reason}")
    named = _named(method, {} if params is None else params)
    known = {parameter.name for parameter in method.parameters}
    unknown = sorted(set(named) - known)
    if unknown:
        raise RpcFault(
            INVALID_PARAMS,
            f"{method.name} has no parameter {unknown[0][:_SHOWN]}",
            expected=sorted(known),
            got=unknown[0][:_SHOWN],
        )
    missing = [each.name for each in method.parameters if each.required and each.name not in named]
    if missing:
        raise RpcFault(INVALID_PARAMS, f"{method.name} needs the parameter {missing[0]}")
    rest = [_value(each, item) for each in method.parameters if each.rest for item in named.pop(each.name)]
    return rest, {
        each.name: _value(each, named[each.name]) for each in method.parameters if each.name in named
    }


def _named(method: Method, params: Any) -> dict[str, Any]:
    """The parameters by their names, those of `*rest` as a list."""
    rest = [each.name for each in method.parameters if each.rest]
    if isinstance(params, list):
        single = [each.name for each in method.parameters if not each.rest]
        if len(params) > len(single) and not rest:
            raise RpcFault(INVALID_PARAMS, f"{method.name} takes at most {len(single)} parameters")
        further = params[len(single) :]
        if rest and len(further) == 1 and isinstance(further[0], list):
            further = further[0]
        return dict(zip(single, params, strict=False)) | ({name: further for name in rest if further})
    if not isinstance(params, dict):
        raise RpcFault(INVALID_PARAMS, "params is an object or an array")
    for name in rest:
        if name in params and (not isinstance(params[name], list) or not params[name]):
            raise RpcFault(INVALID_PARAMS, f"{name} must be a list that is not empty")
    return dict(params)


def _value(parameter: Parameter, value: Any) -> Any:
    if value is None and parameter.optional:
        return None
    fault = RpcFault(
        INVALID_PARAMS,
        f"{parameter.name} must be of type {parameter.type_name}",
        expected=parameter.expected,
        got=_shown(value),
    )
    unusable = first_unusable(value) if isinstance(value, list | Unusable) else None
    if unusable is not None:
        raise RpcFault(INVALID_PARAMS, f"{parameter.name} cannot be used: {unusable.reason}")
    if parameter.kind is bytes:
        if not isinstance(value, str):
            raise fault
        try:
            raw = bytes.fromhex(value)
        except ValueError:
            raise fault from None
        if 2 * len(raw) != len(value):  # Python's own reading skips blanks
            raise fault
        if isinstance(parameter.form, IdForm) and len(raw) != ID_BYTES:
            raise fault
        return raw
    if parameter.kind is int and is_decimal(value):
        value = int(value)
        if not LEAST_INTEGER <= value <= MOST_INTEGER:
            raise RpcFault(INVALID_PARAMS, f"{parameter.name} does not fit into 64 bits", got=_shown(value))
    if type(value) is not parameter.kind or (isinstance(value, str) and not _is_unicode(value)):
        raise fault
    return value


def _shown(value: Any) -> str:
    """The beginning of a value, for an error."""
    return ascii(value[:_SHOWN] if isinstance(value, str | list) else value)[:_SHOWN]


def _is_unicode(text: str) -> bool:
    """Whether the text has no half of a surrogate pair, which JSON can hold and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused(request: Any, reason: RpcFault) -> str | None:
    """What a request of a batch is told that is not carried out."""
    fault = _malformed(request)
    if fault is None and "id" not in request:
        return None
    return _text(_failure(None, fault) if fault is not None else _failure(request["id"], reason))


def _failure(identity: object, fault: RpcFault) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": identity, "error": fault.to_json()}


def _text(document: object) -> str:
    return json.dumps(document, separators=(",", ":"))
