"""`engram mempool`: the transactions that wait for a block."""

from __future__ import annotations

import click

from engram.commands.support.options import Group, with_session
from engram.commands.support.output import Column
from engram.commands.support.session import CommandSession
from engram.commands.support.units import format_coins


@click.group("mempool", cls=Group)
def command() -> None:
    """Look at the transactions that wait."""


@command.command("info", example="engram mempool info")
@with_session
def info(session: CommandSession) -> None:
    """Show how much waits, and how much may."""
    result = session.call("mempool_info")
    session.show(result, result.items())


@command.command("list", example="engram mempool list --json")
@with_session
def list_waiting(session: CommandSession) -> None:
    """List what waits, best paying first."""
    from engram.statemachine.transactions import TX_TYPES

    columns = (
        Column("transaction", lambda row: row["txid"], whole=True),
        Column("sender", lambda row: row["sender"]),
        Column("nonce", lambda row: row["nonce"], right=True),
        Column("type", lambda row: TX_TYPES[row["kind"]].NAME if row["kind"] in TX_TYPES else row["kind"]),
        Column("bytes", lambda row: row["size_bytes"], right=True),
        Column("fee", lambda row: format_coins(row["fee"]), right=True),
        Column("waits for", lambda row: row["waits"]),
    )
    session.show_rows(session.call("mempool_list"), columns, "nothing waits")
