"""`engram experiment NAME --quick` from the command line, as a user gives it: whole chains, and a report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("lifelong")
"""One process runs the experiment for all tests that look at it."""


def run_quick(name: str, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engram.cli", "experiment", name, "--quick", "--out", str(out), *options]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ}, check=False)


@pytest.fixture(scope="module")
def lifelong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lifelong")
    done = run_quick("lifelong", out, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == ["cell", "result"]
    assert events[-1]["report"] == str(out / "index.html")
    return out


def table(out: Path, name: str) -> dict[str, dict[str, Any]]:
    rows = json.loads((out / "results.json").read_text())["tables"][name]
    return {row["line"]: row for row in rows}


@pytest.mark.slow
def test_what_was_learned_first_is_known_at_the_end(lifelong: Path) -> None:
    found = table(lifelong, "digits-3-accuracy")
    for line in ("gate", "analytic", "experts", "pixels", "joint"):
        assert found[line]["final"] > 95, line
    for line in ("gate", "analytic", "experts", "pixels"):
        assert found[line]["forgetting"] < 4
        assert found[line]["omega_all"] > 0.97
        assert found[line]["nats"] < 0.25
    assert found["gate"]["final"] <= found["joint"]["final"] + 1
    assert found["naive"]["final"] < 40, "new rows alone make a model forget"
    assert found["naive"]["forgetting"] > 90


@pytest.mark.slow
def test_growths_are_small_and_every_round_decided(lifelong: Path) -> None:
    found = table(lifelong, "digits-3-cost")
    assert all(row["bytes"] < 50_000 for row in found.values())
    assert all(row["author_fees"] > 0 for row in found.values())
    assert found["naive"]["rounds"] == 1
    assert all(row["rounds"] <= 2 for row in found.values())


@pytest.mark.slow
def test_the_report_is_whole(lifelong: Path) -> None:
    page, results = (lifelong / "index.html").read_text(), json.loads((lifelong / "results.json").read_text())
    assert page.count("<svg") == len(list((lifelong / "plots").glob("*.svg"))) >= 3
    assert {path.stem for path in (lifelong / "tables").glob("*.csv")} == set(results["tables"])
    assert {row["line"] for row in results["rows"]["accuracies"]} == {
        *("gate", "analytic", "experts", "pixels", "joint", "naive")
    }
    assert results["cells"][0]["settings"]["seed"] == 0


@pytest.mark.slow
def test_a_finished_experiment_only_writes_its_report_again(lifelong: Path) -> None:
    before = (lifelong / "report.md").read_bytes()
    done = run_quick("lifelong", lifelong)
    assert done.returncode == 0, done.stderr
    assert "cells" not in done.stderr, "no cell is run"
    assert (lifelong / "report.md").read_bytes() == before


def test_a_missing_data_set_is_named_before_any_work(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "engram.cli", "experiment", "lifelong", "--out", str(tmp_path / "out")]
    environment = {name: value for name, value in os.environ.items() if name != "ENGRAM_EXPERIMENT_DATA"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 65
    assert "MNIST is missing" in done.stderr
    assert "--data" in done.stderr
    assert not (tmp_path / "out").exists()
