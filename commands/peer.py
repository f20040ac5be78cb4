"""`engram peer`: shows and changes which other nodes a node talks to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.options import Group, with_session
from engram.commands.support.output import Column, short
from engram.commands.support.session import CommandSession

if TYPE_CHECKING:
    from engram.node.client import RpcClient


@click.group("peer", cls=Group, example="engram peer list\nengram peer add 127.0.0.1:8646")
def command() -> None:
    """List, add and remove peers.

    A peer is another node of the same chain. `add` and `remove` change the node, so they need the token in
    its data directory; `list` does not.
    """


@command.command("list", example="engram peer list")
@with_session
def list_peers(session: CommandSession) -> None:
    """List the peers that the node is connected to, and the addresses that it cannot reach.

    For an address that does not answer, "state" gives the reason and when the node tries again.
    """

    async def action(client: RpcClient) -> list[dict[str, Any]]:
        peers: list[dict[str, Any]] = await client.call("peer_list")
        targets = await client.call("peer_targets")
        unreached = [_unreached(target) for target in targets if target["peer"] is None]
        return [*({**peer, "state": "connected"} for peer in peers), *unreached]

    columns = (
        Column("peer", lambda row: None if row["id"] is None else short(row["id"])),
        Column("address", lambda row: row["address"], whole=True),
        Column("direction", lambda row: row["direction"]),
        Column("height", lambda row: row["height"], right=True),
        Column("state", lambda row: row["state"], whole=True),
    )
    session.show_rows(
        session.run(action),
        columns,
        "the node is connected to no peer and dials none: add one with `engram peer add HOST:PORT`",
    )


def _unreached(target: dict[str, Any]) -> dict[str, Any]:
    """The row of an address that the node dials and has no connection to."""
    error, retry_s = target["error"], target["retry_s"]
    state = "dialling" if error is None else error["message"]
    if retry_s is not None:
        state += f"; next try in {retry_s:.0f} s"
    named = {"id": None, "address": target["address"], "direction": "outbound", "height": None}
    return {**named, "state": state, "error": error, "retry_s": retry_s}


@command.command("add", example="engram peer add 127.0.0.1:8646")
@click.argument("address")
@with_session
def add(session: CommandSession, address: str) -> None:
    """Connect to the peer at an address, and connect again whenever the connection is lost.

    ADDRESS is HOST:PORT, or NODEKEY@HOST:PORT to accept only the node with that public key. The node forgets
    the address when it stops; to keep it, use the option --peer of `engram run` or the setting `peers`.
    """
    result = session.call("peer_add", admin=True, address=address)
    session.show(result, result.items())


@command.command("remove", example="engram peer remove 127.0.0.1:8646")
@click.argument("address")
@with_session
def remove(session: CommandSession, address: str) -> None:
    """Stop dialling an address, and end the connection that the node has made to it.

    ADDRESS is HOST:PORT, as `engram peer list` shows it. A connection that the peer itself has opened (its
    direction is "inbound") stays.
    """
    result = session.call("peer_remove", admin=True, address=address)
    session.show(result, result.items())
