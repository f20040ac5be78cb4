"""The quick versions of hospitals, paper and adversaries from the command line: what must come of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def results_of(name: str, out: Path) -> dict[str, Any]:
    """Runs the quick version; what it has found."""
    command = [sys.executable, "-m", "engram.cli", "experiment", name, "--quick", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (out / "index.html").read_text()
    assert page.count("<svg") == len(list((out / "plots").glob("*.svg"))) >= 2
    found: dict[str, Any] = json.loads((out / "results.json").read_text())
    assert {path.stem for path in (out / "tables").glob("*.csv")} == set(found["tables"])
    return found


def test_six_owners_teach_what_none_of_them_could_teach_alone(tmp_path: Path) -> None:
    rows = results_of("hospitals", tmp_path / "out")["rows"]
    balanced = {row["method"]: row["balanced"] for row in rows["accuracy"]}
    assert balanced["sums"] > 82
    assert balanced["sums"] > balanced["other alone"] + 2, "the largest owner gains, too"
    assert balanced["sums"] > balanced["joint ridge"] - 4
    assert balanced["majority class"] < 15
    rounds = [row for row in rows["rounds"] if row["method"] == "sums"]
    assert [row["winner"] for row in rounds] == ["registry"] * 6
    assert all(row["bytes"] < 5_000 for row in rounds)
    handed = {(row["owner"], row["class"]): row["handed_over"] for row in rows["handed"]}
    assert not any(given for (owner, _), given in handed.items() if owner == "WEST")
    assert [name for (owner, name), given in handed.items() if owner == "SVHD" and given] == ["no condition"]
    public = [row for row in rows["public"] if row["method"] == "sums"]
    senders = {row["sender"] for row in public if row["type"].startswith("reveal_")}
    assert senders == {"other", "SVI", "registry"}, "nobody else's rows stand on the chain"


def test_the_setting_of_the_paper_works_on_three_mining_nodes(tmp_path: Path) -> None:
    rows = results_of("paper", tmp_path / "out")["rows"]
    accuracy = {(row["version"], row["digits"]): row["accuracy"] for row in rows["versions"]}
    assert accuracy[1, "old"] > 85
    assert accuracy[2, "all"] > 78
    assert {(row["round"], row["epoch"]) for row in rows["epochs"]} == {
        ("founding", 1),
        ("founding", 2),
        ("growth", 1),
        ("growth", 2),
    }
    (chain,) = rows["chain"]
    assert (chain["nodes"], chain["blocks"] > 40) == (3, True)
    spent = {row["type"]: row for row in rows["transactions"]}
    assert all(row["fee"] > 0 and row["seconds"] > 0 for row in spent.values())
    assert spent["score_update"]["macs"] > spent["reveal_update"]["macs"]
    dual = {row["examples"]: row for row in rows["dual"] if row["when"] == "before the growth"}
    assert dual[0]["new"] == 0, "the chain alone knows no new digit"
    assert dual[30]["new"] > 65
    assert dual[30]["all"] > dual[0]["all"] + 15


def test_what_attacks_bring_and_cost(tmp_path: Path) -> None:
    rows = results_of("adversaries", tmp_path / "out")["rows"]["fights"]
    found = {row["attack"]: row for row in rows}
    assert found["nobody"]["winner"] == found["liars"]["winner"] == "honest"
    assert found["liars"]["codes"] == "loss_mismatch x 2"
    assert found["liars"]["attackers_gain"] < -2 * 10**8, "both bonds burn"
    assert found["liars"]["honest_gain"] > 20 * 10**8
    assert found["leaking-opener-alone"]["winner"] == "attackers", "without a witness, this attack succeeds"
    withheld = found["withholding-opener"]
    assert (withheld["winner"], withheld["status"]) == ("nobody", "aborted")
    assert withheld["opener_gain"] < -70 * 10**8, "bounty and bond burn"
    assert withheld["honest_gain"] > -(10**8), "authors lose their fees, and get their bonds back"
