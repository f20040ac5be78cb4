"""The last act: score a test set, compare the nodes, explain a prediction, write and check a proof."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from engram.consensus.chainspec import dump_spec
from engram.nn.data import part_bytes, part_commitment
from engram.participant.demo.cast import FOUNDER, WITNESS
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
CHAIN_NAME: Final = "chain.json"


@dataclass(frozen=True)
class WrittenProof:
    """What a verifier is given, and the anchor that they bring."""

    path: Path
    chain: Path
    """The chain's spec."""
    checkpoint: str
    """The id of the head on which all nodes agreed."""

    @property
    def options(self) -> tuple[str, ...]:
        """The options of `engram verify` that say what the verifier brings."""
        return "--chain", str(self.chain), "--checkpoint", self.checkpoint


async def play_ending(scene: Scene, model: Model) -> WrittenProof:
    """Plays the part of the last act that needs the nodes; returns the proof that it has written.

    Raises `UnexpectedOutcome`.
    """
    await scene.net.leave_one_miner()
    await _score_test(scene, model)
    await _agree(scene)
    await _predict(scene, model)
    return await _write_proof(scene, model)


async def check_proof(written: WrittenProof, stage: Stage, report: DemoReport) -> None:
    """Runs `engram verify` on the proof, and on a copy with one byte changed, while no node runs.

    Raises `UnexpectedOutcome` unless the proof is accepted, not accepted without its anchor, and the copy
    refused.
    """
    path, chain = written.path, str(written.chain)
    raw = await asyncio.to_thread(path.read_bytes)
    changed = bytearray(raw)
    changed[len(raw) // 2] ^= 1
    tampered = path.with_suffix(".tampered")
    await asyncio.to_thread(tampered.write_bytes, bytes(changed))
    status, proven = await _verify(path, *written.options)
    alone, unanchored = await _verify(path, "--chain", chain)
    refused, refusal = await _verify(tampered, *written.options)
    await asyncio.to_thread(tampered.unlink)
    report.proof = ProofRow(str(path), chain, written.checkpoint, status == 0, refused == 0)
    expect(report.proof.accepted, "engram verify refused the proof", got=proven)
    expect(alone != 0, "engram verify accepted the proof without an anchor", got=unanchored)
    expect(not report.proof.tampered_accepted, "engram verify accepted the proof with a changed byte")
    stage.say(
        FOUNDER,
        f"engram verify, with no node running, accepts {path.name} ({len(raw):,} bytes, height"
        f" {proven['block']['height']}) because the verifier trusts the block {written.checkpoint[:12]}…;"
        f" without such an anchor it says: {unanchored['verdict']}; and it refuses the proof with one byte"
        f" changed [{refusal['error']['code']}]",
    )


async def _score_test(scene: Scene, model: Model) -> None:
    """The witness publishes the test rows, and the chain scores the last version on them."""
    wallet, data = scene.wallets[WITNESS], scene.data
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
        WITNESS,
        f"had the chain score version {model.head} on {entry.rows:,} rows that nobody trained on:"
        f" {entry.correct / entry.rows:.1%} correct, {loss:.4f} nat a row",
    )


async def _agree(scene: Scene) -> None:
    """Ends mining, waits until all nodes have one head, and checks that their state roots agree."""
    await scene.net.settle()
    rows = [_node_row(await node.client.call("node_info")) for node in scene.net.nodes]
    roots = {(row.head, row.state_root) for row in rows}
    expect(len(roots) == 1, "the nodes do not agree", expected=1, got=len(roots))
    scene.report.nodes += rows
    scene.say(
        "nodes",
        f"all {len(rows)} are at height {rows[0].height} with the state root {rows[0].state_root[:16]}…",
    )


def _node_row(info: dict[str, Any]) -> NodeRow:
    head = info["head"]
    return NodeRow(info["node_id"], head["height"], head["id"], head["state_root"], info["rss_bytes"])


async def _predict(scene: Scene, model: Model) -> None:
    """Asks the last node to predict one test row of a new class and to name the authors of the neurons."""
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
        f"predicts a picture of a {found.label}: version {found.version} says {found.predicted} with"
        f" probability {found.probability:.1%}; it has {makers}",
    )


async def _write_proof(scene: Scene, model: Model) -> WrittenProof:
    """Writes the proof bundle of the last version, as a node gives it, and the chain's spec to files."""
    answer = await scene.net.nodes[0].client.call("model_prove", id=model.id)
    path, chain = scene.folder / PROOF_NAME, scene.folder / CHAIN_NAME
    await asyncio.to_thread(path.write_bytes, bytes.fromhex(answer["bundle"]))
    await asyncio.to_thread(chain.write_text, dump_spec(scene.net.spec), "utf-8")
    return WrittenProof(path, chain, scene.report.nodes[-1].head)


async def _verify(path: Path, *options: str) -> tuple[int, Any]:
    """Runs `engram verify --json` in a process of its own; returns its exit status and its JSON output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "engram.cli", "verify", "--json", str(path), *options),
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
