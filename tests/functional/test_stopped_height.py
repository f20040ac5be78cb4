"""The height that a node has left is the same wherever it is told: log, `engram node stop`, database."""

import re
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from engram.node.chain.importer import Imported, Importer
from engram.node.client import call_once
from engram.node.config import Config
from engram.node.threaded import running_node
from engram.primitives.errors import ChainError
from tests.support.cli import Shell
from tests.support.dev_node import address_of, dev_spec, write_keys


def test_a_block_that_is_judged_while_the_node_stops_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its import ends after the services, which therefore never hear of it."""
    write_keys(tmp_path)
    config = Config(data_dir=tmp_path, rpc_port=0, p2p_port=0, miner_address=address_of("miner"))
    owner, spec, original = Shell(tmp_path, {}), dev_spec(), Importer.import_block
    judging, stopping, port = threading.Event(), threading.Event(), 0

    def slow(self: Importer, *arguments: Any, **named: Any) -> Imported:
        done = original(self, *arguments, **named)
        if arguments[0].header.height == 2:
            judging.set()
            stopping.wait()
            while answers(port):  # until the services have been cancelled, with the caller of this import
                pass
        return done

    monkeypatch.setattr(Importer, "import_block", slow)
    with running_node(config, spec) as node:
        assert node.info is not None
        port = node.info.p2p_port
        owner.json("miner", "mine")
        mining = threading.Thread(target=mine, args=(node.info.rpc_url, tmp_path))
        mining.start()
        judging.wait()
        stopping.set()
        assert owner.json("node", "stop")["height"] == 2
        mining.join()
    assert owner.json("db", "check")["height"] == 2
    assert re.search(r"stopped +height=2\b", (tmp_path / "node.log").read_text())


def mine(url: str, data_dir: Path) -> None:
    """Asks for a block. The node ends before it can answer."""
    with pytest.raises(ChainError):
        call_once(url, data_dir, "miner_mine", blocks=1)


def answers(port: int) -> bool:
    """Whether something listens there."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
