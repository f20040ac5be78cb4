"""`engram round open`: founds a new model with its first round, or opens a round on a model that exists.

`support/plans.py` turns the options into plans, and `participant/round_plan.py` makes the transaction from
them.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support.completion import complete_keys
from engram.commands.support.founding import yes_option
from engram.commands.support.lookup import model_argument
from engram.commands.support.model_options import refuse_unused, with_model_options
from engram.commands.support.odds import (
    founding_words,
    growth_odds,
    growth_words,
    memory_odds,
    parts_words,
    plain_odds,
    proof_odds,
    proof_warning,
    unseen_rows,
)
from engram.commands.support.options import Command, is_given, refuse_given, with_key, with_session
from engram.commands.support.param_types import WINDOW_LENGTHS
from engram.commands.support.plans import (
    ADVISED,
    LEARNED,
    VERIFICATION,
    memory_plan,
    model_plan,
    round_plan,
)
from engram.commands.support.round_fields import CALENDAR, calendar_fields, kind_name
from engram.commands.support.selecting import SELECTION, memory_option, with_selection
from engram.commands.support.session import CommandSession
from engram.commands.support.units import COINS
from engram.library.claim_words import ASSUMED, claim_words
from engram.participant.coins import format_coins
from engram.participant.finding import SHOWN_DIGITS, find_model, is_alive

if TYPE_CHECKING:
    from engram.participant.memory.opening import Odds
    from engram.participant.wallet import Wallet

FOUNDING: Final = (
    *(*LEARNED, *ADVISED, "growth_limits"),
    *("members", "standing_witnesses", "standing_old_witnesses"),
    *VERIFICATION,
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
    help="How many parts to split the rows into and commit to. Default: the fewest that the chain allows, 6 "
    "on most chains, 16 on main and test; so for --validation (1, 4) and --sealed (2, 4).",
)
@click.option(
    "--rows",
    type=click.IntRange(1),
    help="Rows in each part. Default: an equal share of all rows, at most 1,000. Those of the sealed parts "
    "decide: with fewer than about 75, or 120 to be sure, a good update may not prove its gain.",
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
@with_model_options
@click.option(
    "--wait-for",
    "programs",
    type=click.IntRange(1),
    metavar="PROGRAMS",
    help="On a test network (`engram run --dev`, `engram localnet`): after this, make only blocks with "
    "transactions until so many programs play the round at once: `round run`, `round unseal` and each "
    "`participate` count as one. If one of them is interrupted, the blocks wait until its command is given "
    "again, or until `engram miner muster 0`. Without --wait-for, phases may pass meanwhile, and before all "
    "have started.",
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
    refuse_unused(options["verification"])
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
        from engram.statemachine.records import Model
        from engram.statemachine.rounds.records import RoundKind
        from engram.statemachine.rounds.terms import entry_of, witness_bond

        odds = None
        if model is None:
            address = await wallet.address()
            for item in await wallet.client.call("round_list"):
                if item["opener"] == address and is_alive(item):
                    running, of = item["id"][:SHOWN_DIGITS], item["model"][:SHOWN_DIGITS]
                    session.note(f"note: your round {running} of model {of} runs; this founds another model")
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
        opened = {**found, "round": round_id.hex(), "secrets": str(path), **prices, **proof_odds(terms)}
        if model is not None:
            record = await ChainView(wallet.client).get(Model, opening.payload.model)
            growth = growth_odds(opening.secrets, terms, record) if terms.kind == RoundKind.GROW else {}
            return {**opened, **growth}, None
        assert opening.payload.founding is not None, "a round without a model founds one"
        founded = opening.payload.founding
        rows = unseen_rows(terms, len(founded.witnesses))
        opened |= plain_odds(rows, founded.retention_epsilon_ppm, computed=not is_given("epsilon"))
        opened["claims"] = None if founded.claims is None else asdict(founded.claims)
        return opened if odds is None else {**opened, "odds": memory_odds(odds)}, odds

    result, odds = session.run_wallet(action)
    terms = result["terms"]
    words, warnings = founding_words(result, odds) if model is None else growth_words(result)
    if (few := proof_warning(result)) is not None:
        warnings = [few, *warnings]
    if claims := result.get("claims"):
        words["verification"] = claim_words(claims)
        warnings = [*warnings, f"note: {ASSUMED}"]
    for warning in warnings:
        session.note(warning)
    witnessed = bool(terms["witnesses"] or result["standing"])
    prices = {name: format_coins(value) for name, value in _witness_prices(result).items() if witnessed}
    fields = {
        "round": result["round"],
        "model": result["model"],
        "kind": kind_name(terms["kind"]),
        "parts": parts_words(terms, witnessed=witnessed),
        "bond": format_coins(terms["opener_bond"]),
        "author bond": f"{format_coins(terms['author_bond'])}, and {format_coins(result['entry'])} burned",
        "bounty": format_coins(terms["bounty"]),
        **prices,
        **words,
        CALENDAR: calendar_fields(result["calendar"]),
        "secrets": result["secrets"],
    }
    session.show(result, fields.items())


def _witness_prices(opened: dict[str, Any]) -> dict[str, int]:
    """What a witness puts at stake and gets, in sparks."""
    return {"witness bond": opened["witness_bond"], "witness fee": opened["terms"]["witness_fee"]}


def _neurons(memory: Path, new_classes: int) -> int:
    """The most neurons that a growth of this memory brings."""
    from engram.participant.memory.costs import growth_neurons
    from engram.participant.memory.folder import MemoryFolder

    return growth_neurons(MemoryFolder(memory).memory, new_classes)
