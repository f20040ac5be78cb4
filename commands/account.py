"""`engram account`: balances, rewards on their way, and their claim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.options import Group, choosing_key, with_key, with_session
from engram.commands.support.sending import settled, with_wait
from engram.commands.support.session import CommandSession
from engram.commands.support.units import format_coins

if TYPE_CHECKING:
    from engram.participant.wallet import Wallet


@click.group("account", cls=Group)
def command() -> None:
    """Show balances and claim rewards."""


@command.command("show", example="engram account show\nengram account show alice --json")
@click.argument("account", required=False)
@choosing_key
@with_session
def show(session: CommandSession, account: str | None) -> None:
    """Show an account: a key's name or an address; by default the only key's."""
    result = session.call("account_get", address=session.address(account))
    maturing = result.get("maturing", [])
    fields = {
        "address": result["address"],
        "balance": format_coins(result["balance"]),
        "claimable": format_coins(sum(reward["amount"] for reward in maturing if reward["mature"])),
        "maturing": format_coins(sum(reward["amount"] for reward in maturing if not reward["mature"])),
        "transactions": result["nonce"],
        "waiting": result["next_nonce"] - result["nonce"],
        "strikes": result["strikes"],
    }
    session.show(result, fields.items())


@command.command("claim", example="engram account claim --key miner")
@with_wait
@with_key
@with_session
def claim(session: CommandSession, wait: bool) -> None:
    """Turn mature rewards into spendable coins."""
    from engram.participant.rewards import claim_mature

    async def action(wallet: Wallet) -> dict[str, Any]:
        claimed = await claim_mature(wallet)
        statuses = [await settled(session, wallet, txid, wait=wait) for txid in claimed.transactions]
        return {"claimed": claimed.amount, "transactions": statuses}

    result = session.run_wallet(action)
    txids = [status["txid"] for status in result["transactions"]]
    session.show(result, [("claimed", format_coins(result["claimed"])), ("transactions", txids)])
