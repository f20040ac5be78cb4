"""`engram demo` as a user runs it, and what every report of it must show."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.json_shapes import validator

HANGS_S = 1500
DEMO = (sys.executable, "-m", "engram.cli", "demo")


def play(path: Path, *arguments: str, temporary: Path | None = None) -> tuple[dict[str, Any], str]:
    """The report, at `path`, and the words of a demonstration that succeeds.

    It makes its temporary files in `temporary`, or where all do. One that stands still shows what it said
    last.
    """
    command = [*DEMO, *arguments, "--plain", "--json", str(path)]
    env = {**os.environ, "TMPDIR": str(temporary)} if temporary else None
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HANGS_S, env=env)
    except subprocess.TimeoutExpired as hung:
        pytest.fail(f"stood still: {(hung.stdout or b'').decode()[-4_000:]}")
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
    report: dict[str, Any] = json.loads(path.read_text())
    wrong = [f"{error.json_path}: {error.message[:200]}" for error in validator("demo").iter_errors(report)]
    assert wrong == [], "docs/json.md has another shape of the report"
    return report, done.stdout


def check(report: dict[str, Any], nodes: int) -> None:
    """What every run of the story must show, whatever was trained."""
    assert len(report["nodes"]) == nodes
    assert len({(node["height"], node["head"], node["state_root"]) for node in report["nodes"]}) == 1
    assert len({node["id"] for node in report["nodes"]}) == nodes

    versions = report["versions"]
    assert [row["version"] for row in versions] == list(range(len(versions)))
    assert [row["kind"] for row in versions] == ["FOUNDING", "TRAIN", "GROW"]
    assert versions[-1]["classes"] == 10
    assert versions[-1]["neurons"] > versions[-2]["neurons"]
    assert versions[-2]["sealed_loss"] < versions[0]["sealed_loss"]
    for row in versions[1:]:
        assert row["author"] in ("alice", "bob", "carol")
        assert f"best_loss: {row['author']}" in row["badges"]
        assert "witness: witness" in row["badges"]
        assert min(row["sent_tensor_bytes"], row["macs"], row["fee"]) > 0

    attacks = report["attacks"]
    assert [(row["name"], row["code"]) for row in attacks] == [
        ("liar", "loss_mismatch"),
        ("liar", "loss_mismatch"),
        ("copycat", "commit_missing"),
        ("leaker", "gain_not_proved"),
        ("forger", "base_mismatch"),
        ("forger", "growth_overlap"),
    ]
    for row in attacks:
        lost = row["balance_before"] - row["balance_after"]
        assert lost == 0 if row["name"] == "copycat" else lost > 0
        assert lost >= 5 * 10**8 or row["name"] == "copycat"

    caught = [(row["author"], row["code"]) for row in report["scores"] if row["outcome"] == "caught"]
    assert {(row["name"], row["code"]) for row in attacks} <= {
        (author, code) for author, codes in caught for code in codes.split(", ")
    }
    won = [row for row in report["scores"] if row["outcome"] == "won"]
    assert [(row["round"], row["author"]) for row in won] == [
        (number, version["author"]) for number, version in enumerate(versions[1:], 1)
    ]
    for row in won:
        assert row["share"] <= 7 / 8, "less would prove no gain"
        assert row["accuracy"] > 0.5

    assert report["old_logits_unchanged"] is True
    assert [(row["version"], row["side"]) for row in report["groups"]] == [
        (version, side) for version in (1, 2) for side in ("founder", "witness")
    ]
    for row in report["groups"]:
        assert row["rows"] >= 40
        assert row["loss"] < row["share"] * row["baseline"] + 1e-3
        assert row["share"] <= 7 / 8
        assert row["scatters"] >= 3
    assert len(report["retention"]) == 2
    assert all(row["forgotten"] <= row["may_forget"] < row["rows"] for row in report["retention"])
    assert report["proof"]["accepted"] is True
    assert report["proof"]["tampered_accepted"] is False
    assert Path(report["proof"]["path"]).is_file()
