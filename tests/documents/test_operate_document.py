"""The commands of `docs/operate.md`, run as they are printed, on three nodes that stand for machines.

A machine is a home folder and an address of the loopback network, so the three use one port as real ones do.
The passphrase is in the environment instead of being typed, and `scp` copies between the folders. The chain
is local where the document's has a block a minute; nothing else is changed.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.node_process import WAIT_S
from tests.support.source_tree import ROOT

DOCUMENT = ROOT / "docs/operate.md"
ENGRAM = str(Path(sysconfig.get_path("scripts")) / "engram")
ADDRESSES = {"one": "127.0.0.1", "two": "127.0.0.2", "three": "127.0.0.3"}


def steps() -> list[tuple[str, str]]:
    """The machine and the commands of each block, in the order of the document."""
    blocks = re.findall(r"```sh\n# on (\w+).*?\n(.*?)```", DOCUMENT.read_text("utf-8"), flags=re.DOTALL)
    return [(str(machine), str(script)) for machine, script in blocks]


def free_port() -> int:
    """A port that is free on all three addresses."""
    with ExitStack() as stack:
        first = stack.enter_context(socket.socket())
        first.bind(("127.0.0.1", 0))
        port = int(first.getsockname()[1])
        for address in ("127.0.0.2", "127.0.0.3"):
            stack.enter_context(socket.socket()).bind((address, port))
        return port


class Machine:
    """One reader's machine: a home, an address, a node that may run."""

    def __init__(self, folder: Path, name: str, port: int) -> None:
        self.home, self.name, self._port = folder / name, name, port
        self._node: subprocess.Popen[str] | None = None
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("ENGRAM_", "XDG_"))},
            "PATH": f"{folder / 'bin'}:{sysconfig.get_path('scripts')}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "ENGRAM_DATA_DIR": str(self.home / "engram-data"),
            "ENGRAM_PASSPHRASE": "correct horse",
            "ENGRAM_RPC_PORT": "0",
            "ENGRAM_P2P_PORT": str(port),
            "ENGRAM_MAX_HASHES_PER_S": "500",
        }
        self.home.mkdir()

    def script(self, text: str) -> str:
        """The commands with this machine's addresses."""
        own = text.replace("0.0.0.0", ADDRESSES[self.name]).replace("8646", str(self._port))
        return re.sub(r"192\.0\.2\.(\d)", r"127.0.0.\1", own).replace("consortium", "local")

    def play(self, text: str) -> str:
        """What the commands print. A block that ends with `engram run` leaves the node running."""
        before, runs, _ = self.script(text).rpartition("engram run\n")
        done = self._shell(before if runs else self.script(text))
        if runs:
            self._start()
        return done

    def _shell(self, script: str) -> str:
        done = subprocess.run(
            ["bash", "-eu", "-c", script],
            cwd=self.home,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
        )
        assert done.returncode == 0, f"on {self.name}: {script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _start(self) -> None:
        self.stop()
        with (self.home / "node.log").open("a") as log:
            self._node = subprocess.Popen(
                [ENGRAM, "run"],
                cwd=self.home,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._node.stdout is not None
        assert "node answers at" in self._node.stdout.readline(), (self.home / "node.log").read_text()

    def stop(self) -> None:
        """Ends the node as Ctrl-C does, if it has not been stopped already."""
        if self._node is None:
            return
        if self._node.poll() is None:
            self._node.send_signal(signal.SIGINT)
        self._node.communicate(timeout=WAIT_S)
        assert self._node.returncode == 0, (self.home / "node.log").read_text()
        self._node = None


@contextmanager
def machines(folder: Path) -> Iterator[dict[str, Machine]]:
    """The three machines, with a `scp` that copies between them."""
    programs, port = folder / "bin", free_port()
    programs.mkdir()
    (programs / "scp").write_text(f'#!/bin/sh\ncp "$1" "{folder}/${{2%:}}/"\n')
    (programs / "scp").chmod(0o755)
    made = {name: Machine(folder, name, port) for name in ADDRESSES}
    try:
        yield made
    finally:
        for machine in made.values():
            machine.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
@pytest.mark.timeout(900)
@pytest.mark.slow
def test_three_machines_run_one_chain_as_printed(tmp_path: Path) -> None:
    with machines(tmp_path) as made:
        printed = [made[name].play(script) for name, script in steps()]
    said = "\n".join(printed)
    assert "balance       12.5\n" in said, "bob was paid"
    first, restored = (text for text in printed if re.search(r"^head +height ", text, flags=re.MULTILINE))
    assert re.findall(r"^\S+ +127\.0\.0\.\d:\d+ .* connected$", first, flags=re.MULTILINE), "it has peers"
    assert re.search(r"^keys +alice ", restored, flags=re.MULTILINE), "the key is back"
    assert re.search(r"^state +sound$", said, flags=re.MULTILINE), "the database was checked"
    for name in ADDRESSES:
        assert "Traceback" not in (tmp_path / name / "node.log").read_text()
