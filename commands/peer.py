"""`engram peer`: who the node talks to."""

from __future__ import annotations

import click

from engram.commands.options import Group, with_session
from engram.commands.output import Column, short
from engram.commands.session import Session


@click.group("peer", cls=Group)
def command() -> None:
    """List, add and remove peers."""


@command.command("list", example="engram peer list")
@with_session
def list_peers(session: Session) -> None:
    """List the peers that the node has a session with."""
    columns = (
        Column("peer", lambda row: short(row["id"])),
        Column("address", lambda row: row["address"], whole=True),
        Column("direction", lambda row: row["direction"]),
        Column("height", lambda row: row["height"], right=True),
    )
    session.show_rows(
        session.call("peer_list"),
        columns,
        "no session with a peer: ask for one with `engram peer add HOST:PORT`; failed calls are in the log",
    )


@command.command("add", example="engram peer add 127.0.0.1:8646")
@click.argument("address")
@with_session
def add(session: Session, address: str) -> None:
    """Keep a session with the peer at HOST:PORT."""
    result = session.call("peer_add", admin=True, address=address)
    session.show(result, result.items())


@command.command("remove", example="engram peer remove 127.0.0.1:8646")
@click.argument("address")
@with_session
def remove(session: Session, address: str) -> None:
    """End the session with the peer at HOST:PORT and do not dial it again."""
    result = session.call("peer_remove", admin=True, address=address)
    session.show(result, result.items())
