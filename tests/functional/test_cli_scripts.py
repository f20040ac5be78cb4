"""What scripts ask of a node: should it be used, and has it come up."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from engram.commands.support.exitcodes import NOT_READY_STATUS
from engram.node.config import Config
from engram.node.datadir import write_spec
from engram.node.threaded import running_node
from tests.support.cli import Shell
from tests.support.dev_node import dev_spec, served_shell


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with served_shell(tmp_path) as made:
        yield made


def test_scripts_ask_whether_the_node_should_be_used(shell: Shell) -> None:
    answer = shell.json("status", "--check")
    assert (answer["ready"], answer["not_ready"]) == (True, [])
    refused = shell.run("status", "--check", "--min-peers", "1", "--json")
    assert refused.exit_code == NOT_READY_STATUS
    said = json.loads(refused.stdout)
    assert (said["ready"], [each["code"] for each in said["not_ready"]]) == (False, ["few_peers"])
    words = shell.run("status", "--check", "--min-peers", "1")
    assert (words.exit_code, words.stdout.split()[:2]) == (NOT_READY_STATUS, ["ready", "no"])
    assert "[few_peers]" in words.stdout
    aged = shell.json("chain", "head")["timestamp_ms"] <= time.time_ns() // 1_000_000 - 1000
    assert (shell.run("status", "--check", "--max-head-age", "0").exit_code == NOT_READY_STATUS) >= aged
    assert shell.run("status", "--check", "--max-head-age", "1000000000").exit_code == 0
    for wrong in (("--min-peers", "1"), ("--check", "--watch"), ("--check", "--min-peers", "-1")):
        assert shell.error("status", *wrong) == (64, "usage"), wrong
    nowhere = ("--rpc", "http://127.0.0.1:1")
    assert shell.error("status", "--check", *nowhere) == (69, "node_unreachable")


def test_a_wait_with_a_timeout_outlasts_the_start_of_the_node(tmp_path: Path) -> None:
    """The first look meets a port at which no node answers; nothing listens there then, and then the node."""
    spec = dev_spec()
    write_spec(tmp_path, spec)
    words = [sys.executable, "-m", "engram.cli", "chain", "wait", "--height", "0", "--json"]
    with ExitStack() as stack:
        nobody = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = nobody.getsockname()[1]
        (tmp_path / "engram.toml").write_text(f"rpc_port = {port}\n")
        waiting = stack.enter_context(
            subprocess.Popen(
                [*words, "--timeout", "600", "--data-dir", str(tmp_path)], stdout=subprocess.PIPE, text=True
            )
        )
        stack.callback(waiting.kill)
        nobody.accept()[0].close()
        nobody.close()
        with running_node(Config(data_dir=tmp_path, rpc_port=port, p2p_port=0), spec):
            printed, _ = waiting.communicate()
    assert (waiting.returncode, json.loads(printed)["height"]) == (0, 0)
