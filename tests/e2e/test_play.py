"""`engram play` as a newcomer runs it: killed and gone on with, and in a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from engram.library.connect import connect
from engram.node.config import Config
from engram.node.datadir import read_spec
from engram.node.threaded import running_node
from engram.statemachine.rounds.records import RoundKind, RoundStatus

PLAY = (sys.executable, "-m", "engram.cli", "play")
STEPS = ["keys", "coins", "open", "seal", "train", "predict", "grow", "teach", "again"]


def kill_after(folder: Path, step: str) -> list[dict[str, Any]]:
    """The lines of a play that is killed once it has told of this step, while the next one runs."""
    lines: list[dict[str, Any]] = []
    with subprocess.Popen(
        [*PLAY, str(folder), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as play:
        assert play.stdout is not None
        assert play.stderr is not None
        for line in play.stdout:
            lines.append(json.loads(line))
            if lines[-1]["step"] == step:
                play.kill()
                break
        else:
            pytest.fail(play.stderr.read())
    return lines


@pytest.mark.timeout(600)
def test_a_play_that_is_killed_goes_on_where_it_was_and_pays_nothing_twice(tmp_path: Path) -> None:
    folder = tmp_path / "play"
    for step in ("keys", "open", "seal", "grow"):
        told = kill_after(folder, step)
        assert [line["step"] for line in told] == STEPS[: STEPS.index(step) + 1]
    done = subprocess.run([*PLAY, str(folder), "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    last = {line["step"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert list(last) == STEPS
    before = ("keys", "coins", "open", "seal", "train", "grow")
    assert {last[step]["status"] for step in before} == {"done before"}
    assert last["again"]["status"] == "done"
    assert all(line["commands"] for line in last.values())

    config = Config(data_dir=folder, rpc_port=0, p2p_port=0)
    with running_node(config, read_spec(folder)), connect(data_dir=folder) as chain:
        kinds = [(each["terms"]["kind"], each["status"]) for each in chain.call("round_list")]
        assert kinds == [
            (RoundKind.TRAIN, RoundStatus.DECIDED),
            (RoundKind.GROW, RoundStatus.DECIDED),
        ]
        blocks = [chain.call("chain_block", height=height) for height in range(1, chain.head().height + 1)]
        sent = [tx["name"] for block in blocks for tx in block["transactions"]]
        assert sent.count("transfer") == 3
        assert sent.count("open_round") == 2


@pytest.mark.timeout(600)
def test_in_a_terminal_it_waits_for_a_key_and_control_c_says_how_to_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "play"
    ours, theirs = pty.openpty()
    play = subprocess.Popen(
        [*PLAY, str(folder)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while b"Press a key" not in shown:
        shown += os.read(ours, 65_536)
    assert b"engram key new alice" in shown
    assert not (folder / "keys" / "alice.json").exists()
    os.write(ours, b"\r")
    while b"Press a key" not in shown.partition(b"2 of 9")[2]:
        shown += os.read(ours, 65_536)
    assert b"engram tx send alice" in shown
    os.write(ours, b"\x03")
    with suppress(OSError):  # how a terminal ends
        while chunk := os.read(ours, 65_536):
            shown += chunk
    os.close(ours)
    assert play.wait(300) == 130, shown.decode()
    assert f"The same command goes on here: engram play {folder}" in " ".join(shown.decode().split())


def test_without_a_terminal_it_asks_for_yes(tmp_path: Path) -> None:
    folder = tmp_path / "play"
    done = subprocess.run(
        [*PLAY, str(folder)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 64
    assert "--yes" in done.stderr
    assert not folder.exists()
