"""`engram account`: shows an account's balance, rewards and history, and claims rewards that have matured."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.options import Group, choosing_key, with_key, with_session
from engram.commands.support.output import Column, short
from engram.commands.support.sending import settled, with_wait
from engram.commands.support.session import CommandSession
from engram.commands.support.verdicts import with_verdicts
from engram.node.epochs import told_epoch
from engram.node.errors import StatePruned
from engram.node.rpc.outcomes import outcomes
from engram.participant.coins import format_coins

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engram.node.client import RpcClient
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
    "waiting" counts the account's transactions that wait for a block. "bonds" are held by updates in rounds.
    Of those whose rounds have ended, "withdrawable" ones return when somebody withdraws the update, and
    "forfeited" ones burn then. `engram account updates` lists them.
    """
    address = session.address(account)
    result = {
        **session.call("account_get", address=address),
        "updates": session.call("account_updates", address=address),
    }
    maturing = result.get("maturing", [])
    fields = {
        "address": result["address"],
        "balance": format_coins(result["balance"]),
        "claimable": format_coins(sum(reward["amount"] for reward in maturing if reward["mature"])),
        "maturing": format_coins(sum(reward["amount"] for reward in maturing if not reward["mature"])),
        "bonds": format_coins(sum(update["bond"] for update in result["updates"])),
        "withdrawable": _bonds(result["updates"], returns=True),
        "forfeited": _bonds(result["updates"], returns=False),
        "transactions": result["nonce"],
        "waiting": result["next_nonce"] - result["nonce"],
    }
    session.show(result, fields.items())


def _bonds(updates: Sequence[dict[str, Any]], *, returns: bool) -> str:
    """The bonds of rounds that have ended which return to the author, or which burn."""
    return format_coins(sum(update["bond"] for update in updates if update["bond_returns"] is returns))


@command.command("updates", example="engram account updates\nengram account updates alice --json")
@click.argument("account", required=False)
@choosing_key
@with_session
def updates(session: CommandSession, account: str | None) -> None:
    """List an account's updates that still hold a bond, and why each was paid or not.

    ACCOUNT is an address or the name of a key in the data directory; see `engram account show`. Once a round
    has ended, `engram round withdraw` removes an update, and its bond returns or burns: see "bond returns".
    """
    address = session.address(account)

    async def action(client: RpcClient) -> list[dict[str, Any]]:
        found = await client.call("account_updates", address=address)
        rounds = {update["round"] for update in found}
        judged = {
            name: await with_verdicts(client, await client.call("round_get", id=name)) for name in rounds
        }
        told = {
            (name, row["epoch"]): row
            for name, round_ in judged.items()
            for row in outcomes(round_)
            if row["author"] == address
        }
        return [
            {
                **update,
                **told.get((update["round"], update["epoch"]), _untold(judged[update["round"]], address)),
            }
            for update in found
        ]

    columns = (
        Column("round", lambda row: short(row["round"])),
        Column("epoch", lambda row: told_epoch(row["epoch"]), right=True),
        Column("bond", lambda row: format_coins(row["bond"]), right=True),
        Column("paid", lambda row: "-" if row["paid"] is None else format_coins(row["paid"]), right=True),
        Column("bond returns", lambda row: row["bond_returns"], spare=2),
        Column("reasons", lambda row: ", ".join(row["reasons"]) or "-", whole=True, spare=1),
        Column("why", lambda row: "; ".join(row["why"]), whole=True),
    )
    session.show_rows(session.run(action), columns, "no update holds a bond")


@command.command(
    "history", example="engram account history alice\nengram account history alice --limit 20 --before 1200.3"
)
@click.argument("account", required=False)
@click.option(
    "--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="The most entries shown."
)
@click.option("--before", metavar="CURSOR", help="Show what came before this: HEIGHT or HEIGHT.INDEX.")
@choosing_key
@with_session
def history(session: CommandSession, account: str | None, limit: int, before: str | None) -> None:
    """List what the chain's blocks were to an account, the latest first.

    ACCOUNT is an address or the name of a key in the data directory; see `engram account show`. The node
    needs the setting account_index. An entry is a transaction that the account sent or that names it, a
    block that it mined, or what genesis gave it. "in" and "out" are what transfers and opened rounds moved,
    and what was claimed; "reward" is what can be claimed later. Bonds of updates and deposits of uploads are
    not told: `engram account updates` lists the bonds.
    """
    page = session.call("account_history", address=session.address(account), limit=limit, before=before)
    if session.as_json:
        session.show(page, ())
        return
    session.show_rows(page["entries"], _ENTRY, "no block that is indexed names this account")
    if page["next"] is not None:
        session.note(f"there are earlier entries: --before {page['next']}")
    elif page["from_height"] > 1:
        session.note(f"blocks below height {page['from_height']} are not indexed yet")


def _time(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def _coins(amount: int | None) -> str:
    return "?" if amount is None else format_coins(amount) if amount else ""


_ENTRY = (
    Column("place", lambda row: f"{row['height']}.{'mined' if row['index'] is None else row['index']}"),
    Column("time (UTC)", lambda row: _time(row["timestamp_ms"]), spare=2),
    Column("kind", lambda row: row["kind"]),
    Column("as", lambda row: ", ".join(row["roles"]), spare=5),
    Column("in", lambda row: _coins(row["received"]), right=True),
    Column("out", lambda row: _coins(row["sent"]), right=True),
    Column("reward", lambda row: _coins(row["reward"]), right=True),
    Column("fee", lambda row: _coins(row["fee"]), right=True, spare=3),
    Column("status", lambda row: row["status"], spare=1),
    Column("with", lambda row: row["other"]),
    Column("id", lambda row: "" if row["txid"] is None else short(row["txid"]), spare=4),
)


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


def _untold(round_: dict[str, Any], author: str) -> dict[str, Any]:
    """What can be told of an update when the node no longer knows how the round judged it."""
    return {"author": author, "paid": None, "reasons": [StatePruned.code], "why": [round_["unjudged"]]}
