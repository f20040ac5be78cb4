"""The node's interface as an OpenRPC document (https://spec.open-rpc.org), which `rpc.discover` serves.

It is made from the methods themselves: their parameters, the types of their results, their docstrings. What a
WebSocket offers besides, subscriptions and topics, stands in it, too.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from typing import Any, Final

from engram.node.decimals import DECIMAL_FIELDS, DECIMAL_PATTERN
from engram.node.rpc import refusals
from engram.node.rpc.events import TOPICS
from engram.node.rpc.jsonrpc import (
    CHAIN_ERROR,
    CODES,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    REPLY_TOO_LARGE,
    TOO_BUSY,
    UNAUTHORIZED,
    Method,
    method_of,
)
from engram.node.rpc.results.model import HeadEvent, RoundEvent, TransactionEvent, VersionEvent
from engram.node.rpc.results.node import PaceResult
from engram.node.rpc.results.peer import PeerEvent
from engram.node.rpc.results.schemas import SchemaBuilder
from engram.node.rpc.session import session_methods
from engram.primitives.errors import error_classes
from engram.primitives.version import VERSION

OPENRPC: Final = "1.3.2"
"""Version of the OpenRPC specification."""
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
"""The draft of JSON Schema by which every schema of the document is written."""
DISCOVER: Final = "rpc.discover"
TOPIC_TYPES: Final[Mapping[str, Any]] = {
    "heads": HeadEvent,
    "transactions": TransactionEvent,
    "rounds": RoundEvent,
    "versions": VersionEvent,
    "peers": PeerEvent,
    "pace": PaceResult,
}
"""The type of the events of each topic."""
TOPIC_TEXTS: Final[Mapping[str, str]] = {
    "heads": "The head has changed.",
    "transactions": "A transaction waits, is in a block, or is dropped.",
    "rounds": "A round's phase or record has changed.",
    "versions": "A model has a new version.",
    "peers": "A session with a peer has opened or ended.",
    "pace": "For which programs the blocks of a test network wait, as `miner_pace` says it.",
}
"""What the events of each topic say."""

Json = dict[str, Any]

_ERRORS: Final[Mapping[str, Json]] = {
    "parse_error": {"code": PARSE_ERROR, "message": "the request is no JSON"},
    "invalid_request": {"code": INVALID_REQUEST, "message": "the JSON is no request of JSON-RPC 2.0"},
    "method_not_found": {
        "code": METHOD_NOT_FOUND,
        "message": "there is no such method; rpc_methods lists all",
    },
    "invalid_params": {
        "code": INVALID_PARAMS,
        "message": "a parameter is missing, unknown or of a wrong type",
    },
    "refused": {"code": CHAIN_ERROR, "message": "the request breaks a rule; data.code names it"},
    "too_busy": {"code": TOO_BUSY, "message": "the node has too much in hand; ask again later"},
    "reply_too_large": {"code": REPLY_TOO_LARGE, "message": "the replies to the batch are too long"},
    "internal_error": {"code": INTERNAL_ERROR, "message": "internal error; the node's log has the details"},
    "unauthorized": {"code": UNAUTHORIZED, "message": "the bearer token of the data directory is missing"},
}
_OF_NO_METHOD: Final = ("parse_error", "invalid_request", "method_not_found")
"""Errors of requests that reach no method."""


class Discovery:
    """The method `rpc.discover`. Set `table` to all methods once they are known."""

    def __init__(self) -> None:
        self.table: Mapping[str, Method] = {}
        self.method: Final = method_of(DISCOVER, self.discover, dict[str, Any])

    async def discover(self) -> dict[str, Any]:
        """This document: every method with its parameters, result and errors; the topics of WebSockets."""
        return await asyncio.to_thread(document, self.table)  # it reads sources, once


def document(table: Mapping[str, Method]) -> Json:
    """The OpenRPC document of these methods."""
    shapes = SchemaBuilder()
    described = [_method(table[name], shapes) for name in sorted(table)]
    described += [{**_method(each, shapes), "x-transport": "websocket"} for each in session_methods()]
    topics = [
        {"name": name, "description": TOPIC_TEXTS[name], "schema": _rooted(shapes.schema(TOPIC_TYPES[name]))}
        for name in TOPICS
    ]
    return {
        "openrpc": OPENRPC,
        "info": {
            "title": "Engram node",
            "version": VERSION,
            "license": {"name": "Apache-2.0"},
            "description": "JSON-RPC 2.0 by POST to / and by WebSocket at /ws. Ids and bytes are hexadecimal "
            "text, amounts are sparks, of which a coin has 100,000,000.",
        },
        "methods": described,
        "components": {
            "errors": {name: dict(error) for name, error in _ERRORS.items()},
            "schemas": {
                "Refusal": _rooted(_refusal()),
                "Decimal": {
                    "$schema": DIALECT,
                    "type": "string",
                    "pattern": DECIMAL_PATTERN,
                    "description": "An integer as text, because many programs read JSON numbers beyond "
                    "2^53 - 1 inexactly. In results, events and errors, the fields that x-decimal-fields "
                    "lists always have this form, small values, too, and so do the integers in lists of "
                    "these names. As a parameter, any integer may be given as a number or as text.",
                },
                **{name: _rooted(shape) for name, shape in sorted(shapes.definitions.items())},
            },
        },
        "x-decimal-fields": sorted(DECIMAL_FIELDS),
        "x-topics": topics,
    }


def _method(method: Method, shapes: SchemaBuilder) -> Json:
    text = inspect.cleandoc(method.handler.__doc__ or "")
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    names = [
        name for name in _ERRORS if name not in _OF_NO_METHOD and (name != "unauthorized" or method.admin)
    ]
    return {
        "name": method.name,
        "summary": paragraphs[0],
        "description": "\n\n".join(paragraphs),
        "paramStructure": "either",
        "params": [
            {
                "name": each.name,
                "required": each.required or each.rest,
                "schema": _rooted(each.schema()),
            }
            for each in method.parameters
        ],
        "result": {"name": "result", "schema": _rooted(shapes.schema(method.result))},
        "errors": [{"$ref": f"#/components/errors/{name}"} for name in names],
        "x-admin": method.admin,
    }


def _rooted(schema: Json) -> Json:
    """A schema that says by which draft of JSON Schema it is written: OpenRPC means an older one else."""
    return {"$schema": DIALECT, **schema}


def _refusal() -> Json:
    """The `data` of an error; clients decide by its code, which never changes its meaning."""
    theirs = (
        "engram.commands.",
        "engram.library.",
        "engram.participant.",
    )  # other programs, which may share the process
    codes = {
        cls.code
        for cls in error_classes()
        if cls.__module__.startswith("engram.") and not cls.__module__.startswith(theirs)
    } | {*CODES.values(), *refusals.CODES.values(), refusals.BLOB_MISSING}
    return {
        "type": "object",
        "required": ["code", "message", "expected", "got"],
        "properties": {
            "code": {"anyOf": [{"enum": sorted(codes)}, {"pattern": "^missing_[a-z_]+$"}]},
            "message": {"type": "string"},
        },
    }
