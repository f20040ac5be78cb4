"""`engram round open`: founds a model by its first round, or opens a round on a model that exists."""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support.completion import complete_keys
from engram.commands.support.lookup import find_model, model_argument
from engram.commands.support.options import Command, refuse_given, with_key, with_session
from engram.commands.support.param_types import WIDTHS, WINDOW_LENGTHS, FractionType
from engram.commands.support.round_fields import calendar_fields, kind_name
from engram.commands.support.selecting import selection_of, with_selection
from engram.commands.support.session import CommandSession
from engram.commands.support.units import COINS, format_coins

if TYPE_CHECKING:
    from engram.participant.round_plan import ModelPlan, RoundPlan
    from engram.participant.wallet import Wallet

LOSSES: Final = ("softmax_cross_entropy", "squared_error", "zero_one")
POLICIES: Final = ("strict", "gated")
OPENERS: Final = ("founder", "anyone")
"""Names of `LossKind`, `Policy` and `Openers`: written out, so that help needs no numpy."""
ACTIVATIONS: Final = ("relu", "square")
FOUNDING: Final = (
    *("classes", "hidden", "activation", "weight_bits", "loss"),
    *("threshold", "policy", "openers", "epsilon", "delta"),
)
"""Options that are fixed for a model that exists."""
GROWTH: Final = ("new_classes", "neurons")


