"""The story of the demonstration, act by act, and what must come of each. Anything else is an error.

1  a model is founded and trained; a liar, a copycat and a leaker try
2  the sealed parts decide; the version freezes (or another TRAIN round follows, three at most)
3  the model grows by four classes; a forger tries twice
4  every node agrees; a test set is scored; a prediction is explained; a proof is written and checked
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engram.consensus.chainspec import local
from engram.node.localnet.localnet import Localnet
from engram.participant import adversaries
from engram.participant.demo import attacks, ledger
from engram.participant.demo.cast import AUTHORS, COPYCAT, FORGER, FOUNDER, LEAKER, LIAR, Cast
from engram.participant.demo.data import demo_data
from engram.participant.demo.ending import check_proof, play_ending
from engram.participant.demo.pace import windows_for
from engram.participant.demo.report import DemoReport, expect, mean_loss
from engram.participant.demo.rounds import DemoRound, Rounds
from engram.participant.demo.scene import Scene
from engram.participant.demo.stage import Stage
from engram.participant.demo.watch import watching
from engram.participant.strategies import Plan, honest
from engram.participant.view import ChainView
from engram.statemachine.records import Model
from engram.statemachine.rounds.records import RoundStatus

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
    windows = await asyncio.to_thread(windows_for, data, spec.block_time_ms)
    stage.act(f"{options.nodes} nodes start, each with its own database, key and proof of work")
    async with (
        Localnet(options.folder, spec, nodes=options.nodes, miners=cast.miners(options.nodes)) as net,
        watching(net, stage),
        cast.wallets(net) as wallets,
    ):
        view = ChainView(wallets[FOUNDER].client)
        scene = Scene(net, cast, wallets, view, data, windows, options.seed, options.folder, stage, report)
        rounds = Rounds(scene)
        model = await _train(scene, rounds)
        model = await _grow(scene, rounds, model)
        stage.act("Every node stands on the same state; what it knows can be asked and proved")
        proof = await play_ending(scene, model)
    await check_proof(proof, stage, report)
    report.seconds = round(time.monotonic() - begun, 1)
    return report


async def _train(scene: Scene, rounds: Rounds) -> Model:
    """TRAIN rounds until a version freezes; the cheats try in the first."""
    scene.stage.act("A model is founded for digits 0-5 and trained; a liar, a copycat and a leaker try")
    own, size, seed = scene.data.own, scene.data.size, scene.seed
    authors = {
        name: honest(Plan(own[number], size.training, 0, seed + number))
        for number, name in enumerate(AUTHORS)
    }
    cheats = {
        LIAR: adversaries.liar(honest(Plan(own[0], size.training, 0, seed + 9))),
        LEAKER: adversaries.leaker(size.leaking, seed),
    }
    purse = await scene.balance(COPYCAT)
    played = await rounds.found(authors, cheats)
    await attacks.report_training(scene, played, purse)
    await ledger.report_founding(scene, played.round)
    while True:
        scene.report.rounds += 1
        model = await _decided(scene, played)
        if model.frozen:
            return model
        again = scene.report.rounds
        expect(again < TRAIN_ROUNDS, "no version froze", expected=f"within {TRAIN_ROUNDS} rounds")
        scene.stage.act("The sealed loss is above the threshold: another TRAIN round over fresh parts")
        played = await rounds.train(again, model.id, authors)


async def _grow(scene: Scene, rounds: Rounds, model: Model) -> Model:
    """One GROW round, and the proof that nothing old has moved."""
    scene.stage.act("The frozen model grows: digits 6-9 by new neurons and classes; a forger tries twice")
    own, size, seed = scene.data.own, scene.data.size, scene.seed
    plans = {
        name: Plan(own[number], size.growing, size.neurons, seed + number)
        for number, name in enumerate(AUTHORS)
    }
    forger = adversaries.forger(honest(plans[AUTHORS[1]]))
    played = await rounds.grow(
        model.id, {name: honest(plan) for name, plan in plans.items()}, {FORGER: forger}
    )
    scene.report.rounds += 1
    attacks.report_growth(scene, played)
    grown = await _decided(scene, played)
    await ledger.report_retention(scene, model, grown)
    await ledger.report_old_logits(scene, grown)
    return grown


async def _decided(scene: Scene, played: DemoRound) -> Model:
    """The model after a round that an honest author must have won."""
    round_, name = played.round, scene.cast.name
    for epoch, best in enumerate(round_.results):
        rows = round_.terms.rows * len(round_.validation_opened)
        scene.say(
            "chain",
            f"epoch {epoch}: lowest loss by {name(best.author)}, {mean_loss(best.loss, rows):.4f} nat",
        )
    winner = name(round_.winner)
    expect(
        round_.status == RoundStatus.DECIDED, "the round made no version", got=RoundStatus(round_.status).name
    )
    expect(winner in AUTHORS, "the round was not won by an honest author", expected=AUTHORS, got=winner)
    expect(round_.independent, "nobody but the opener has opened a sealed part")
    row = await ledger.report_version(scene, played)
    scene.say(
        winner,
        f"won: version {row.version}, sealed loss {row.sealed_loss:.4f} nat,"
        f" accuracy {row.sealed_accuracy:.1%}",
    )
    model = await scene.view.get(Model, round_.model)
    state = "is frozen for ever" if model.frozen else "is above its threshold and not frozen"
    scene.say(FOUNDER, f"version {model.head} knows {model.classes} classes and {state}")
    return model
