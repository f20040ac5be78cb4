"""`engram participate`: plays rounds as an author.

This file turns options into a strategy and an `Agent` and prints what the agent reports. How an author plays
a round stands in `participant/author.py`, what it proposes in `participant/strategies.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support.completion import complete_files, complete_models
from engram.commands.support.engines import engine_option
from engram.commands.support.founding import selected_rows
from engram.commands.support.lookup import round_argument
from engram.commands.support.options import Command, refuse_given, with_key, with_session
from engram.commands.support.param_types import RealNumber
from engram.commands.support.progress import ProgressPrinter
from engram.commands.support.selecting import SELECTION, memory_option, selection_of, with_selection
from engram.commands.support.session import CommandSession
from engram.commands.support.units import COINS
from engram.commands.support.verdicts import verdict_fields, with_verdicts
from engram.node.epochs import told_epoch
from engram.node.rpc.outcomes import outcomes, reasons
from engram.participant.coins import format_coins
from engram.participant.finding import find_model, find_round

if TYPE_CHECKING:
    from engram.participant.agent import Agent, AgentResult
    from engram.participant.datasets import Dataset
    from engram.participant.notices import Report
    from engram.participant.strategies import Plan
    from engram.participant.task import Strategy
    from engram.participant.wallet import Wallet
    from engram.primitives.types import Hash


TRAINING: Final = (
    *("label", "mapping", "share", "take_classes", "relabel", "first_class", "rows", "steps", "patience"),
    *("batch", "learning_rate", "neurons", "seed", "trainer", "device"),
)
"""Options about training; they are refused with --adopt, because an adopted network is not trained."""
SECTIONS: Final = {
    "Rounds": ("model", "follow", "epochs"),
    "Data": (*SELECTION, "rows"),
    "Memory": ("memory", "statistics"),
    "Training": ("steps", "patience", "batch", "learning_rate", "neurons", "seed", "trainer", "device"),
    "Growth without training": ("adopt", "joint"),
    "Evaluation": ("engine",),
    "Money": ("max_bond", "max_fee"),
}
GRADIENTS: Final = ("steps", "patience", "batch", "learning_rate", "neurons", "trainer", "device")
"""Options about training by gradients; they are refused with --memory."""


@click.command(
    "participate",
    cls=Command,
    lines=True,
    example="engram participate --data digits --share 2/4 --key alice\n"
    "engram participate --model 3fa2 --follow --data mine.npz --max-bond 5 --max-fee 1\n"
    "engram participate --memory mind --data mine.csv --statistics theirs.sums --key alice\n"
    "engram participate --adopt donor.npz --key bob",
    sections=SECTIONS,
)
@round_argument
@click.option(
    "--model", metavar="ID", shell_complete=complete_models, help="Play the open round of this model."
)
@click.option(
    "--follow", is_flag=True, help="Play one round after another and wait for new ones, until Ctrl-C."
)
@with_selection(required=False)
@memory_option(
    "Play with a memory folder. In the round that founds its model, bring what `engram memory found` has "
    "learned; in a growth, teach the new classes of --data with the folder's sums or mixtures of the others."
)
@click.option(
    "--statistics",
    "statistics",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="With --memory: a file of sums or mixtures that was handed over; may be repeated.",
)
@click.option("--rows", type=click.IntRange(1), help="How many rows to train on. Default: all.")
@click.option(
    "--steps", type=click.IntRange(1), default=1_000, show_default=True, help="Training steps in each epoch."
)
@click.option(
    "--patience",
    type=click.IntRange(1, 100),
    help="Set every tenth row of each class aside, look at their loss a hundred times in the steps, and end "
    "once so many looks in a row have found none that is lower. The best state is what you claim. Default: "
    "learn from all rows, in all steps.",
)
@click.option(
    "--batch", type=click.IntRange(1, 65_536), default=64, show_default=True, help="Rows in each step."
)
@click.option(
    "--learning-rate",
    type=RealNumber(0, 100, min_open=True),
    default=1.0,
    show_default=True,
    help="How far a weight may move in one training step at first, in integer steps; it falls from there.",
)
@click.option(
    "--neurons",
    type=click.IntRange(0, 65_536),
    help="Growth: how many neurons to add. Default: as many as the round allows.",
)
@click.option(
    "--adopt",
    metavar="FILE|MODEL",
    shell_complete=complete_files,
    help="Growth: add this trained network unchanged, without training. FILE is an .npz from `engram model "
    "pull`, MODEL the beginning of another model's id.",
)
@click.option(
    "--joint",
    is_flag=True,
    help="Growth: in the second epoch, unite your growth with the best one of the others. What the union "
    "earns is divided by what each of the two removed alone.",
)
@click.option(
    "--max-bond",
    type=COINS,
    metavar="COINS",
    help="Most coins to have at stake as bonds in one round. Default: no limit.",
)
@click.option(
    "--max-fee",
    type=COINS,
    metavar="COINS",
    help="Most coins to pay in one round for fees and entries. What a transaction may cost at most counts "
    "until it is in a block. Default: no limit.",
)
@click.option("--epochs", type=click.IntRange(1), help="How many epochs of each round to play. Default: all.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Fixes the choice of rows and all randomness of the training.",
)
@click.option(
    "--trainer",
    type=click.Choice(["numpy", "torch"]),
    default="numpy",
    show_default=True,
    help='What trains. torch is PyTorch, which `pip install "engram[torch]"` brings.',
)
@click.option(
    "--device",
    metavar="NAME",
    help="With --trainer torch: where to train, such as cpu, cuda or cuda:1. Default: a graphics card, if "
    "there is one.",
)
@engine_option
@with_key
@with_session
def command(
    session: CommandSession,
    round_: str | None,
    model: str | None,
    follow: bool,
    rows: int | None,
    memory: Path | None,
    statistics: tuple[Path, ...],
    adopt: str | None,
    joint: bool,
    neurons: int | None,
    max_bond: int | None,
    max_fee: int | None,
    epochs: int | None,
    seed: int,
    steps: int,
    patience: int | None,
    batch: int,
    learning_rate: float,
    trainer: str,
    device: str | None,
    engine: str | None,
    **options: Any,
) -> None:
    """Play rounds as an author: train, commit, reveal, have the update scored, withdraw.

    Give your own data with --data, or a trained network with --adopt. In each epoch of the round the command
    trains an update, commits to it and reveals it. At the end it has its updates scored on the rows that
    were sealed, and takes its bonds back. ROUND is the beginning of a round's id; without it, the
    command plays the round in which this account has updates, else the only one that takes updates.

    With --memory, a growth is solved from your rows of the new classes, and from sums or mixtures of the old
    ones, which the folder holds and --statistics adds. Nobody's rows of old classes are needed. The growth
    names what it was made from.

    With --engine auto, losses are computed by numpy, or where PyTorch trains by the fastest exact engine.

    Before training, the command recomputes the loss of the version that it builds on, and stops if the loss
    differs from the one on record.

    What a reveal needs is saved in the data directory before the commit is sent. After a crash or Ctrl-C,
    give the same command again in time: if it does not reveal, the bond is lost.

    With --trainer torch, several processes may train together: start this command with PyTorch's `torchrun
    --no-python`. Process 0 plays the rounds, the others compute their share of every batch.
    """
    from engram.participant.agent import Agent
    from engram.participant.errors import RoundMissed
    from engram.participant.pricing import Limits
    from engram.participant.strategies import Plan
    from engram.participant.training.backends import backend_named
    from engram.participant.training.qat import Budget

    context = click.get_current_context()
    if round_ is not None and (model is not None or follow):
        raise click.UsageError("ROUND cannot be combined with --model or --follow", context)
    if adopt is not None and (options["data"] is not None or memory is not None):
        raise click.UsageError("--adopt cannot be combined with --data or --memory", context)
    if adopt is None and options["data"] is None and memory is None:
        raise click.UsageError("give --data, --memory or --adopt", context)
    if memory is None:
        refuse_given(("statistics",), "goes with --memory only")
    else:
        refuse_given(GRADIENTS, "is for training, and a memory is solved as its founder has fixed")
    if adopt is not None:
        refuse_given(TRAINING, "is for training, and an adopted network is not trained")
    given = options["data"] is not None
    data = selected_rows(session, selection_of(options, rows), seed) if given else None
    budget = Budget(steps=steps, batch=batch, learning_rate=learning_rate, patience=patience or 0)
    limits = Limits(max_bond, max_fee)
    if trainer == "numpy" and device is not None:
        raise click.UsageError("--device is for --trainer torch", context)
    with backend_named(trainer, device or "auto") as backend:
        if not backend.plays:
            backend.serve()
            return
        plan = None if data is None else Plan(data, budget, neurons, seed, backend.fit)
        # Where PyTorch trains, it has been imported; for losses alone that would take longer than numpy does.
        evaluator = session.engine(engine, None if trainer == "torch" else 0)
        with session.printer() as printer:

            async def action(wallet: Wallet) -> Hash | None:
                if memory is None:
                    strategy = await strategy_of(wallet, plan, adopt, joint=joint)
                else:
                    strategy = _remembering(memory, data, statistics, seed, printer.notice, joint=joint)
                agent = Agent(
                    wallet,
                    strategy,
                    session.rounds_folder,
                    printer.notice,
                    data=data,
                    limits=limits,
                    epochs=epochs,
                    progress=lambda step, loss: printer.training(step, steps, loss),
                    unites=joint,
                    engine=evaluator,
                )
                return await _play(agent, wallet, round_, model, follow, printer)

            if missed := session.run_actor(action, printer.notice):
                raise RoundMissed(got=missed)


async def _play(
    agent: Agent,
    wallet: Wallet,
    round_: str | None,
    model: str | None,
    follow: bool,
    printer: ProgressPrinter,
) -> Hash | None:
    """Plays one round, or one after another; the id of a round whose phases had passed before."""
    client = wallet.client
    model_id = bytes.fromhex(await find_model(client, model)) if model is not None else None
    while True:
        if round_ is not None:
            chosen: Hash = bytes.fromhex(await find_round(client, round_))
        else:
            chosen = await (agent.next_round(model_id) if follow else agent.open_round(model_id))
        played = await agent.play(chosen)
        ended = await with_verdicts(client, await client.call("round_get", id=chosen))
        _show(printer, played, ended)
        if not follow:
            return chosen if played.is_missed else None


async def strategy_of(
    wallet: Wallet,
    plan: Plan | None,
    adopt: str | None,
    *,
    joint: bool = False,
) -> Strategy:
    """The strategy that the options ask for: train as planned, or adopt the network that `adopt` names.

    With `joint`, the growth is united with that of somebody else in the second epoch.

    `adopt` is an .npz file or the beginning of a model's id. Raises `ModelFileInvalid`, `IdNotFound`,
    `IdAmbiguous`.
    """
    import asyncio

    from engram.participant.agent import find_donor, load_donor
    from engram.participant.strategies import adopting, honest
    from engram.participant.uniting import joint as uniting
    from engram.participant.view import ChainView

    if plan is not None:
        alone = honest(plan)
    else:
        assert adopt is not None, "one of the two options has been asked for"
        if (path := Path(adopt)).suffix == ".npz":
            donor = await asyncio.to_thread(load_donor, path)
        else:
            model = bytes.fromhex(await find_model(wallet.client, adopt))
            donor = await find_donor(ChainView(wallet.client), model)
        alone = adopting(donor)
    return uniting(alone) if joint else alone


def _remembering(
    memory: Path,
    data: Dataset | None,
    files: tuple[Path, ...],
    seed: int,
    report: Report,
    *,
    joint: bool,
) -> Strategy:
    """The strategy of a memory folder. With `joint`, its growth is united as `strategy_of` does it."""
    from engram.participant.memory.folder import MemoryFolder
    from engram.participant.memory.lessons import Teaching, remembering
    from engram.participant.uniting import joint as uniting

    alone = remembering(MemoryFolder(memory), Teaching(data, files, seed), report)
    return uniting(alone) if joint else alone


def _show(printer: ProgressPrinter, played: AgentResult, ended: dict[str, Any]) -> None:
    facts = played.to_json()
    names = ("fees", "bonds_returned", "bonds_burned", "claimed", "maturing")
    money = {name: format_coins(facts[name]) for name in names}
    epochs = [f"{told_epoch(epoch['epoch'])}: {epoch['code']}" for epoch in facts["epochs"]]
    shown = {**facts, **money, "epochs": epochs}
    if played.maturing:
        shown["claim later"] = f"engram account claim --key {printer.player}"
    facts |= {"reasons": reasons(ended), "updates": outcomes(ended), "verdicts": ended["verdicts"]}
    printer.result(facts, [*shown.items(), *verdict_fields(ended)])
