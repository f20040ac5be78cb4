"""`engram tx`: sends coins, shows what became of a transaction, submits one that was signed elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.options import Group, with_key, with_session
from engram.commands.support.param_types import HASH, HEX
from engram.commands.support.sending import Fee, send, show_status, with_fee
from engram.commands.support.session import CommandSession
from engram.commands.support.units import COINS, in_coins

if TYPE_CHECKING:
    from engram.node.client import RpcClient


@click.group("tx", cls=Group, example="engram tx send bob 12.5 --key alice\nengram tx status 6fd0…")
def command() -> None:
    """Send coins and follow transactions.

    A transaction is named by its id, the 64 hexadecimal digits that `engram tx send` prints.
    """


@command.command("send", example="engram tx send leng1… 12.5 --key alice\nengram tx send bob 0.1 --no-wait")
@click.argument("to")
@click.argument("amount", type=COINS)
@with_fee
@with_key
@with_session
def send_coins(session: CommandSession, to: str, amount: int, fee: Fee, wait: bool) -> None:
    """Send AMOUNT coins from the account of --key to another account.

    TO is an address or the name of a key in the data directory. AMOUNT may have up to eight decimals. The
    command waits until a block holds the transaction, unless you give --no-wait.
    """
    from engram.primitives.keys import parse_address
    from engram.statemachine.transactions.transfer import Transfer

    target = parse_address(session.address(to), session.hrp)
    send(session, Transfer(target, amount), fee=fee, wait=wait)


@command.command("status", example="engram tx status 6fd0…")
@click.argument("txid", type=HASH)
@with_session
def status(session: CommandSession, txid: bytes) -> None:
    """Show what became of a transaction: pending, included, failed, dropped or unknown.

    A pending transaction waits in the mempool. "waits" gives the code of what keeps it out of the next
    blocks: fee_too_low if full blocks have raised the minimum fee above its --max-fee; it returns when that
    has fallen. An included one took effect in a block. A failed one is in a block, too, and paid its fee, but
    did not do what it was sent for; its code says why. The node gave up a dropped one, and knows nothing of
    an unknown one.
    """
    show_status(session, {"txid": txid.hex(), **session.call("tx_status", txid=txid)})


@command.command("show", example="engram tx show 6fd0… --json")
@click.argument("txid", type=HASH)
@with_session
def show(session: CommandSession, txid: bytes) -> None:
    """Show a transaction: sender, nonce, the most it may cost, its tip and the decoded payload.

    The node finds transactions of its blocks and of its mempool. Amounts are shown in coins, with --json in
    sparks.
    """
    result = session.call("tx_get", txid=txid)
    session.show(result, in_coins(result).items())


@command.command("submit", example="engram tx submit 97cf…")
@click.argument("raw", type=HEX)
@click.option(
    "--replace",
    is_flag=True,
    help="Push aside a waiting transaction of the same sender and nonce, whose cap and tip must be exceeded "
    "by a tenth. Without it, such a transaction is refused with nonce_occupied.",
)
@with_session
def submit(session: CommandSession, raw: bytes, replace: bool) -> None:
    """Submit a transaction that was signed elsewhere to the node.

    RAW is the encoded transaction in hexadecimal. The command shows the transaction's status and does not
    wait for a block. The same bytes submitted twice are one transaction; "known" says that the node had it.
    """

    async def action(client: RpcClient) -> dict[str, Any]:
        answer = await client.call("tx_submit", raw=raw, replace=replace)
        status = await client.call("tx_status", txid=answer["txid"])
        return {"txid": answer["txid"], "known": answer["known"], **status}

    show_status(session, session.run(action))
