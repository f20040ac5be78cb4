"""The README's round by hand, run exactly as it is printed: one block in a shell, the other in a second."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.support.source_tree import ROOT

SECTION = "## Play a round by hand\n"
WAIT_S = 600.0
"""No test depends on it: it turns a hang into a failure."""


def blocks() -> list[str]:
    """The shell blocks of the section."""
    section = (ROOT / "README.md").read_text("utf-8").partition(SECTION)[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)


@contextmanager
def shell(script: str, folder: Path, errors: IO[str]) -> Iterator[subprocess.Popen[str]]:
    """A shell that runs the script; what it has started ends with the block.

    The ports are free ones, where a reader has the usual ones.
    """
    path = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    ports = {"ENGRAM_RPC_PORT": "0", "ENGRAM_P2P_PORT": "0"}
    process = subprocess.Popen(
        ["bash", "-e", "-c", script],
        cwd=folder,
        env={**os.environ, **ports, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.timeout(900)
def test_a_round_is_played_by_hand_as_printed(tmp_path: Path) -> None:
    first, second = blocks()
    with (
        (tmp_path / "node.log").open("w") as log,
        (tmp_path / "notes.log").open("w") as notes,
        shell(first, tmp_path, log) as node,
    ):
        assert node.stdout is not None
        assert "node answers at" in node.stdout.readline(), (tmp_path / "node.log").read_text()
        with shell(second, tmp_path, notes) as player:
            printed, _ = player.communicate(timeout=WAIT_S)
        said = printed + (tmp_path / "notes.log").read_text()
        assert player.returncode == 0, said
        os.killpg(node.pid, signal.SIGINT)
        assert node.wait(timeout=WAIT_S) in (0, 128 + signal.SIGINT, -signal.SIGINT)
    fields = [line.split() for line in printed.splitlines()]
    assert ["epochs", "0:", "candidate_admitted"] in fields
    assert fields.count(["epochs", "0:", "candidate_admitted"]) == 2, "alice and bob"
    assert fields.count(["status", "decided"]) == 4, "three who played, and `round show`"
    assert ["independent", "yes"] in fields, "carol's part was opened"
    assert ["frozen", "yes"] in fields
    assert ["accepted"] in fields
    assert "The file model.npz holds exactly the weights and biases of this version." in printed
    assert "rows came from witnesses" in printed
    assert (tmp_path / "model.npz.intoto.json").is_file()
    assert "Traceback" not in said
