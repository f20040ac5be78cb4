"""`engram mempool`: shows the transactions that wait for a block."""

from __future__ import annotations

import click

from engram.commands.support.options import Group, with_session
from engram.commands.support.output import Column, short
from engram.commands.support.session import CommandSession
from engram.participant.coins import format_coins


@click.group("mempool", cls=Group, example="engram mempool info\nengram mempool list --json")
def command() -> None:
    """Show the transactions that wait for a block.

    The mempool is the node's own list of valid transactions that no block holds yet. Miners choose from it,
    the best paying first.
    """


@command.command("info", example="engram mempool info")
@with_session
def info(session: CommandSession) -> None:
    """Show how many transactions and bytes wait, and how many bytes the mempool may hold.

    "parked" counts those whose minimum fee full blocks have raised above what their senders will pay. They
    return when it has fallen.
    """
    result = session.call("mempool_info")
    session.show(result, result.items())


@command.command("list", example="engram mempool list --json")
@with_session
def list_waiting(session: CommandSession) -> None:
    """List the waiting transactions, those with the best tip for their size first.

    "waits for" gives the code of what keeps a transaction out of the next blocks: a missing earlier
    transaction of the same sender (nonce_mismatch), a minimum fee that full blocks have raised above the most
    that the sender will pay (fee_too_low), or too few coins (insufficient_balance).
    """
    from engram.statemachine.transactions import TX_TYPES

    columns = (
        Column("transaction", lambda row: short(row["txid"])),
        Column("sender", lambda row: row["sender"]),
        Column("nonce", lambda row: row["nonce"], right=True),
        Column("type", lambda row: TX_TYPES[row["kind"]].NAME if row["kind"] in TX_TYPES else row["kind"]),
        Column("bytes", lambda row: row["size_bytes"], right=True, spare=3),
        Column("most fee", lambda row: format_coins(row["max_fee"]), right=True, spare=2),
        Column("tip", lambda row: format_coins(row["tip"]), right=True, spare=1),
        Column("waits for", lambda row: row["waits"]),
    )
    session.show_rows(session.call("mempool_list"), columns, "no transaction waits")
