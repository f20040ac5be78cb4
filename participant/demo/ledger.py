"""Adds to the report what the chain records about versions, and checks that nothing old was forgotten.

Nothing is sent here.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from math import sqrt

import numpy as np
import numpy.typing as npt

from engram.nn.data import PartData
from engram.nn.network import forward, predict
from engram.nn.spec import neurons
from engram.participant.demo.cast import FOUNDER, WITNESS
from engram.participant.demo.report import GroupRow, RetentionRow, VersionRow, expect, mean_loss
from engram.participant.demo.rounds import DemoRound
from engram.participant.demo.scene import Scene
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.keys import parse_address
from engram.primitives.types import Hash
from engram.statemachine.record import u32
from engram.statemachine.records import BadgeKind, Model, ScoreEntry, Version
from engram.statemachine.rounds.judging import lower_baseline, may_forget, proves_gain
from engram.statemachine.rounds.records import OpenedPart, Round, RoundKind


async def report_founding(scene: Scene, round_: Round) -> None:
    """Adds version 0 to the report, with its losses on the parts of the round that founded it."""
    version = await scene.view.get(Version, round_.model, u32(0))
    opening = await _opening(scene, round_)
    validation = [await _score(scene, version, part) for part in round_.validation_opened]
    unseen = [await _score(scene, version, part) for part in round_.unseen]
    found = replace(
        version,
        validation_loss=sum(score.loss for score in validation),
        validation_rows=sum(score.rows for score in validation),
        sealed_loss=sum(score.loss for score in unseen),
        sealed_rows=sum(score.rows for score in unseen),
        sealed_correct=sum(score.correct for score in unseen),
    )
    scene.report.versions.append(await _row(scene, found, "FOUNDING", opening))


async def _score(scene: Scene, version: Version, part: OpenedPart) -> ScoreEntry:
    return await scene.view.get(ScoreEntry, version.model, u32(version.number), part.commitment)


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


def report_groups(scene: Scene, round_: Round) -> None:
    """Adds what the winner has shown on each side's rows.

    Raises `UnexpectedOutcome` if a gain is not proved.
    """
    for side, group in zip((FOUNDER, WITNESS), round_.winner_groups, strict=True):
        counted = lower_baseline(group, train=round_.terms.kind == RoundKind.TRAIN)
        gain = (counted.gained - counted.lost) / sqrt(counted.squares)
        row = GroupRow(
            *(round_.new_version, side, group.rows),
            *(mean_loss(group.loss, group.rows), mean_loss(counted.baseline, group.rows)),
            *(round(group.loss / counted.baseline, 4), round(gain, 2)),
        )
        scene.report.groups.append(row)
        expect(
            proves_gain(counted, round_.terms.z_squared),
            f"the winner's gain on the rows of the {side} is not proved",
            expected=round_.terms.z_squared,
            got=gain,
        )
        scene.say(
            "chain",
            f"on {row.rows} rows of the {side}: {row.loss:.4f} nat a row, {row.share:.1%} of the baseline's"
            f" {row.baseline:.4f}; the gain is {row.scatters:.1f} times its scatter",
        )


async def report_retention(scene: Scene, round_: Round, before: Model, grown: Model) -> None:
    """Checks how many old rows the growth has lost, of the unseen ones and of the retention parts.

    `round_` is the round of the growth, `before` the model before it. Raises `UnexpectedOutcome` if they are
    more than the chain must allow, or if there is no retention part.
    """
    epsilon = before.retention_epsilon_ppm
    unseen = sum(part.old for part in round_.unseen)
    lost = sum(group.forgotten for group in round_.winner_groups)
    rows = [RetentionRow("", unseen, lost, may_forget(epsilon, unseen))]
    for part in before.retention:
        data = await scene.view.part(part.part)
        was, now = [
            await _right(scene, await scene.view.get(Version, grown.id, u32(number)), data)
            for number in (grown.head - 1, grown.head)
        ]
        lost = int(np.count_nonzero(was & ~now))
        rows.append(RetentionRow(part.part.hex(), part.rows, lost, may_forget(epsilon, part.rows)))
    for row in rows:
        expect(
            row.forgotten <= row.may_forget,
            "the chain admitted a growth that forgot too many rows",
            expected=row.may_forget,
            got=row.forgotten,
        )
        what = f"retention part {row.part[:12]}" if row.part else "old rows of sealed parts"
        scene.say(
            "gate",
            f"{what}: the growth has lost {row.forgotten} of {row.rows} rows, {row.may_forget} are allowed",
        )
    scene.report.retention += rows
    expect(len(rows) > 1, "the frozen model has no retention part")


async def _right(scene: Scene, version: Version, data: PartData) -> npt.NDArray[np.bool_]:
    network, parameters = await scene.view.composition(version), await scene.view.parameters(version)
    logits = await asyncio.to_thread(forward, network.spec, parameters, data.features)
    right: npt.NDArray[np.bool_] = predict(logits) == data.labels
    return right


async def report_old_logits(scene: Scene, grown: Model) -> None:
    """Checks that the growth changed no old class's logit on the test rows. Raises `UnexpectedOutcome`."""
    view, test = scene.view, scene.data.test
    old, new = [await view.get(Version, grown.id, u32(number)) for number in (grown.head - 1, grown.head)]
    networks = [await view.composition(version) for version in (old, new)]
    was, now = [
        await asyncio.to_thread(forward, network.spec, await view.parameters(version), test.features)
        for version, network in zip((old, new), networks, strict=True)
    ]
    scene.report.old_logits_unchanged = bool(np.array_equal(was, now[:, : networks[0].spec.classes]))
    expect(scene.report.old_logits_unchanged, "the growth changed a logit of an old class")
    scene.say(
        "gate",
        f"the growth changed none of the {was.size:,} logits of old classes on {test.rows:,} rows",
    )


async def _row(scene: Scene, version: Version, kind: str, txid: Hash) -> VersionRow:
    receipt = (await scene.view.client.call("tx_status", txid=txid))["receipt"]
    spec = (await scene.view.composition(version)).spec
    return VersionRow(
        version=version.number,
        kind=kind,
        classes=spec.classes,
        neurons=neurons(spec),
        loss=mean_loss(version.validation_loss, version.validation_rows),
        sealed_loss=mean_loss(version.sealed_loss, version.sealed_rows),
        sealed_accuracy=round(version.sealed_correct / version.sealed_rows, 4),
        author=scene.cast.name(version.author),
        badges=await _badges(scene, version),
        sent_tensor_bytes=version.sent_tensor_bytes,
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
