"""What the chain says of versions, retention and old logits, as rows of the report. Sends nothing."""

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
    """Version 0, and what it lost on the parts of the round that it was founded with."""
    version = await scene.view.get(Version, round_.model, u32(0))
    block = await scene.view.client.call("chain_block", height=round_.opened)
    opening = next(
        name
        for name in (bytes.fromhex(tx["txid"]) for tx in block["transactions"])
        if tagged_hash(Tag.ROUND, name) == round_.id
    )
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


async def report_version(scene: Scene, played: DemoRound) -> VersionRow:
    """The version that a round has made, and what its author paid for the update."""
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
    """How well the grown model still knows each part that the gate watched. Raises `UnexpectedOutcome`."""
    for part in before.retention:
        now = await scene.view.get(ScoreEntry, grown.id, u32(grown.head), part.part)
        least = part.correct - before.retention_epsilon_ppm * part.rows // PPM
        expect(now.correct >= least, "the gate let forgetting through", expected=least, got=now.correct)
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
            f"part {part.part.hex()[:12]}: {now.correct} of {part.rows} rows right, {part.correct} on entry,"
            f" {least} at least",
        )
    expect(bool(scene.report.retention), "the gate watched nothing")


async def report_old_logits(scene: Scene, grown: Model) -> None:
    """That the old classes' logits are the same integers as before. Raises `UnexpectedOutcome`."""
    view, test = scene.view, scene.data.test
    old, new = [await view.get(Version, grown.id, u32(number)) for number in (grown.head - 1, grown.head)]
    was, now = [
        await asyncio.to_thread(forward, version.spec, await view.parameters(version), test.features)
        for version in (old, new)
    ]
    scene.report.old_logits_unchanged = bool(np.array_equal(was, now[:, : old.spec.classes]))
    expect(scene.report.old_logits_unchanged, "an old logit has moved")
    scene.say("gate", f"{was.size:,} old logits on {test.rows:,} rows are the same integers as before")


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
    """Every badge of the version, as `badge: name`."""
    badges = await scene.view.client.call("model_badges", id=version.model)
    hrp = (await scene.view.spec()).hrp
    return sorted(
        f"{BadgeKind(badge['badge']).name.lower()}: {scene.cast.name(parse_address(badge['address'], hrp))}"
        for badge in badges
        if badge["version"] == version.number
    )
