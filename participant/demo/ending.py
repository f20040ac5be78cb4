"""The last act: a test set is scored, all nodes agree, a prediction is explained, a proof is checked."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from engram.nn.data import part_bytes, part_commitment
from engram.node.localnet import Localnet
from engram.participant.demo.cast import AUDITOR, FOUNDER, Cast
from engram.participant.demo.data import NEW_CLASSES, DemoData
from engram.participant.demo.report import (
    DemoReport,
    NodeRow,
    PredictionRow,
    ProofRow,
    TestRow,
    expect,
    mean_loss,
)
from engram.participant.demo.stage import Stage
from engram.participant.opener import content_of
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.keys import parse_address
from engram.statemachine.records import Model, ScoreEntry, u32
from engram.statemachine.transactions.publish_part import PublishPart
from engram.statemachine.transactions.score_version import ScoreVersion

PROOF_NAME: Final = "model.proof"


async def score_test(wallet: Wallet, data: DemoData, model: Model, stage: Stage, report: DemoReport) -> None:
    """The auditor publishes the test rows and has the chain score the last version on them."""
    salt = os.urandom(32)
    raw = part_bytes(data.test.features, data.test.labels)
    content = await content_of(wallet, raw)
    await wallet.execute(PublishPart(data.test.rows, data.test.inputs, model.classes, salt, content))
    part = part_commitment(salt, raw)
    await wallet.execute(ScoreVersion(model.id, model.head, part))
    entry = await ChainView(wallet.client).get(ScoreEntry, model.id, u32(model.head), part)
    loss = mean_loss(entry.loss, entry.rows)
    report.test = TestRow(model.head, entry.rows, entry.correct, entry.correct / entry.rows, loss)
    stage.say(
        AUDITOR,
        f"had the chain score version {model.head} on {entry.rows:,} rows that nobody trained on:"
        f" {entry.correct / entry.rows:.1%} right, {loss:.4f} nat",
    )


async def agree(net: Localnet, stage: Stage, report: DemoReport) -> None:
    """Every node on one head and state root. Miners rest meanwhile, as an operator may let them."""
    for node in net.nodes:
        await node.client.call("miner_stop")
    await net.wait_agreement()
    for node in net.nodes:
        info = await node.client.call("node_info")
        head = info["head"]
        report.nodes.append(
            NodeRow(info["node_id"], head["height"], head["id"], head["state_root"], info["rss_bytes"])
        )
    roots = {(row.head, row.state_root) for row in report.nodes}
    expect(len(roots) == 1, "the nodes do not agree", expected=1, got=len(roots))
    last = report.nodes[0]
    stage.say("nodes", f"all {len(report.nodes)} at height {last.height}, state root {last.state_root[:16]}")


async def predict(
    net: Localnet, cast: Cast, data: DemoData, model: Model, stage: Stage, report: DemoReport
) -> None:
    """One test row of a new class, asked of the last node and explained."""
    node = net.nodes[-1]
    index = int(np.argmax(data.test.labels >= NEW_CLASSES.start))
    row = [int(value) for value in data.test.features[index]]
    answer = await node.client.call("model_predict", id=model.id, rows=[row])
    [best] = answer["predictions"]
    lineage = [
        {**made, "author": cast.name(parse_address(made["author"], net.spec.hrp))}
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
    report.prediction = found
    makers = ", ".join(
        f"{made['neurons']} neurons by {made['author']} (v{made['version']})" for made in lineage
    )
    stage.say(
        node.name,
        f"a {found.label}: version {found.version} says {found.predicted} with {found.probability:.1%};"
        f" {makers}",
    )


async def write_proof(net: Localnet, model: Model, folder: Path) -> Path:
    """The proof bundle of the last version, as any node gives it."""
    answer = await net.nodes[0].client.call("model_prove", id=model.id)
    path = folder / PROOF_NAME
    await asyncio.to_thread(path.write_bytes, bytes.fromhex(answer["bundle"]))
    return path


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


async def play_ending(
    net: Localnet,
    wallets: Mapping[str, Wallet],
    cast: Cast,
    data: DemoData,
    model: Model,
    folder: Path,
    stage: Stage,
    report: DemoReport,
) -> Path:
    """Everything above that needs the nodes; the path of the proof."""
    await score_test(wallets[AUDITOR], data, model, stage, report)
    await agree(net, stage, report)
    await predict(net, cast, data, model, stage, report)
    return await write_proof(net, model, folder)
