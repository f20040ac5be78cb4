"""Adds to the report what the chain records about versions, and checks that nothing old was forgotten.

Nothing is sent here.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np

from engram.nn.network import forward
from engram.nn.spec import neurons
from engram.participant.demo.report import RetentionRow, VersionRow, expect, mean_loss
from engram.participant.demo.rounds import DemoRound
from engram.participant.demo.scene import Scene
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.keys import parse_address
from engram.primitives.types import Hash
from engram.statemachine.record import u32
from engram.statemachine.records import BadgeKind, Model, ScoreEntry, Version
from engram.statemachine.rounds.ranking import PPM
from engram.statemachine.rounds.records import Round, RoundKind


async def report_founding(scene: Scene, round_: Round) -> None:
    """Adds version 0 to the report, with its losses on the parts of the round that founded it."""
    version = await scene.view.get(Version, round_.model, u32(0))
    opening = await _opening(scene, round_)
    validation = [part.baseline for part in round_.validation_opened]
    sealed = [part.baseline for part in round_.sealed_opened]
    found = replace(
        version,
        validation_loss=sum(score.loss for score in validation),
        validation_rows=round_.terms.rows * len(validation),
        sealed_loss=sum(score.loss for score in sealed),
        sealed_rows=round_.terms.rows * len(sealed),
        sealed_correct=sum(score.correct for score in sealed),
    )
    scene.report.versions.append(await _row(scene, found, "FOUNDING", opening))


async def _opening(scene: Scene, round_: Round) -> Hash:
    """Id of the transaction that opened the round, in a block above the height that is its tick."""
    for height in range(round_.opened + 1, await scene.view.height() + 1):
        block = await scene.view.client.call("chain_block", height=height)
        for name in (bytes.fromhex(tx["txid"]) for tx in block["transactions"]):
            if tagged_hash(Tag.ROUND, name) == round_.id:
                return name
    raise AssertionError("a round of the chain was opened in one of its blocks")


async def report_version(scene: Scene, played: DemoRound) -> VersionRow:
    """Adds the version that a round has made to the report, with what its update cost."""
    round_ = played.round
    version = await scene.view.get(Version, round_.model, u32(round_.new_version))
    reveal = next(
        done.reveal
        for done in played.reports[scene.cast.name(version.author)]
        if done.loss == version.validation_loss
    )
    row = await _row(scene, version, RoundKind(version.kind).name, reveal)
    scene.report.versions.append(row)
    return row


async def report_retention(scene: Scene, before: Model, grown: Model) -> None:
    """Checks how many rows of each retention part the grown model still has right, and reports it.

    `before` is the model before the growth. Raises `UnexpectedOutcome` if they are fewer than the chain must
    allow, or if there is no retention part.
    """
    for part in before.retention:
        now = await scene.view.get(ScoreEntry, grown.id, u32(grown.head), part.part)
        least = part.correct - before.retention_epsilon_ppm * part.rows // PPM
        expect(
            now.correct >= least,
            "the chain admitted a growth that forgot too many rows",
            expected=least,
            got=now.correct,
        )
        row = RetentionRow(
            part.part.hex(),
            part.rows,
            part.correct,
            least,
            now.correct,
            mean_loss(part.bar, part.rows),
            mean_loss(now.loss, now.rows),
        )
        scene.report.retention.append(row)
        scene.say(
            "gate",
            f"retention part {part.part.hex()[:12]}: {now.correct} of {part.rows} rows correct; before the"
            f" growth {part.correct}, and at least {least} are required",
        )
    expect(bool(scene.report.retention), "the frozen model has no retention part")


async def report_old_logits(scene: Scene, grown: Model) -> None:
    """Checks that the growth changed no old class's logit on the test rows. Raises `UnexpectedOutcome`."""
    view, test = scene.view, scene.data.test
    old, new = [await view.get(Version, grown.id, u32(number)) for number in (grown.head - 1, grown.head)]
    was, now = [
        await asyncio.to_thread(forward, version.spec, await view.parameters(version), test.features)
        for version in (old, new)
    ]
    scene.report.old_logits_unchanged = bool(np.array_equal(was, now[:, : old.spec.classes]))
    expect(scene.report.old_logits_unchanged, "the growth changed a logit of an old class")
    scene.say(
        "gate",
        f"the growth changed none of the {was.size:,} logits of old classes on {test.rows:,} rows",
    )


async def _row(scene: Scene, version: Version, kind: str, txid: Hash) -> VersionRow:
    receipt = (await scene.view.client.call("tx_status", txid=txid))["receipt"]
    return VersionRow(
        version=version.number,
        kind=kind,
        classes=version.spec.classes,
        neurons=neurons(version.spec),
        loss=mean_loss(version.validation_loss, version.validation_rows),
        sealed_loss=mean_loss(version.sealed_loss, version.sealed_rows),
        sealed_accuracy=round(version.sealed_correct / version.sealed_rows, 4),
        author=scene.cast.name(version.author),
        badges=await _badges(scene, version),
        bytes=version.size_bytes,
        macs=receipt["macs"],
        fee=receipt["fee"],
    )


async def _badges(scene: Scene, version: Version) -> list[str]:
    """Every badge given with the version, each as `badge: name of the actor`."""
    badges = await scene.view.client.call("model_badges", id=version.model)
    hrp = (await scene.view.spec()).hrp
    return sorted(
        f"{BadgeKind(badge['badge']).name.lower()}: {scene.cast.name(parse_address(badge['address'], hrp))}"
        for badge in badges
        if badge["version"] == version.number
    )
