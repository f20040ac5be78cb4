"""`engram round score` and `withdraw`: what anyone can do for the updates of a round.

Authors who play with `engram participate` do both by themselves for their own updates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.completion import complete_keys
from engram.commands.support.lookup import round_argument
from engram.commands.support.options import Command, with_key, with_session
from engram.commands.support.session import CommandSession
from engram.participant.coins import format_coins
from engram.participant.finding import find_round

if TYPE_CHECKING:
    from engram.participant.wallet import Wallet
    from engram.primitives.types import Address


@click.command(
    "score",
    cls=Command,
    lines=True,
    example="engram round score\nengram round score 77ab --author bob",
)
@round_argument
@click.option(
    "--author",
    metavar="ACCOUNT",
    shell_complete=complete_keys,
    help="Whose candidates to have scored: an address or a key's name. Default: everybody's.",
)
@with_key
@with_session
def score(session: CommandSession, round_: str | None, author: str | None) -> None:
    """Have candidates scored on the parts that their authors could not see.

    The command waits for the phase score, and asks for what nobody has asked for yet. You pay the fees. A
    candidate that is not scored on every part cannot win. `engram participate` scores its own candidates.
    """
    chosen = _address(session, author)
    with session.printer() as printer:

        async def action(wallet: Wallet) -> dict[str, Any]:
            from engram.participant.scoring import score_candidates
            from engram.participant.view import ChainView

            identity = bytes.fromhex(await find_round(wallet.client, round_))
            fees = wallet.fees
            count = await score_candidates(ChainView(wallet.client), wallet, identity, chosen)
            return {"round": identity.hex(), "candidates": count, "fees": wallet.fees - fees}

        result = session.run_actor(action, printer.notice)
    printer.result(result, {**result, "fees": format_coins(result["fees"])}.items())


@click.command(
    "withdraw",
    cls=Command,
    lines=True,
    example="engram round withdraw --key alice",
)
@round_argument
@click.option(
    "--author",
    metavar="ACCOUNT",
    shell_complete=complete_keys,
    help="Whose updates to withdraw: an address or a key's name. Default: your own.",
)
@with_key
@with_session
def withdraw(session: CommandSession, round_: str | None, author: str | None) -> None:
    """Withdraw an author's updates from a round that has ended.

    The bond of an update returns to its author if the update is better than the baseline on any side's rows,
    or if the round ended before it could be scored. Otherwise it is burned. `engram participate` does this at
    the end of a round.
    """
    chosen = _address(session, author)
    with session.printer() as printer:

        async def action(wallet: Wallet) -> dict[str, Any]:
            from engram.participant.scoring import withdraw_updates
            from engram.participant.view import ChainView

            identity = bytes.fromhex(await find_round(wallet.client, round_))
            owner = wallet.key.address if chosen is None else chosen
            done = await withdraw_updates(ChainView(wallet.client), wallet, identity, owner)
            return {
                "round": identity.hex(),
                "bonds_returned": done.returned,
                "bonds_burned": done.burned,
            }

        result = session.run_actor(action, printer.notice, holds=False)
    shown = {name: result[name] if name == "round" else format_coins(result[name]) for name in result}
    printer.result(result, shown.items())


def _address(session: CommandSession, account: str | None) -> Address | None:
    """The address of an account; None if none is named."""
    from engram.primitives.keys import parse_address

    return None if account is None else parse_address(session.address(account), session.hrp)
