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
from engram.participant.finding_work import find_round_to_score, find_round_to_withdraw

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

    Without ROUND, the last round that goes on and in which you take part is meant, else the only one that
    goes on; with --author, the last one that holds an update of this account.
    """
    named = None if author is None else session.address(author)
    with session.printer() as printer:

        async def action(wallet: Wallet) -> dict[str, Any]:
            from engram.participant.scoring import score_candidates
            from engram.participant.view import ChainView

            own = await wallet.address()
            identity = bytes.fromhex(await find_round_to_score(wallet.client, round_, own, named))
            fees, chosen = wallet.fees, _raw(session, named)
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

    Without ROUND, the last round is meant that has ended and still holds an update of the author.
    """
    named = None if author is None else session.address(author)
    with session.printer() as printer:

        async def action(wallet: Wallet) -> dict[str, Any]:
            from engram.participant.scoring import withdraw_updates
            from engram.participant.view import ChainView
            from engram.primitives.keys import parse_address

            owner = await wallet.address() if named is None else named
            identity = bytes.fromhex(await find_round_to_withdraw(wallet.client, round_, owner))
            view = ChainView(wallet.client)
            done = await withdraw_updates(view, wallet, identity, parse_address(owner, session.hrp))
            return {
                "round": identity.hex(),
                "bonds_returned": done.returned,
                "bonds_burned": done.burned,
            }

        result = session.run_actor(action, printer.notice, holds=False)
    shown = {name: result[name] if name == "round" else format_coins(result[name]) for name in result}
    printer.result(result, shown.items())


def _raw(session: CommandSession, address: str | None) -> Address | None:
    """The bytes of an address; None for none."""
    from engram.primitives.keys import parse_address

    return None if address is None else parse_address(address, session.hrp)