@click.command(
    "open",
    cls=Command,
    example="engram round open --data digits --take-classes 0-5 --hidden 32 --bounty 50\n"
    "engram round open 3fa2 --data digits --new-classes 4 --neurons 32\n"
    "engram round open --data mine.csv --share 1/4 --auditor leng1… --windows commit=40,gap=2",
)
@model_argument
@with_selection()
@click.option(
    "--parts", type=click.IntRange(2, 256), default=4, show_default=True, help="Parts to commit to."
)
@click.option("--rows", type=click.IntRange(1), help="Rows of a part; default: all there are, at most 1,000.")
@click.option(
    "--validation",
    type=click.IntRange(1, 255),
    default=2,
    show_default=True,
    help="Parts that are drawn to be revealed first.",
)
@click.option(
    "--sealed",
    type=click.IntRange(1, 255),
    default=2,
    show_default=True,
    help="Parts that are drawn to open last.",
)
@click.option(
    "--epochs", type=click.IntRange(1, 32), default=2, show_default=True, help="Turns for authors to train."
)
@click.option(
    "--windows",
    type=WINDOW_LENGTHS,
    metavar="LENGTHS",
    default={},
    help="Blocks of the phases, as commit=20,gap=2, or one number for all but the gap; default: a minute "
    "each, three to commit in.",
)
@click.option("--bond", "opener_bond", type=COINS, metavar="COINS", help="Yours; default: the least.")
@click.option("--author-bond", type=COINS, metavar="COINS", help="An author's; default: the least.")
@click.option(
    "--bounty", type=COINS, metavar="COINS", default=0, help="For those who remove loss; default: none."
)
@click.option(
    "--auditor",
    "auditors",
    multiple=True,
    metavar="ACCOUNT",
    shell_complete=complete_keys,
    help="An address, or a key's name, that may seal a part of its own; may be repeated.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    help="Fixes the split and the first weights. Keep it secret where the data are public. Default: drawn.",
)
@click.option("--new-classes", type=click.IntRange(0, 1024), default=0, help="Growth: classes to add.")
@click.option(
    "--neurons",
    type=click.IntRange(0, 65_536),
    default=32,
    show_default=True,
    help="Growth: most new neurons of an update.",
)
@click.option("--classes", type=click.IntRange(1, 1024), help="Founding: default: as many as the data have.")
@click.option(
    "--hidden", type=WIDTHS, metavar="WIDTHS", default=(32,), help="Founding: hidden layers; default: 32."
)
@click.option(
    "--activation",
    type=click.Choice(ACTIVATIONS),
    default="relu",
    show_default=True,
    help="Founding: of neurons.",
)
@click.option(
    "--weight-bits",
    type=click.Choice(("8", "16")),
    default="8",
    show_default=True,
    help="Founding: integers.",
)
@click.option(
    "--loss",
    type=click.Choice(LOSSES),
    default="softmax_cross_entropy",
    show_default=True,
    help="Founding: what is to be made small.",
)
@click.option(
    "--threshold",
    type=FractionType(1),
    metavar="NUMBER",
    default="0.2",
    show_default=True,
    help="Founding: neurons freeze at this share of ln(classes) nats a row.",
)
@click.option(
    "--policy",
    type=click.Choice(POLICIES),
    default="strict",
    show_default=True,
    help="Founding: whether growth may feed old classes.",
)
@click.option(
    "--openers",
    type=click.Choice(OPENERS),
    default="founder",
    show_default=True,
    help="Founding: who opens later rounds.",
)
@click.option(
    "--epsilon",
    type=FractionType(1),
    metavar="NUMBER",
    default="0.02",
    show_default=True,
    help="Founding: share of a retained part's rows that growth may forget, rounded down to whole rows: of "
    "fewer than 1/NUMBER rows, none.",
)
@click.option(
    "--delta",
    type=FractionType(10),
    metavar="NUMBER",
    default="0.25",
    show_default=True,
    help="Founding: share by which growth may raise a retained part's loss.",
)
@with_key
@with_session
def open_round(session: CommandSession, model: str | None, auditors: tuple[str, ...], **options: Any) -> None:
    """Open a round from data: on MODEL, or founding a new one.

    A round on a model whose neurons are frozen grows it, any other trains it further. Salts, nonce and parts
    are saved in the data directory first; `engram round run` reveals them.
    """
    from engram.primitives.keys import parse_address

    if model is not None:
        refuse_given(FOUNDING, "is fixed for a model that exists: leave it out")
    elif options["classes"] != 1:
        refuse_given(GROWTH, "is for growth, and a new model of several classes is trained first")
    founding = _model_plan(options)
    addresses = tuple(parse_address(session.address(name), session.hrp) for name in auditors)
    plan = _round_plan(options, addresses)

    async def action(wallet: Wallet) -> dict[str, Any]:
        from engram.participant.opener import Opener, secrets_path
        from engram.participant.round_plan import draft_founding, draft_round

        if model is None:
            opening = await draft_founding(wallet, plan, founding)
        else:
            opening = await draft_round(wallet, plan, bytes.fromhex(await find_model(wallet.client, model)))
        folder = session.rounds_folder
        round_id = await Opener(wallet, folder, session.note).open(opening.payload, opening.secrets)
        found = await wallet.client.call("round_get", id=round_id)
        path = secrets_path(folder, opening.payload.terms.nonce_hash)
        opened = {**found, "round": round_id.hex(), "secrets": str(path)}
        if model is not None:
            return opened
        forgettable = founding.forgettable_rows(opening.payload.terms.rows)
        return {**opened, "forgettable_rows": forgettable}

    result = session.run_wallet(action)
    terms = result["terms"]
    if result.get("forgettable_rows") == 0:
        session.note(
            f"warning: growth of this model may forget no row of a part of {terms['rows']} rows, for good; "
            f"--epsilon {math.ceil(100 / terms['rows']) / 100:g} or more would allow one"
        )
    fields = {
        "round": result["round"],
        "model": result["model"],
        "kind": kind_name(terms["kind"]),
        "parts": f"{len(terms['commitments'])} of {terms['rows']} rows",
        "bond": format_coins(terms["opener_bond"]),
        "author bond": format_coins(terms["author_bond"]),
        "bounty": format_coins(terms["bounty"]),
        **({"may forget": f"{result['forgettable_rows']} rows of a part"} if model is None else {}),
        "calendar": calendar_fields(result["calendar"]),
        "secrets": result["secrets"],
    }
    session.show(result, fields.items())


def _model_plan(options: dict[str, Any]) -> ModelPlan:
    """The founding's options, taken out of all."""
    from engram.nn.growth import Policy
    from engram.nn.loss import LossKind
    from engram.participant.round_plan import ModelPlan
    from engram.statemachine.records import Openers

    return ModelPlan(
        loss_kind=LossKind[options.pop("loss").upper()],
        policy=Policy[options.pop("policy").upper()],
        openers=Openers[options.pop("openers").upper()],
        threshold_ppm=options.pop("threshold"),
        retention_epsilon_ppm=options.pop("epsilon"),
        retention_delta_ppm=options.pop("delta"),
        classes=options.pop("classes"),
        hidden=options.pop("hidden"),
        activation=options.pop("activation"),
        weight_bits=int(options.pop("weight_bits")),
    )


def _round_plan(options: dict[str, Any], auditors: tuple[bytes, ...]) -> RoundPlan:
    """The other options."""
    from engram.participant.round_plan import RoundPlan

    data, seed = selection_of(options), options.pop("seed")
    return RoundPlan(
        data=data,
        auditors=auditors,
        seed=secrets.randbelow(2**63) if seed is None else seed,
        **options,
    )
