"""`engram peer ban`, `unban` and `list --banned` against real nodes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engram.consensus.chainspec import ChainSpec, load_spec
from engram.node.config import Config
from engram.node.threaded import running_node
from tests.support.cli import Shell
from tests.support.dev_node import served_shell

pytestmark = pytest.mark.xdist_group("cli_bans")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A user of a running node; every test leaves the miner on."""
    with served_shell(tmp_path_factory.mktemp("node")) as made:
        yield made


def spec_of(shell: Shell) -> ChainSpec:
    return load_spec((shell.data_dir / "chain.json").read_text())


def is_banned(row: dict[str, Any]) -> bool:
    return row["error"] is not None and row["error"]["code"] == "peer_banned"


def test_a_ban_by_address_says_how_to_keep_its_node_off(shell: Shell, tmp_path: Path) -> None:
    """The node may dial in from another address at once, which no ban of the first one concerns."""
    with running_node(Config(data_dir=tmp_path, rpc_port=0, p2p_port=0), spec_of(shell)) as other:
        assert other.info is not None
        node_id, address = other.info.node_id, f"127.0.0.1:{other.info.p2p_port}"
        shell.text("peer", "add", address)
        height = shell.json("miner", "mine")[0]["height"]
        Shell(tmp_path, {}).json("chain", "wait", "--height", str(height))
        said = shell.run("peer", "ban", "127.0.0.1")
        assert (
            f"{node_id[:12]} may dial in again at once from an address that the ban does not" in said.stderr
        )
        assert f"`engram peer ban {node_id}` refuses it wherever it is" in said.stderr
        assert "may dial in again" not in shell.run("peer", "ban", node_id).stderr, "by its key"
        for banned in ("127.0.0.1", node_id):
            shell.text("peer", "unban", banned)
        shell.text("peer", "remove", address)


def test_a_ban_that_concerns_nobody_says_so(shell: Shell) -> None:
    assert "concerns no connected peer and no named address" in shell.run("peer", "ban", "203.0.113.9").stderr
    assert shell.text("peer", "unban", "203.0.113.9").split() == ["subject", "203.0.113.9", "unbanned", "yes"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
def test_nodes_on_one_machine_are_told_apart_by_their_addresses(shell: Shell, tmp_path: Path) -> None:
    """The other dials in from its own address, is banned there, and learns that it is refused."""
    port = shell.json("node", "info")["p2p_port"]
    config = Config(
        data_dir=tmp_path, rpc_port=0, p2p_port=0, p2p_host="127.0.1.3", peers=(f"127.0.0.1:{port}",)
    )
    with running_node(config, spec_of(shell)) as other:
        assert other.info is not None
        node_id = other.info.node_id
        while not (peers := shell.json("peer", "list")):
            pass
        assert peers[0]["address"].startswith("127.0.1.3:")
        named = f"127.0.1.3:{other.info.p2p_port}"
        shell.text("peer", "add", named)
        while not any(row["peer"] for row in targets(shell)):
            pass  # it is known who answers there
        assert shell.json("peer", "ban", "127.0.1.3")["disconnected"] == [node_id]
        shell.text("peer", "ban", node_id)
        refused = Shell(tmp_path, {})
        while (row := refused.json("peer", "list")[0])["error"] is None or row["error"]["got"] != "refused":
            pass
        assert "it refuses this node, and has perhaps banned it; next try in " in row["state"]
        assert re.search(r"^- .* refuses *$", refused.text("peer", "list"), re.MULTILINE)
        assert shell.json("peer", "unban", node_id)["still"] == "127.0.1.3"
        shell.text("peer", "ban", node_id)
        assert "still banned by  127.0.1.3" in shell.text("peer", "unban", node_id)
        shell.text("peer", "unban", "127.0.1.3")
        shell.text("peer", "remove", named)


def targets(shell: Shell) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = shell.json("rpc", "peer_targets")
    return rows


def test_bans(shell: Shell, tmp_path: Path) -> None:
    assert shell.text("peer", "list", "--banned").startswith("the node refuses nobody")
    with running_node(Config(data_dir=tmp_path, rpc_port=0, p2p_port=0), spec_of(shell)) as other:
        assert other.info is not None
        node_id, address = other.info.node_id, f"127.0.0.1:{other.info.p2p_port}"
        shell.text("peer", "add", address)
        height = shell.json("miner", "mine")[0]["height"]
        Shell(tmp_path, {}).json("chain", "wait", "--height", str(height))
        assert shell.json("peer", "info", node_id[:8])["address"] == address
        banned = shell.json("peer", "ban", node_id[:8], "--for", "3600", "--reason", "floods")
        assert (banned["subject"], banned["disconnected"]) == (node_id, [node_id])
        (ban,) = shell.json("peer", "list", "--banned")
        assert (ban["subject"], ban["reason"], ban["by_operator"]) == (node_id, "floods", True)
        assert ban["until_ms"] - ban["since_ms"] == 3_600_000
        listed = shell.text("peer", "list", "--banned")
        assert re.search(rf"^{node_id} .*operator +floods +20\S+ \S+ UTC ", listed, re.MULTILINE)
        while not is_banned(kept_off := shell.json("peer", "list")[0]):
            pass  # the session's end has not been noticed yet
        assert kept_off["address"] == address
        assert f"engram peer unban {node_id}`" in kept_off["state"]
        assert re.search(rf"^-  +{address} .* banned *$", shell.text("peer", "list"), re.MULTILINE)
        assert shell.json("peer", "unban", node_id[:6])["unbanned"]
        assert shell.json("peer", "list", "--banned") == []
        shell.text("peer", "remove", address)
    assert shell.error("peer", "unban", "192.0.2.7") == (65, "not_banned")
    assert shell.json("peer", "ban", "192.0.2.0/24")["subject"] == "192.0.2.0/24"
    assert shell.error("peer", "unban", "192.0.2.7") == (65, "not_banned")
    assert "`engram peer unban 192.0.2.0/24` lifts that" in shell.run("peer", "unban", "192.0.2.7").stderr
    assert "ban of 192.0.2.0/24" in shell.run("peer", "add", "192.0.2.7:1").output
    (named,) = shell.json("peer", "ban", "192.0.2.7")["not_dialled"]
    assert named == "192.0.2.7:1"
    assert shell.json("peer", "remove", "192.0.2.7") == {"address": named, "removed": True}
    assert shell.error("peer", "ban", "nobody") == (65, "peer_not_found")
    assert shell.error("peer", "unban", "nobody") == (65, "ban_invalid")
    assert shell.error("peer", "info", "00") == (65, "peer_not_found")
