"""The commands of a document, run as they are printed: one block in a shell, the others in a second."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import IO

import pytest

from tests.support.source_tree import ROOT

WAIT_S = 600.0
"""No test depends on it: it turns a hang into a failure."""


def blocks(text: str) -> list[str]:
    """The shell blocks of a text."""
    return re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)


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


def played(scripts: Sequence[str], folder: Path) -> tuple[str, str]:
    """Runs the first script, which starts a node, and beside it all others, one after the other.

    Returns what the others have printed, and what they have said with their notes. The node is interrupted at
    the end, as a reader does it.
    """
    first, *later = scripts
    with (
        (folder / "node.log").open("w") as log,
        (folder / "notes.log").open("w") as notes,
        shell(first, folder, log) as node,
    ):
        assert node.stdout is not None
        assert "node answers at" in node.stdout.readline(), (folder / "node.log").read_text()
        with shell("".join(later), folder, notes) as player:
            printed, _ = player.communicate(timeout=WAIT_S)
        said = printed + (folder / "notes.log").read_text()
        assert player.returncode == 0, said
        os.killpg(node.pid, signal.SIGINT)
        assert node.wait(timeout=WAIT_S) in (0, 128 + signal.SIGINT, -signal.SIGINT)
    assert "Traceback" not in said
    return printed, said


def follow(text: str, folder: Path) -> str:
    """Does what a page says, block by block, in an empty data directory; returns all that is printed.

    Shell blocks are one shell each. Python blocks are one program, which goes on from block to block.
    """
    printed = io.StringIO()
    names: dict[str, object] = {}
    settings = {
        "CLONE": str(ROOT),
        "ENGRAM_DATA_DIR": str(folder / "data"),
        "ENGRAM_RPC_PORT": "0",
        "ENGRAM_P2P_PORT": "0",
    }
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.chdir(folder)
        for name, value in settings.items():
            patch.setenv(name, value)
        for language, script in re.findall(r"^```(sh|python)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            if language == "python":
                exec(compile(script, "page", "exec"), names)
                continue
            with (folder / "notes.log").open("a") as notes, shell(script, folder, notes) as process:
                told, _ = process.communicate(timeout=WAIT_S)
            printed.write(told)
            assert process.returncode == 0, script + told + (folder / "notes.log").read_text()
    return printed.getvalue()
