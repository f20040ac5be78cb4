"""The story of the demonstration, act by act, and what must come of each. Anything else is an error.

1  a model is founded and trained; a liar, a copycat and a leaker try
2  the sealed parts decide; the version freezes (or another TRAIN round follows, three at most)
3  the model grows by four classes; a forger tries twice
4  every node agrees; a test set is scored; a prediction is explained; a proof is written and checked
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engram.consensus.chainspec import local
from engram.node.localnet import Localnet
from engram.participant import adversaries
from engram.participant.demo import attacks, ledger
from engram.participant.demo.cast import AUTHORS, FORGER, FOUNDER, LEAKER, LIAR, Cast
from engram.participant.demo.data import DemoData, demo_data
from engram.participant.demo.ending import check_proof, play_ending
from engram.participant.demo.report import DemoReport, expect
from engram.participant.demo.rounds import Played, Rounds
from engram.participant.demo.stage import Stage
from engram.participant.demo.watch import watching
from engram.participant.strategies import Plan, honest
from engram.participant.task import Strategy
from engram.statemachine.records import Model
from engram.statemachine.round_records import RoundStatus

TRAIN_ROUNDS: Final = 3


@dataclass(frozen=True)
class DemoOptions:
    """What a user decides."""

    folder: Path
    """Nodes, secrets and the proof; an empty or new directory."""
    nodes: int
    data: str
    """`digits`, or a folder with MNIST's four files."""
    seed: int
    """Fixes data split, keys and initial weights; not blocks."""


async def play_demo(options: DemoOptions, stage: Stage) -> DemoReport:
    """Plays the whole story. Leaves the nodes stopped, and everything they wrote in the folder.

    Raises `UnexpectedOutcome` where the story went another way than the protocol promises, and what loading
    the data, starting the nodes and the participants raise.
    """
    begun = time.monotonic()
    data = await asyncio.to_thread(demo_data, options.data, options.seed, TRAIN_ROUNDS, len(AUTHORS))
    report = DemoReport(data.name, options.seed)
    cast = Cast(options.seed)
    spec = local(cast.allocations(), time.time_ns() // 1_000_000)
    stage.act(f"{options.nodes} nodes start, each with its own database, key and proof of work")
    async with (
        Localnet(options.folder, spec, nodes=options.nodes, miners=cast.miners(options.nodes)) as net,
        watching(net, stage),
        cast.wallets(net) as wallets,
    ):
        rounds = Rounds(cast, wallets, data, options.folder / "secrets", options.seed, stage)
        model = await _train(rounds, cast, data, options.seed, stage, report)
        model = await _grow(rounds, cast, data, options.seed, model, stage, report)
        stage.act("Every node stands on the same state; what it knows can be asked and proved")
        proof = await play_ending(net, wallets, cast, data, model, options.folder, stage, report)
    await check_proof(proof, stage, report)
    report.seconds = round(time.monotonic() - begun, 1)
    return report


async def _train(
    rounds: Rounds, cast: Cast, data: DemoData, seed: int, stage: Stage, report: DemoReport
) -> Model:
    """TRAIN rounds until a version freezes; the cheats try in the first."""
    stage.act("A model is founded for digits 0-5 and trained; a liar, a copycat and a leaker try")
    authors = {
        name: honest(Plan(data.own[number], data.size.training, 0, seed + number))
        for number, name in enumerate(AUTHORS)
    }
    cheats = {
        LIAR: adversaries.liar(honest(Plan(data.own[0], data.size.training, 0, seed + 9))),
        LEAKER: adversaries.leaker(data.size.leaking, seed),
    }
    purse = await rounds.balance("copycat")
    played = await rounds.found(authors, cheats)
    await attacks.report_training(rounds, cast, played, purse, stage, report)
    await ledger.report_founding(rounds.view, cast, played.round, report)
    while True:
        report.rounds += 1
        model = await _decided(rounds, cast, played, stage, report)
        if model.frozen:
            return model
        expect(report.rounds < TRAIN_ROUNDS, "no version froze", expected=f"within {TRAIN_ROUNDS} rounds")
        stage.act("The sealed loss is above the threshold: another TRAIN round over fresh parts")
        played = await rounds.train(report.rounds, model.id, authors)


async def _grow(
    rounds: Rounds, cast: Cast, data: DemoData, seed: int, model: Model, stage: Stage, report: DemoReport
) -> Model:
    """One GROW round, and the proof that nothing old has moved."""
    stage.act("The frozen model grows: digits 6-9 by new neurons and classes; a forger tries twice")
    plans = {
        name: Plan(data.own[number], data.size.growing, data.size.neurons, seed + number)
        for number, name in enumerate(AUTHORS)
    }
    forged: Mapping[str, Strategy] = {FORGER: adversaries.forger(honest(plans[AUTHORS[1]]))}
    played = await rounds.grow(model.id, {name: honest(plan) for name, plan in plans.items()}, forged)
    report.rounds += 1
    attacks.report_growth(played, stage, report)
    grown = await _decided(rounds, cast, played, stage, report)
    await ledger.report_retention(rounds.view, model, grown, stage, report)
    await ledger.report_old_logits(rounds.view, grown, data.test, stage, report)
    return grown


async def _decided(rounds: Rounds, cast: Cast, played: Played, stage: Stage, report: DemoReport) -> Model:
    """The model after a round that an honest author must have won."""
    round_ = played.round
    winner = cast.name(round_.winner)
    expect(
        round_.status == RoundStatus.DECIDED, "the round made no version", got=RoundStatus(round_.status).name
    )
    expect(winner in AUTHORS, "the round was not won by an honest author", expected=AUTHORS, got=winner)
    expect(round_.independent, "nobody but the opener has opened a sealed part")
    row = await ledger.report_version(rounds.view, cast, played, report)
    stage.say(
        winner,
        f"won: version {row.version}, sealed loss {row.sealed_loss:.4f} nat,"
        f" accuracy {row.sealed_accuracy:.1%}",
    )
    model = await rounds.view.get(Model, round_.model)
    state = "is frozen for ever" if model.frozen else "is above its threshold and not frozen"
    stage.say(FOUNDER, f"version {model.head} knows {model.classes} classes and {state}")
    return model
