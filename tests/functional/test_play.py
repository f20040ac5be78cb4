"""`engram play`, the guided round: done whole, cut off anywhere, and in front of a person."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ENGRAM = (sys.executable, "-m", "engram.cli")


def played(folder: Path) -> list[dict[str, Any]]:
    """The lines of a play that goes through to its end."""
    done = subprocess.run(
        (*ENGRAM, "play", "--json", "--dir", str(folder)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_play_goes_from_nothing_to_a_model_of_two_owners(tmp_path: Path) -> None:
    lines = played(tmp_path / "play")
    results = {line["step"]: line["result"] for line in lines if line["event"] == "step"}
    assert lines[-1] == {"event": "result", "folder": str(tmp_path / "play"), "steps": len(results)}
    assert results["play"]["winner"] in ("alice", "bob")
    assert results["model"]["frozen"] is True
    assert results["prove"]["accepted"] is True
    assert results["play-growth"]["winner"] in ("alice", "carol")
    assert [version["classes"] for version in results["grown"]["versions"]] == [6, 6, 10]
    assert results["predict-new"]["predictions"][0]["label"] == 7
    assert {group["version"] for group in results["predict-new"]["lineage"]} == {1, 2}
