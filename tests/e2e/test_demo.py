"""`engram demo` as a user runs it: processes, and what its report says. `make soak` plays more.

The command itself asserts the story (who wins, who is caught, what it costs); an unexpected outcome is a
status other than 0. Here the report is read by someone who does not trust it.
"""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import termios
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.played_demo import DEMO, check, play


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
