"""The story of the demonstration, act by act. An act that ends otherwise than promised is an error.

1  A founder founds a model and three authors train it; a liar, a copycat and a leaker try to cheat.
2  The sealed rows of the founder and of a witness decide, and the new version freezes.
3  The model grows by four classes; a forger tries twice to change what is frozen.
4  A test set is scored, all nodes agree, a prediction is explained, a proof is written and checked.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from engram.consensus.chainspec import local
from engram.node.epochs import in_epoch
from engram.node.localnet.localnet import Localnet
from engram.participant import adversaries
from engram.participant.demo import attacks, ledger
from engram.participant.demo.cast import AUTHORS, COPYCAT, FORGER, FOUNDER, LEAKER, LIAR, Cast
from engram.participant.demo.chorus import Chorus
from engram.participant.demo.data import OLD_CLASSES, demo_data
from engram.participant.demo.ending import check_proof, play_ending
from engram.participant.demo.report import DemoReport, expect, mean_loss
from engram.participant.demo.rounds import DemoRound, Rounds
from engram.participant.demo.scene import Scene
from engram.participant.demo.scores import report_scores
from engram.participant.demo.stage import Stage
from engram.participant.demo.watching import watching
from engram.participant.strategies import Plan, honest
from engram.participant.view import ChainView
from engram.statemachine.records import Model
from engram.statemachine.rounds.records import RoundStatus

BLOCK_TIME_MS: Final = 350


@dataclass(frozen=True)
class DemoOptions:
    """What a user decides about the demonstration."""

    folder: Path
    """A new or empty directory for the nodes, the secrets and the proof."""
    nodes: int
    """How many node processes to start."""
    data: str
    """`digits`, or a folder with MNIST's four idx files."""
    seed: int
    """Fixes how the data are split, the keys and the first weights. Blocks still differ between runs."""


async def play_demo(options: DemoOptions, shown: Stage) -> DemoReport:
    """Plays the whole story and returns the report. The nodes are stopped at the end; their files stay.

    Raises `UnexpectedOutcome` if something turns out otherwise than the protocol promises, and what loading
    the data, starting the nodes and the participants raise.
    """
    begun, stage = time.monotonic(), Chorus(shown)
    data = await asyncio.to_thread(demo_data, options.data, options.seed, len(AUTHORS))
    report = DemoReport(data.name, options.seed)
    cast = Cast(options.seed)
    spec = replace(local(cast.allocations(), time.time_ns() // 1_000_000), block_time_ms=BLOCK_TIME_MS)
    stage.act(f"{options.nodes} nodes start, each with its own database, key and proof of work")
    async with (
        Localnet(options.folder, spec, nodes=options.nodes, miners=cast.miners(options.nodes)) as net,
        watching(net, cast, stage),
        cast.wallets(net) as wallets,
    ):
        view = ChainView(wallets[FOUNDER].client)
        scene = Scene(
            *(net, cast, wallets, view, data),
            *(options.seed, options.folder, stage, report),
        )
        rounds = Rounds(scene)
        model = await _train(scene, rounds)
        model = await _grow(scene, rounds, model)
        stage.act("All nodes hold the same state; the model is scored, asked for a prediction and proved")
        proof = await play_ending(scene, model)
    await check_proof(proof, stage, report)
    report.seconds = round(time.monotonic() - begun, 1)
    return report


async def _train(scene: Scene, rounds: Rounds) -> Model:
    """Plays the TRAIN round, with the cheats; returns the model, which must have frozen."""
    scene.stage.act("A model is founded for digits 0-5 and trained; a liar, a copycat and a leaker cheat")
    own, size, seed = scene.data.own, scene.data.size, scene.seed
    authors = {
        name: honest(Plan(own[number], size.training, 0, seed + number))
        for number, name in enumerate(AUTHORS)
    }
    decoys = own[0].of_classes(OLD_CLASSES).interleaved().take(np.arange(size.decoys))
    cheats = {
        LIAR: adversaries.liar(honest(Plan(own[0], size.training, 0, seed + 9))),
        LEAKER: adversaries.leaker(size.leaking, seed, decoys),
    }
    purse = await scene.balance(COPYCAT)
    played = await rounds.found(authors, cheats)
    await attacks.report_training(scene, played, purse)
    await ledger.report_founding(scene, played.round)
    scene.report.rounds += 1
    model = await _decided(scene, played)
    expect(model.frozen, "the new version has not frozen", expected=model.threshold_ppm, got=model.loss)
    return model


async def _grow(scene: Scene, rounds: Rounds, model: Model) -> Model:
    """Plays one GROW round and checks that it changed nothing old; returns the grown model."""
    scene.stage.act("The frozen model learns digits 6-9 by new neurons and classes; a forger tries twice")
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
    await ledger.report_retention(scene, played.round, model, grown)
    await ledger.report_old_logits(scene, grown)
    return grown


async def _decided(scene: Scene, played: DemoRound) -> Model:
    """Checks that an honest author has won the round and a witness has opened a part; returns the model."""
    round_, name = played.round, scene.cast.name
    for epoch, best in enumerate(round_.results):
        rows = round_.terms.rows * len(round_.validation_opened)
        scene.say(
            "chain",
            f"{in_epoch(epoch)}: {name(best.author)} has the lowest loss on the revealed parts,"
            f" {mean_loss(best.loss, rows):.4f} nat a row",
        )
    winner = name(round_.winner)
    expect(
        round_.status == RoundStatus.DECIDED, "the round made no version", got=RoundStatus(round_.status).name
    )
    expect(winner in AUTHORS, "no honest author has won the round", expected=AUTHORS, got=winner)
    expect(round_.independent, "nobody but the opener has opened a sealed part")
    report_scores(scene, played)
    row = await ledger.report_version(scene, played)
    scene.say(
        winner,
        f"won the round on the unseen rows; the update is now version {row.version}: loss"
        f" {row.sealed_loss:.4f} nat a row, {row.sealed_accuracy:.1%} correct",
    )
    model = await scene.view.get(Model, round_.model)
    ledger.report_groups(scene, round_)
    state = "its neurons are frozen for ever" if model.frozen else "its loss is too high to freeze it"
    scene.say(FOUNDER, f"version {model.head} knows {model.classes} classes; {state}")
    return model
