"""The last act: a test set is scored, all nodes agree, a prediction is explained, a proof is checked."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from engram.nn.data import part_bytes, part_commitment
from engram.participant.demo.cast import AUDITOR, FOUNDER
from engram.participant.demo.data import NEW_CLASSES
from engram.participant.demo.report import (
    DemoReport,
    NodeRow,
    PredictionRow,
    ProofRow,
    TestRow,
    expect,
    mean_loss,
)
from engram.participant.demo.scene import Scene
from engram.participant.demo.stage import Stage
from engram.participant.opener import content_of
from engram.participant.view import ChainView
from engram.primitives.keys import parse_address
from engram.statemachine.record import u32
from engram.statemachine.records import Model, ScoreEntry
from engram.statemachine.transactions.publish_part import PublishPart
from engram.statemachine.transactions.score_version import ScoreVersion

PROOF_NAME: Final = "model.proof"


async def play_ending(scene: Scene, model: Model) -> Path:
    """All that needs the nodes; the path of the proof. Raises `UnexpectedOutcome`."""
    await _score_test(scene, model)
    await _agree(scene)
    await _predict(scene, model)
    return await _write_proof(scene, model)


async def check_proof(path: Path, stage: Stage, report: DemoReport) -> None:
    """`engram verify` on the bundle, with no node running, and on a copy with one byte changed."""
    raw = await asyncio.to_thread(path.read_bytes)
    changed = bytearray(raw)
    changed[len(raw) // 2] ^= 1
    tampered = path.with_suffix(".tampered")
    await asyncio.to_thread(tampered.write_bytes, bytes(changed))
    status, proven = await _verify(path)
    refused, refusal = await _verify(tampered)
    await asyncio.to_thread(tampered.unlink)
    report.proof = ProofRow(str(path), status == 0, refused == 0)
    expect(report.proof.accepted, "engram verify refused a true proof", got=proven)
    expect(not report.proof.tampered_accepted, "engram verify accepted a changed proof")
    stage.say(
        FOUNDER,
        f"engram verify accepts {path.name} ({len(raw):,} bytes, height {proven['height']}, work"
        f" {proven['work']:,}) with no node, and refuses it with one byte changed"
        f" [{refusal['error']['code']}]",
    )


async def _score_test(scene: Scene, model: Model) -> None:
    """The auditor publishes the test rows and has the chain score the last version on them."""
    wallet, data = scene.wallets[AUDITOR], scene.data
    salt = os.urandom(32)
    raw = part_bytes(data.test.features, data.test.labels)
    content = await content_of(wallet, raw)
    await wallet.execute(PublishPart(data.test.rows, data.test.inputs, model.classes, salt, content))
    part = part_commitment(salt, raw)
    await wallet.execute(ScoreVersion(model.id, model.head, part))
    entry = await ChainView(wallet.client).get(ScoreEntry, model.id, u32(model.head), part)
    loss = mean_loss(entry.loss, entry.rows)
    scene.report.test = TestRow(model.head, entry.rows, entry.correct, entry.correct / entry.rows, loss)
    scene.say(
        AUDITOR,
        f"had the chain score version {model.head} on {entry.rows:,} rows that nobody trained on:"
        f" {entry.correct / entry.rows:.1%} right, {loss:.4f} nat",
    )


async def _agree(scene: Scene) -> None:
    """Every node on one head and state root.

    One miner goes on alone for two blocks, so that no two heads of equal work are left when it rests too.
    """
    first, *others = scene.net.nodes
    for node in others:
        await node.client.call("miner_stop")
    await scene.view.wait_height(await scene.view.height() + 2)
    await first.client.call("miner_stop")
    await scene.net.wait_agreement()
    rows = [_node_row(await node.client.call("node_info")) for node in scene.net.nodes]
    roots = {(row.head, row.state_root) for row in rows}
    expect(len(roots) == 1, "the nodes do not agree", expected=1, got=len(roots))
    scene.report.nodes += rows
    scene.say("nodes", f"all {len(rows)} at height {rows[0].height}, state root {rows[0].state_root[:16]}")


def _node_row(info: dict[str, Any]) -> NodeRow:
    head = info["head"]
    return NodeRow(info["node_id"], head["height"], head["id"], head["state_root"], info["rss_bytes"])


async def _predict(scene: Scene, model: Model) -> None:
    """One test row of a new class, asked of the last node and explained."""
    node, data, cast = scene.net.nodes[-1], scene.data, scene.cast
    index = int(np.argmax(data.test.labels >= NEW_CLASSES.start))
    row = [int(value) for value in data.test.features[index]]
    answer = await node.client.call("model_predict", id=model.id, rows=[row])
    [best] = answer["predictions"]
    lineage = [
        {**made, "author": cast.name(parse_address(made["author"], scene.net.spec.hrp))}
        for made in answer["lineage"]
    ]
    found = PredictionRow(
        node.name,
        answer["version"],
        int(data.test.labels[index]),
        best["class"],
        round(best["probability"], 4),
        lineage,
    )
    scene.report.prediction = found
    makers = ", ".join(
        f"{made['neurons']} neurons by {made['author']} (v{made['version']})" for made in lineage
    )
    scene.say(
        node.name,
        f"a {found.label}: version {found.version} says {found.predicted} with {found.probability:.1%};"
        f" {makers}",
    )


async def _write_proof(scene: Scene, model: Model) -> Path:
    """The proof bundle of the last version, as any node gives it."""
    answer = await scene.net.nodes[0].client.call("model_prove", id=model.id)
    path = scene.folder / PROOF_NAME
    await asyncio.to_thread(path.write_bytes, bytes.fromhex(answer["bundle"]))
    return path


async def _verify(path: Path) -> tuple[int, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "engram.cli", "verify", "--json", str(path)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, json.loads(output)
