"""`engram account`: shows an account's balance and rewards, and claims the rewards that have matured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.options import Group, choosing_key, with_key, with_session
from engram.commands.support.sending import settled, with_wait
from engram.commands.support.session import CommandSession
from engram.commands.support.units import format_coins

if TYPE_CHECKING:
    from engram.participant.wallet import Wallet


@click.group("account", cls=Group, example="engram account show alice\nengram account claim --key miner")
def command() -> None:
    """Show balances and claim rewards.

    Rewards, for mined blocks and for winning updates, cannot be spent at once. They mature after a number of
    blocks; then their owner claims them with a transaction, which adds them to the balance.
    """


@command.command("show", example="engram account show\nengram account show alice --json")
@click.argument("account", required=False)
@choosing_key
@with_session
def show(session: CommandSession, account: str | None) -> None:
    """Show an account: its balance, its rewards, and how many transactions it has sent.

    ACCOUNT is an address or the name of a key in the data directory. Without ACCOUNT, the command shows the
    account of --key, or of the only key. "claimable" rewards have matured, "maturing" ones have not yet, and
    "waiting" counts the account's transactions that wait for a block.
    """
    result = session.call("account_get", address=session.address(account))
    maturing = result.get("maturing", [])
    fields = {
        "address": result["address"],
        "balance": format_coins(result["balance"]),
        "claimable": format_coins(sum(reward["amount"] for reward in maturing if reward["mature"])),
        "maturing": format_coins(sum(reward["amount"] for reward in maturing if not reward["mature"])),
        "transactions": result["nonce"],
        "waiting": result["next_nonce"] - result["nonce"],
    }
    session.show(result, fields.items())


@command.command("claim", example="engram account claim --key miner")
@with_wait
@with_key
@with_session
def claim(session: CommandSession, wait: bool) -> None:
    """Claim the mature rewards of a key's account, which turns them into spendable coins.

    The command sends as few transactions as the rewards need and waits for the blocks that hold them. Rewards
    that have not matured yet are left for a later claim.
    """
    from engram.participant.rewards import claim_mature

    async def action(wallet: Wallet) -> dict[str, Any]:
        claimed = await claim_mature(wallet)
        statuses = [await settled(session, wallet, txid, wait=wait) for txid in claimed.transactions]
        return {"claimed": claimed.amount, "transactions": statuses}

    result = session.run_wallet(action)
    txids = [status["txid"] for status in result["transactions"]]
    session.show(result, [("claimed", format_coins(result["claimed"])), ("transactions", txids)])
