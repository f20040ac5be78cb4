"""`engram round open`: founds a new model with its first round, or opens a round on a model that exists.

`support/plans.py` turns the options into plans, and `participant/round_plan.py` makes the transaction from
them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support.completion import complete_keys
from engram.commands.support.founding import yes_option
from engram.commands.support.lookup import model_argument
from engram.commands.support.odds import founding_words, memory_odds, plain_odds
from engram.commands.support.options import Command, is_given, refuse_given, with_key, with_session
from engram.commands.support.param_types import LIMITS_OF_GROWTH, WIDTHS, WINDOW_LENGTHS, FractionType
from engram.commands.support.plans import (
    ADVISED,
    LEARNED,
    memory_plan,
    model_plan,
    round_plan,
    unseen_rows,
)
from engram.commands.support.round_fields import CALENDAR, calendar_fields, kind_name
from engram.commands.support.selecting import SELECTION, memory_option, with_selection
from engram.commands.support.session import CommandSession
from engram.commands.support.units import COINS
from engram.participant.coins import format_coins
from engram.participant.finding import find_model

if TYPE_CHECKING:
    from engram.participant.memory.opening import Odds
    from engram.participant.wallet import Wallet

LOSSES: Final = ("softmax_cross_entropy", "squared_error", "zero_one")
POLICIES: Final = ("strict", "gated", "relative")
"""Names of `LossKind` and `Policy`: written out, so that help needs no numpy."""
ACTIVATIONS: Final = ("relu", "square")
FOUNDING: Final = (
    *(*LEARNED, *ADVISED, "growth_limits"),
    *("members", "standing_witnesses", "standing_old_witnesses"),
)
"""Options about a new model; they are refused for a model that exists, because founding has fixed them."""
GROWTH: Final = ("new_classes", "neurons", "old_rows")
"""Options about a growth; they are refused where the first round of a new model trains it."""
SECTIONS: Final = {
    "Data": (*SELECTION, "memory", "seed", "yes"),
    "Parts and phases": ("parts", "rows", "validation", "sealed", "epochs", "windows", "z_squared"),
    "Witnesses": ("witnesses", "old_witnesses", "witness_fee"),
    "Money": ("bounty", "opener_bond", "author_bond"),
    "Growth: with MODEL, once it is frozen": GROWTH,
    "Founding: without MODEL, fixed for good": FOUNDING,
    "Waiting": ("programs",),
}


@click.command(
    "open",
    cls=Command,
    example="engram round open --data digits --take-classes 0-5 --hidden 32 --bounty 50\n"
    "engram round open 3fa2 --data digits --new-classes 4 --neurons 32\n"
    "engram round open --memory mind --data digits --share 2/4 --take-classes 0-2\n"
    "engram round open --data mine.csv --share 1/4 --witness carol --windows commit=40,gap=2",
    sections=SECTIONS,
)
@model_argument
@with_selection()
@memory_option(
    "Founding: the model that `engram memory found` has learned, with limits that let honest growths pass. "
    "Growth: so many neurons as the memory's growths bring."
)
@click.option(
    "--parts",
    type=click.IntRange(2, 256),
    help="How many parts to split the rows into and commit to. Default: the fewest that the chain allows; so "
    "for --validation and --sealed.",
)
@click.option(
    "--rows",
    type=click.IntRange(1),
    help="Rows in each part. Default: an equal share of all rows, at most 1,000.",
)
@click.option(
    "--validation",
    type=click.IntRange(1, 255),
    help="How many parts the chain draws to be revealed before training.",
)
@click.option(
    "--sealed",
    type=click.IntRange(1, 255),
    help="How many parts the chain draws to stay sealed until all updates are revealed.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1, 32),
    default=2,
    show_default=True,
    help="How many times authors can train and commit.",
)
@click.option(
    "--windows",
    type=WINDOW_LENGTHS,
    metavar="LENGTHS",
    default={},
    help="Lengths of the phases in ticks (blocks that are not crowded): some of them, such as "
    "commit=20,gap=2, or one number for all phases but the gap. Default: about a minute each, three for "
    "commit, and the shortest gap.",
)
@click.option(
    "--bond",
    "opener_bond",
    type=COINS,
    metavar="COINS",
    help="Your bond, which you lose with the bounty if you do not reveal. Default: the least allowed.",
)
@click.option(
    "--author-bond",
    type=COINS,
    metavar="COINS",
    help="The bond that each author puts at stake with an update. Default: the least allowed.",
)
@click.option(
    "--bounty",
    type=COINS,
    metavar="COINS",
    default=0,
    help="Coins for the authors whose updates lower the loss. Default: none.",
)
@click.option(
    "--witness",
    "witnesses",
    multiple=True,
    metavar="ACCOUNT",
    shell_complete=complete_keys,
    help="Who may seal a part of their own as a witness: an address or a key's name; may be repeated.",
)
@click.option(
    "--old-witness",
    "old_witnesses",
    multiple=True,
    metavar="ACCOUNT",
    shell_complete=complete_keys,
    help="As --witness, for a part that holds rows of old classes only.",
)
@click.option(
    "--witness-fee",
    type=COINS,
    metavar="COINS",
    default=0,
    help="What each witness gets out of the bounty for opening the part. Default: nothing.",
)
@click.option(
    "--z-squared",
    type=click.IntRange(1, 65_535),
    help="How clear a gain must be: so many times the square of its scatter. Default: the least allowed.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    help="Fixes how rows are split into parts, and a new model's first weights. If the data are public, keep "
    "it secret: it tells which rows are sealed. The same number again makes the same parts, which are "
    "refused once they are public. Default: a random number.",
)
@click.option("--new-classes", type=click.IntRange(0, 1024), default=0, help="How many classes to add.")
@click.option(
    "--old-rows",
    type=click.IntRange(0),
    help="How many rows of old classes each sealed part has at least. Default: so many that yours "
    "alone are enough for the chain.",
)
@click.option(
    "--neurons",
    type=click.IntRange(0, 65_536),
    default=32,
    show_default=True,
    help="Most neurons that an update may add.",
)
@click.option(
    "--classes",
    type=click.IntRange(1, 1024),
    help="Number of classes. Default: the highest label + 1.",
)
@click.option(
    "--hidden",
    type=WIDTHS,
    metavar="WIDTHS",
    default=(32,),
    help="Neurons of each hidden layer, such as 64,32, or none. Default: 32.",
)
@click.option(
    "--activation",
    type=click.Choice(ACTIVATIONS),
    default="relu",
    show_default=True,
    help="Activation function of the hidden neurons.",
)
@click.option(
    "--weight-bits",
    type=click.Choice(("8", "16")),
    default="8",
    show_default=True,
    help="Size of a weight, an integer of so many bits.",
)
@click.option(
    "--loss",
    type=click.Choice(LOSSES),
    default="softmax_cross_entropy",
    show_default=True,
    help="The loss that updates have to lower.",
)
@click.option(
    "--threshold",
    type=FractionType(1),
    metavar="NUMBER",
    default="0.2",
    show_default=True,
    help="The neurons freeze once the sealed loss is at most NUMBER * ln(classes) nats a row.",
)
@click.option(
    "--policy",
    type=click.Choice(POLICIES),
    default="strict",
    show_default=True,
    help="What growth by new classes may do to old logits. strict: nothing; gated: whatever loses "
    "little on old rows; relative: add one number a row to all of them.",
)
@click.option(
    "--member",
    "members",
    multiple=True,
    metavar="ACCOUNT",
    shell_complete=complete_keys,
    help="Who may open rounds that grow the model, beside you; may be repeated.",
)
@click.option(
    "--standing-witness",
    "standing_witnesses",
    multiple=True,
    metavar="ACCOUNT",
    shell_complete=complete_keys,
    help="A witness without whose sealed part no round takes place; may be repeated.",
)
@click.option(
    "--standing-old-witness",
    "standing_old_witnesses",
    multiple=True,
    metavar="ACCOUNT",
    shell_complete=complete_keys,
    help="As --standing-witness, for parts of old classes only.",
)
@click.option(
    "--epsilon",
    type=FractionType(1),
    metavar="NUMBER",
    help="Share of the old rows that one growth may lose, rounded down to whole rows. Default: the "
    "least, from 0.02 up, with which honest growths pass in rounds as large as this one; it is printed.",
)
@click.option(
    "--delta",
    type=FractionType(10),
    metavar="NUMBER",
    default="0.25",
    show_default=True,
    help="Share by which a growth may raise the loss on old rows. It counts from the loss of the "
    "version before, or from the freezing threshold if that is higher.",
)
@click.option(
    "--lost-cap",
    type=FractionType(1),
    metavar="NUMBER",
    default="0.2",
    show_default=True,
    help="Share of old rows that all growths together may lose before you raise it, in public.",
)
@click.option(
    "--growth-limits",
    type=LIMITS_OF_GROWTH,
    metavar="LIMIT=NUMBER,...",
    default={},
    help="The most that one growth may append, so that no member can fill the model up. Limits: "
    "segments (32), neurons (1024), components (256), classes (64), macs-per-row (2000000).",
)
@click.option(
    "--wait-for",
    "programs",
    type=click.IntRange(1),
    metavar="PROGRAMS",
    help="On a test network (`engram run --dev`, `engram localnet`): after this, make only blocks with "
    "transactions until so many programs play the round at once: `round run`, `round unseal` and each "
    "`participate` count as one. Without it, phases may pass before all of them have started.",
)
@yes_option
@with_key
@with_session
def open_round(
    session: CommandSession,
    model: str | None,
    programs: int | None,
    memory: Path | None,
    yes: bool,
    **options: Any,
) -> None:
    """Open a round with your own data, on MODEL or on a new model.

    Without MODEL the round founds a new model, and the options under "Founding" fix its rules for good. With
    MODEL, the round grows the model if its neurons are frozen, and trains it further if they are not.

    The command splits the rows into parts and sends only commitments to them. The parts and their secrets are
    saved in the data directory before anything is sent; `engram round run` reveals them later. Without that
    file nobody can reveal, and you lose bond and bounty. A part whose bytes are public already is refused,
    since the chain would take it for broken.

    With --memory, the model is the one that `engram memory found` has learned, on rows other than these. Its
    outputs begin blank: `engram participate --memory` brings what was learned, as another account or as your
    own, and the round proves it. Policy, epsilon, delta, threshold and lost cap follow from the simulated
    growths, unless you give them.
    """
    if model is not None:
        refuse_given(FOUNDING, "cannot be chosen for a model that exists: leave it out")
    elif options["classes"] != 1 or memory is not None:
        refuse_given(GROWTH, "is for growth, and the first round of a model with several classes trains it")
    if memory is not None:
        refuse_given(LEARNED, "is fixed by the memory: leave it out")
    from_memory, classes = memory is not None and model is None, options["classes"]
    known = memory_plan(session, options) if from_memory else None
    founding = None if from_memory else model_plan(session, options)
    if memory is not None and model is not None and not is_given("neurons"):
        options["neurons"] = _neurons(memory, options["new_classes"])
    plan = round_plan(session, options, yes=yes, founds=model is None, classes=classes)

    async def action(wallet: Wallet) -> tuple[dict[str, Any], Odds | None]:
        from engram.participant.memory.folder import MemoryFolder
        from engram.participant.memory.opening import draft_memory
        from engram.participant.mustering import mustered
        from engram.participant.opener import Opener, secrets_path
        from engram.participant.round_plan import draft_founding, draft_round
        from engram.participant.view import ChainView
        from engram.statemachine.rounds.terms import entry_of, witness_bond

        odds = None
        if model is not None:
            opening = await draft_round(wallet, plan, bytes.fromhex(await find_model(wallet.client, model)))
        elif known is not None and memory is not None:
            opening, odds = await draft_memory(wallet, plan, known, MemoryFolder(memory))
        else:
            assert founding is not None, "a round is opened on a model, from a memory, or with a new model"
            opening = await draft_founding(wallet, plan, founding)
        folder = session.rounds_folder
        opener = Opener(wallet, folder, session.note)
        async with mustered(wallet.client, programs):
            round_id = await opener.open(opening.payload, opening.secrets)
        found = await wallet.client.call("round_get", id=round_id)
        path = secrets_path(folder, opening.payload.terms.nonce_hash)
        terms, rules = opening.payload.terms, (await ChainView(wallet.client).spec()).rules
        prices = {"witness_bond": witness_bond(rules, terms), "entry": entry_of(rules, terms, 0)}
        opened = {**found, "round": round_id.hex(), "secrets": str(path), **prices}
        if model is not None:
            return opened, None
        assert opening.payload.founding is not None, "a round without a model founds one"
        founded = opening.payload.founding
        rows = unseen_rows(terms, len(founded.witnesses))
        opened |= plain_odds(rows, founded.retention_epsilon_ppm, computed=not is_given("epsilon"))
        return opened if odds is None else {**opened, "odds": memory_odds(odds)}, odds

    result, odds = session.run_wallet(action)
    terms = result["terms"]
    words, warnings = ({}, []) if model is not None else founding_words(result, odds)
    for warning in warnings:
        session.note(warning)
    fields = {
        "round": result["round"],
        "model": result["model"],
        "kind": kind_name(terms["kind"]),
        "parts": f"{len(terms['commitments'])} of {terms['rows']} rows",
        "bond": format_coins(terms["opener_bond"]),
        "author bond": f"{format_coins(terms['author_bond'])}, and {format_coins(result['entry'])} burned",
        "witness bond": format_coins(result["witness_bond"]),
        "bounty": format_coins(terms["bounty"]),
        "witness fee": format_coins(terms["witness_fee"]),
        **words,
        CALENDAR: calendar_fields(result["calendar"]),
        "secrets": result["secrets"],
    }
    session.show(result, fields.items())


def _neurons(memory: Path, new_classes: int) -> int:
    """The most neurons that a growth of this memory brings."""
    from engram.participant.memory.costs import growth_neurons
    from engram.participant.memory.folder import MemoryFolder

    return growth_neurons(MemoryFolder(memory).memory, new_classes)
