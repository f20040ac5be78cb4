"""`engram watch`: computes what authors claim, and disputes what is false."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from engram.commands.support.completion import complete_models
from engram.commands.support.engines import engine_option
from engram.commands.support.options import Command, with_key, with_session
from engram.commands.support.session import CommandSession
from engram.participant.finding import find_model

if TYPE_CHECKING:
    from engram.participant.wallet import Wallet

SECTIONS: Final = {
    "What to watch": ("models", "once"),
    "What to do": ("confirm", "engine"),
}


@click.command(
    "watch",
    cls=Command,
    lines=True,
    example="engram watch --key carol\n"
    "engram watch --models 3fa2 --confirm --engine auto --key carol\n"
    "engram watch --once --json --key carol",
    sections=SECTIONS,
)
@click.option(
    "--models",
    multiple=True,
    metavar="ID",
    shell_complete=complete_models,
    help="Watch this model only; may be repeated. Default: every model whose scores are claimed.",
)
@click.option(
    "--once", is_flag=True, help="Look at the claims that are open now, and stop. Default: until Ctrl-C."
)
@click.option(
    "--confirm",
    is_flag=True,
    help="Confirm claims that are true once their dispute window has passed, if their authors do not.",
)
@engine_option
@with_key
@with_session
def command(
    session: CommandSession, models: tuple[str, ...], once: bool, confirm: bool, engine: str | None
) -> None:
    """Compute what authors claim of their updates, and dispute what is false.

    On a model that was founded with `--verification disputed`, no node computes every score. This command
    does: it follows the chain, computes each claimed row as soon as it is claimed, and says whether the claim
    is true. If a row is false, it disputes the chunk that holds it. Every node then computes that chunk: the
    author loses the bond, and half of it is yours.

    A dispute costs a fee, which is printed before it is sent. Only if the claim is true after all do you lose
    a deposit besides.

    After a crash, or when the node was away, it goes on: what is still open is computed again. Without a
    watcher, a lie about a few rows probably stands.
    """
    evaluator = session.engine(engine)
    with session.printer() as printer:

        async def action(wallet: Wallet) -> tuple[int, int]:
            from engram.participant.watcher import Watcher

            chosen = [bytes.fromhex(await find_model(wallet.client, each)) for each in models]
            watcher = Watcher(
                wallet, printer.notice, models=chosen or None, confirms=confirm, engine=evaluator
            )
            await (watcher.look() if once else watcher.run())
            return watcher.checked_claims, watcher.false_claims

        checked, false = session.run_actor(action, printer.notice)
        printer.result(
            {"checked": checked, "false": false}, [("true claims", checked), ("false claims", false)]
        )
