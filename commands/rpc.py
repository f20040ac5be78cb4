"""`engram rpc`: calls any method of a node's JSON-RPC, for what no other command offers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support.options import Command, with_session
from engram.commands.support.output import print_json
from engram.commands.support.session import CommandSession
from engram.commands.support.stdin import STDIN, json_argument

if TYPE_CHECKING:
    from engram.node.client import RpcClient

_TEXTS: Final = ("string", "hex string", "id")
"""Types of parameters whose value is taken as it stands on the command line."""


@click.command(
    "rpc",
    cls=Command,
    example="engram rpc rpc_methods\nengram rpc chain_header height=7\nengram rpc chain_headers 0 5\n"
    "engram rpc tx_submit - < signed.json",
)
@click.argument("method")
@click.argument("arguments", nargs=-1)
@with_session
def command(session: CommandSession, method: str, arguments: tuple[str, ...]) -> None:
    """Call any RPC method of the node and print its result as JSON.

    ARGUMENTS are NAME=VALUE, or values alone in the order of the parameters. Texts and ids are written as
    they are, everything else as JSON: 7, true, null, '["a"]'. A single - reads all parameters from standard
    input, as a JSON object or array. `engram rpc rpc_methods` lists the methods with their parameters.

    The data directory's token is sent along only for methods that need it.
    """
    piped = json_argument(STDIN) if arguments == (STDIN,) else {}
    if not isinstance(piped, dict | list):
        raise _usage("standard input is neither a JSON object nor an array")

    async def listed(client: RpcClient) -> dict[str, Any]:
        return {item["name"]: item for item in await client.call("rpc_methods")}

    known = session.run(listed).get(method, {"params": [], "admin": False})
    params = piped if arguments == (STDIN,) else _parsed(known["params"], arguments)

    async def action(client: RpcClient) -> Any:
        return await client.request(method, params)

    print_json(session.run(action, admin=bool(known["admin"])))


def _parsed(known: Sequence[dict[str, Any]], arguments: Sequence[str]) -> dict[str, Any] | list[Any]:
    """The parameters that the words stand for. `known` are those that the method has, in its order."""
    kinds = {parameter["name"]: str(parameter["type"]) for parameter in known}
    named = [
        word.partition("=") for word in arguments if word.partition("=")[0].isidentifier() and "=" in word
    ]
    if not named:
        in_order = [*kinds.values(), *[""] * len(arguments)]
        return [_value(word, kind) for word, kind in zip(arguments, in_order, strict=False)]
    if len(named) != len(arguments):
        raise _usage("give either NAME=VALUE for every parameter, or values alone")
    return {name: _value(text, kinds.get(name, "")) for name, _, text in named}


def _value(text: str, kind: str) -> Any:
    """The JSON value of a word. A text is taken as it stands; what is no JSON is sent as a text, too."""
    if kind in _TEXTS and text != "null":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _usage(message: str) -> click.UsageError:
    return click.UsageError(message, click.get_current_context())
