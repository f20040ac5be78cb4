"""`engram round run`, `reveal`, `seal`, `unseal`: what the opener and the witnesses of a round do.

Both keep data secret at first and reveal them later. What the steps are stands in `participant/opener.py` and
`participant/witness.py`; authors play with `engram participate`.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.founding import sure_selection, yes_option
from engram.commands.support.lookup import round_argument
from engram.commands.support.options import Command, with_key, with_session
from engram.commands.support.progress import ProgressPrinter
from engram.commands.support.selecting import selection_of, with_selection
from engram.commands.support.session import CommandSession
from engram.commands.support.verdicts import verdict_fields, with_verdicts
from engram.node.rpc.outcomes import reasons
from engram.participant.coins import format_coins
from engram.participant.finding import find_own_round, names_witness

if TYPE_CHECKING:
    from engram.participant.wallet import Wallet
    from engram.primitives.types import Hash


@click.command(
    "run",
    cls=Command,
    lines=True,
    example="engram round run\nengram round run 77ab --key founder --json",
)
@round_argument
@with_key
@with_session
def run(session: CommandSession, round_: str | None) -> None:
    """Play the opener's side of a round to its end.

    The command reveals the validation parts, waits for the authors and the witnesses, opens the sealed parts
    and settles the round. It needs the key and the data directory with which `engram round open` was called.
    Without ROUND, the open round of this key is meant; if it has ended, the command says how.

    After a crash or Ctrl-C, give the same command again: it does only what is still missing.
    """
    with session.printer() as printer:

        async def action(wallet: Wallet) -> dict[str, Any]:
            from engram.participant.opener import Opener

            identity = await _opened(wallet, round_, ended=True)
            await Opener(wallet, session.rounds_folder, printer.notice).run(identity)
            ended: dict[str, Any] = await wallet.client.call("round_get", id=identity)
            return await with_verdicts(wallet.client, ended)

        result = session.run_actor(action, printer.notice)
    _conclude(printer, result)


@click.command(
    "reveal",
    cls=Command,
    lines=True,
    example="engram round reveal --key founder",
)
@round_argument
@with_key
@with_session
def reveal(session: CommandSession, round_: str | None) -> None:
    """Reveal, as the opener, what is due next, and nothing more.

    Before training these are the validation parts, later the sealed parts. The command waits for the phase in
    which they may be revealed. `engram round run` does both and settles the round.
    """
    with session.printer() as printer:

        async def action(wallet: Wallet) -> dict[str, Any]:
            from engram.participant.opener import Opener

            identity = await _opened(wallet, round_)
            opener = Opener(wallet, session.rounds_folder, printer.notice)
            await opener.reveal_next(identity)
            result: dict[str, Any] = await wallet.client.call("round_get", id=identity)
            return result

        result = session.run_actor(action, printer.notice)
    opened = {"validation": len(result["validation_opened"]), "unseen": len(result["unseen"])}
    facts = {"round": result["id"], **opened}
    printer.result(facts, facts.items())


@click.command(
    "seal",
    cls=Command,
    lines=True,
    example="engram round seal --data digits --share 4/4 --key carol",
)
@round_argument
@with_selection()
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    help="Fixes which rows are taken, for tests. If the data are public, who guesses it knows your rows, and "
    "the same number in a later round takes rows that are public by then. Default: a random number.",
)
@yes_option
@with_key
@with_session
def seal(session: CommandSession, round_: str | None, seed: int | None, yes: bool, **options: Any) -> None:
    """Seal a part of your own in a round that names you as a witness.

    The command takes as many rows as the round's parts have and sends a commitment to them, in the first
    phase of the round. Updates are later judged on your part, too, so the opener alone does not decide. You
    pay a bond, which you get back, with your fee, when you open the part.

    A part whose bytes are public already is refused: the chain would take it for broken, and you would lose
    the bond. The part is saved in the data directory before anything is sent; `engram round unseal` opens it.
    """
    data = sure_selection(session, selection_of(options), yes=yes, founds=False)
    drawn = secrets.randbelow(2**63) if seed is None else seed
    with session.printer() as printer:

        async def action(wallet: Wallet) -> dict[str, Any]:
            from engram.participant.view import ChainView
            from engram.participant.witness import Witness, sealed_part, sealed_path
            from engram.statemachine.rounds.records import Round

            identity = await _witnessed(wallet, round_)
            part = await sealed_part(wallet, data, identity, drawn)
            await Witness(wallet, session.rounds_folder, printer.notice).seal(identity, part)
            commitment = part.parts[0].commitment
            path = sealed_path(session.rounds_folder, commitment)
            sealed = (await ChainView(wallet.client).get(Round, identity)).witnesses
            bond = next(witness.bond for witness in sealed if witness.commitment == commitment)
            names = {"round": identity.hex(), "commitment": commitment.hex(), "secrets": str(path)}
            return {**names, "bond": bond}

        result = session.run_actor(action, printer.notice, holds=False)
    printer.result(result, {**result, "bond": format_coins(result["bond"])}.items())


@click.command(
    "unseal",
    cls=Command,
    lines=True,
    example="engram round unseal --key carol",
)
@round_argument
@with_key
@with_session
def unseal(session: CommandSession, round_: str | None) -> None:
    """Wait for the last update and open the part that you have sealed.

    It needs the key and the data directory with which `engram round seal` was called. After a crash or
    Ctrl-C, give the same command again. If no update became a candidate, there is nothing to open.
    """
    with session.printer() as printer:

        async def action(wallet: Wallet) -> dict[str, Any]:
            from engram.participant.witness import Witness

            identity = await _witnessed(wallet, round_, ended=True)
            await Witness(wallet, session.rounds_folder, printer.notice).testify(identity)
            result: dict[str, Any] = await wallet.client.call("round_get", id=identity)
            return result

        result = session.run_actor(action, printer.notice)
    facts = {"round": result["id"], "independent": result["independent"]}
    opened = "others than the opener have opened parts" if result["independent"] else "nobody but the opener"
    printer.result(facts, (("round", result["id"]), ("parts opened by", opened)))


async def _opened(wallet: Wallet, beginning: str | None, *, ended: bool = False) -> Hash:
    """The round whose id begins so. Without a beginning: the open one that the wallet's account has opened.

    With `ended`, the latest that has ended if none is open.

    Raises `NoOpenRound`, `IdNotFound`, `IdAmbiguous`.
    """
    address = await wallet.address()
    found = await find_own_round(
        wallet.client,
        beginning,
        lambda item: item["opener"] == address,
        f"that {address} has opened",
        ended=ended,
    )
    return bytes.fromhex(found)


async def _witnessed(wallet: Wallet, beginning: str | None, *, ended: bool = False) -> Hash:
    """As `_opened`, but of the rounds that name the wallet's account as a witness."""
    address = await wallet.address()
    found = await find_own_round(
        wallet.client,
        beginning,
        lambda item: names_witness(item, address),
        f"that names {address} as a witness",
        ended=ended,
    )
    return bytes.fromhex(found)


def _conclude(printer: ProgressPrinter, result: dict[str, Any]) -> None:
    """Prints how a round ended. Raises `RoundAborted` if the opener did not reveal what was owed."""
    from engram.participant.errors import RoundAborted
    from engram.statemachine.rounds.records import RoundStatus

    status = RoundStatus(result["status"])
    if status == RoundStatus.ABORTED:
        raise RoundAborted(f"the round is aborted: {reasons(result)[0]}", got=result["id"])
    facts = {
        "round": result["id"],
        "model": result["model"],
        "status": status.name.lower(),
        "version": result["new_version"] if status == RoundStatus.DECIDED else None,
        "winner": result["winner"],
    }
    shown = {name: value for name, value in facts.items() if value is not None}
    facts |= {"reasons": reasons(result), "verdicts": result["verdicts"]}
    printer.result(facts, [*shown.items(), *verdict_fields(result)])
