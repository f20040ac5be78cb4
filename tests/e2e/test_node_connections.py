"""A node process with few descriptors under more idle connections than it could ever hold."""

from __future__ import annotations

import resource
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import psutil
import pytest

from engram.node.datadir import make_data_dir
from tests.support.dev_node import address_of, dev_spec
from tests.support.node_process import NodeCommand, processes

pytestmark = pytest.mark.fault(id=37)

LIMIT: Final = 256
IDLE: Final = 500
"""Connections to each of the two ports."""
PROGRAM: Final = (
    sys.executable,
    "-c",
    f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({LIMIT}, {LIMIT})); "
    "from engram.cli import main; main(prog_name='engram')",
)


def test_a_thousand_idle_connections_keep_a_node_from_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= 4 * IDLE, "this test needs descriptors of its own"
    make_data_dir(tmp_path / "node", dev_spec())
    node = NodeCommand(tmp_path / "node", "--miner-address", address_of("miner"), program=PROGRAM)
    with ExitStack() as stack:
        stack.enter_context(processes(node))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4 * IDLE), hard))
        node.call("miner_mine", blocks=3)
        before = len(node.log.splitlines())
        for _ in range(IDLE):
            for port in (node.info["rpc_port"], node.info["p2p_port"]):
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert node.call("chain_head")["height"] == 3
        assert len(node.call("miner_mine", blocks=5)) == 5, "blocks are written to files"
        assert psutil.Process(node.pid).num_fds() < LIMIT
        block = node.call("chain_block", height=2)
        assert block["height"] == 2
        assert node.stop() == 0
    assert "Traceback" not in node.log
    assert len(node.log.splitlines()) - before <= 10
