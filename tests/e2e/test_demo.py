"""`engram demo` as a user runs it: processes, both data sets; what its report says. `make soak` plays more.

The command itself asserts the story (who wins, who is caught, what it costs); an unexpected outcome is a
status other than 0. Here the report is read by someone who does not trust it.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.json_shapes import validator
from tests.support.mnist import mnist_folder

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


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_paper_on_digits_leaves_only_the_proof_where_nothing_is_to_be_kept(tmp_path: Path) -> None:
    temporary, beside = tmp_path / "tmp", tmp_path / "report"
    for folder in (temporary, beside):
        folder.mkdir()
    ours = {"engram-demo.proof", "engram-demo.chain.json"}
    for name in ours:
        (beside / name).write_text("of an earlier demo")
    path = beside / "report.json"
    report, said = play(path, "--data", "digits", "--seed", "4", temporary=temporary)
    assert list(temporary.iterdir()) == []
    assert {path.name for path in beside.iterdir()} == {"report.json", *ours}
    check(report, 4)
    assert report["data"] == "digits"
    assert report["seed"] == 4
    assert report["versions"][-1]["sealed_accuracy"] > 0.8
    assert report["test"]["accuracy"] > 0.85
    row = report["proof"]
    proof = row["path"]
    assert proof == str(beside / "engram-demo.proof")
    assert f"proof: {proof}" in said
    verify = [*DEMO[:-1], "verify", proof, "--chain", row["chain"]]
    anchored = [*verify, "--checkpoint", row["checkpoint"]]
    verified = subprocess.run(anchored, capture_output=True, text=True, check=False)
    assert verified.returncode == 0, verified.stderr
    assert f"engram verify {proof} --chain {row['chain']} --checkpoint {row['checkpoint']}" in said
    assert subprocess.run(verify, capture_output=True, check=False).returncode == 1, "not anchored"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_paper_on_mnist_on_one_node(tmp_path: Path) -> None:
    options = ("--data", str(mnist_folder()), "--nodes", "1", "--keep", str(tmp_path / "kept"))
    report, _ = play(tmp_path / "report.json", *options)
    check(report, 1)
    assert report["data"] == "MNIST"
    assert report["test"]["rows"] == 10_000
    assert report["test"]["accuracy"] > 0.85


def test_sigterm_leaves_no_process_and_no_files(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [*DEMO, "--data", "digits", "--nodes", "2", "--plain"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert demo.stdout is not None
    assert any("opened TRAIN round" in line for line in demo.stdout)
    nodes = psutil.Process(demo.pid).children()
    assert len(nodes) == 2
    demo.terminate()
    _, errors = demo.communicate(timeout=600)
    assert demo.returncode == 130, errors
    assert "[interrupted]" in errors
    assert not any(node.is_running() for node in nodes)
    assert list(tmp_path.iterdir()) == []


def test_control_c_in_a_terminal_leaves_no_process_and_no_files(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    demo = subprocess.Popen(
        [*DEMO, "--data", "digits", "--nodes", "2"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TMPDIR": str(tmp_path), "TERM": "xterm"},
        preexec_fn=_take_terminal,
    )
    os.close(theirs)
    shown = b""
    while b"opened TRAIN round" not in shown or b"node1" not in shown:
        shown += os.read(ours, 65_536)
    nodes = psutil.Process(demo.pid).children()
    os.write(ours, b"\x03")
    with suppress(OSError):  # how a terminal ends
        while chunk := os.read(ours, 65_536):
            shown += chunk
    assert demo.wait(600) == 130, shown.decode()
    assert len(nodes) == 2
    assert not any(node.is_running() for node in nodes)
    assert list(tmp_path.iterdir()) == []
    os.close(ours)


def _take_terminal() -> None:
    """In the child: standard input becomes its terminal, whose control-C is a signal."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--data", "/nowhere"), 65, "[dataset_not_found]"),
        (("--nodes", "0"), 64, "--nodes"),
        (("--json", "/nowhere/report.json"), 64, "/nowhere is not a directory"),
    ],
)
def test_what_cannot_be_played_is_refused_before_anything_starts(
    arguments: tuple[str, ...], status: int, said: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([*DEMO, *arguments], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_empty_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    done = subprocess.run([*DEMO, "--keep", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 65
    assert "[directory_not_empty]" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
