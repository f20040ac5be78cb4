"""`engram model fork`, `amend`, `retire`: whose a model is, who plays its rounds, what it may forget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from engram.commands.support.lookup import model_argument
from engram.commands.support.options import Command, with_key, with_session
from engram.commands.support.param_types import HASH, RealNumber
from engram.commands.support.sending import Fee, send_made, with_fee
from engram.commands.support.session import CommandSession
from engram.participant.finding import find_model

if TYPE_CHECKING:
    from engram.participant.wallet import Wallet
    from engram.primitives.types import Address
    from engram.statemachine.records import NamedWitness
    from engram.statemachine.transaction import TxPayload

F = TypeVar("F", bound=Callable[..., Any])


def with_roles(command: F) -> F:
    """Options that name members and standing witnesses."""
    for option in (
        click.option(
            "--old-witness",
            "old_witnesses",
            multiple=True,
            metavar="NAME|ADDRESS",
            help="A standing witness who has rows of old classes only; may be repeated.",
        ),
        click.option(
            "--witness",
            "witnesses",
            multiple=True,
            metavar="NAME|ADDRESS",
            help="A standing witness: no round takes place unless they seal a part; may be repeated.",
        ),
        click.option(
            "--member",
            "members",
            multiple=True,
            metavar="NAME|ADDRESS",
            help="Who may open rounds that grow the model, beside the founder; may be repeated.",
        ),
    ):
        command = option(command)
    return command


@click.command(
    "fork",
    cls=Command,
    example="engram model fork 3fa2 --key alice\n"
    "engram model fork 3fa2 --member bob --witness carol --key alice",
)
@model_argument
@with_roles
@with_fee
@with_key
@with_session
def fork(
    session: CommandSession,
    model: str | None,
    members: tuple[str, ...],
    witnesses: tuple[str, ...],
    old_witnesses: tuple[str, ...],
    fee: Fee,
    wait: bool,
) -> None:
    """Make a model of your own out of the current version of another.

    The fork inherits the network, whether it is frozen, its policy, and what it must not forget. You are its
    founder. The event of the transaction names the new model. The other model is not changed.
    """

    async def make(wallet: Wallet) -> TxPayload:
        from engram.statemachine.transactions.fork_model import ForkModel

        identity = await find_model(wallet.client, model)
        found = await wallet.client.call("model_get", id=identity)
        return ForkModel(
            bytes.fromhex(identity),
            found["head"],
            addresses(session, members),
            named(session, witnesses, old_witnesses),
        )

    send_made(session, make, fee=fee, wait=wait)


@click.command(
    "amend",
    cls=Command,
    example="engram model amend 3fa2 --member bob --member carol --key alice\n"
    "engram model amend --may-lose 0.3 --key alice\nengram model amend --no-witnesses --key alice",
)
@model_argument
@with_roles
@click.option("--no-members", is_flag=True, help="Name nobody: only the founder opens rounds.")
@click.option("--no-witnesses", is_flag=True, help="Name no standing witness.")
@click.option(
    "--may-lose",
    type=RealNumber(0, 1),
    metavar="SHARE",
    help="What all growths together may lose of old rows, such as 0.2. It can only be raised.",
)
@with_fee
@with_key
@with_session
def amend(
    session: CommandSession,
    model: str | None,
    members: tuple[str, ...],
    witnesses: tuple[str, ...],
    old_witnesses: tuple[str, ...],
    no_members: bool,
    no_witnesses: bool,
    may_lose: float | None,
    fee: Fee,
    wait: bool,
) -> None:
    """Name other members or standing witnesses of your model, or let growths lose more.

    Only the founder can do this, at any time; a round that is open goes on with the witnesses that it has.
    The members and witnesses that you name take the place of all who were named before; what you do not
    mention stays as it is.
    """
    if (no_members and members) or (no_witnesses and (witnesses or old_witnesses)):
        raise click.UsageError("name somebody or nobody, not both", click.get_current_context())

    async def make(wallet: Wallet) -> TxPayload:
        from engram.statemachine.rounds.judging import PPM
        from engram.statemachine.transactions.amend_model import AmendModel

        identity = await find_model(wallet.client, model)
        found = await wallet.client.call("model_get", id=identity)
        new_members = addresses(session, members or (() if no_members else found["members"]))
        if witnesses or old_witnesses or no_witnesses:
            new_witnesses = named(session, witnesses, old_witnesses)
        else:
            new_witnesses = _standing(session, found["witnesses"])
        cap = found["lost_cap_ppm"] if may_lose is None else round(may_lose * PPM)
        return AmendModel(bytes.fromhex(identity), new_members, new_witnesses, cap)

    send_made(session, make, fee=fee, wait=wait)


@click.command("retire", cls=Command, example="engram model retire 3fa2 --part 9c1b… --key alice")
@model_argument
@click.option("--part", type=HASH, required=True, help="Commitment (id) of a retention part of the model.")
@with_fee
@with_key
@with_session
def retire(session: CommandSession, model: str | None, part: bytes, fee: Fee, wait: bool) -> None:
    """Retire a retention part of your model, so that later growth may forget it.

    Only the founder can do this, and only while no round is open. That the part was retired stands on the
    chain for ever. `engram model show` lists the retention parts.
    """

    async def make(wallet: Wallet) -> TxPayload:
        from engram.statemachine.transactions.retire_part import RetirePart

        return RetirePart(bytes.fromhex(await find_model(wallet.client, model)), part)

    send_made(session, make, fee=fee, wait=wait)


def addresses(session: CommandSession, names: Sequence[str]) -> tuple[Address, ...]:
    """The addresses that keys or addresses on the command line mean."""
    from engram.primitives.keys import parse_address

    texts = [session.address(name) for name in names]
    return tuple(parse_address(text, text.partition("1")[0]) for text in texts)


def named(
    session: CommandSession, witnesses: Sequence[str], old_witnesses: Sequence[str]
) -> tuple[NamedWitness, ...]:
    """The witnesses that the options `--witness` and `--old-witness` mean, in this order."""
    from engram.statemachine.records import NamedWitness

    full = [NamedWitness(address, old_only=False) for address in addresses(session, witnesses)]
    return (*full, *(NamedWitness(address, old_only=True) for address in addresses(session, old_witnesses)))


def _standing(session: CommandSession, found: Sequence[Mapping[str, Any]]) -> tuple[NamedWitness, ...]:
    """The standing witnesses as a node describes them."""
    from engram.statemachine.records import NamedWitness

    names = addresses(session, [witness["address"] for witness in found])
    return tuple(
        NamedWitness(address, old_only=witness["old_only"])
        for address, witness in zip(names, found, strict=True)
    )
