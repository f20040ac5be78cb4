"""`engram localnet`: a network that outlives its command, looked at, stopped, started again, deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engram.node.localnet import background
from tests.support.cli import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    folder = tmp_path / "net"
    yield Shell(folder / "node1", {"ENGRAM_LOCALNET": str(folder), "ENGRAM_PASSPHRASE": "correct horse"})
    if background.members(folder):
        background.down(folder)


def test_a_network_is_made_played_on_stopped_and_started_again(shell: Shell) -> None:
    made = shell.json("localnet", "up", "--nodes", "2", "--fund", "erin", "--fund", "frank", "--coins", "7")
    assert [row["name"] for row in made] == ["node0", "node1"]
    assert [row["info"]["peers"] >= 1 for row in made] == [True, True], "it ends once they are connected"
    assert shell.json("account", "show", "--key", "erin")["balance"] == 7 * 10**8

    frank = shell.json("key", "show", "frank")["address"]
    sent = shell.json("tx", "send", frank, "2", "--key", "erin")
    assert sent["status"] == "included"

    pids = [row["pid"] for row in shell.json("localnet", "status")]
    assert [row["pid"] for row in shell.json("localnet", "up")] == pids
    assert shell.json("localnet", "down")["stopped"] == 2
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert [row["pid"] for row in shell.json("localnet", "status")] == [None, None]

    again = shell.json("localnet", "up")
    assert [row["rpc_url"] for row in again] == [row["rpc_url"] for row in made]
    assert shell.json("account", "show", "--key", "frank")["balance"] == 9 * 10**8

    assert shell.json("localnet", "down", "--delete")["deleted"] is True
    assert not shell.data_dir.parent.exists()
    assert shell.error("localnet", "status") == (65, "localnet_missing")


def test_it_lives_in_the_data_directory_and_says_how_it_is_used(tmp_path: Path) -> None:
    shell = Shell(tmp_path, {"ENGRAM_LOCALNET": None, "ENGRAM_PASSPHRASE": None})
    folder = tmp_path / "localnet"
    try:
        said = shell.run(
            "localnet", "up", "--nodes", "1", "--fund", "erin", "--fund", "ada"
        ).stderr.splitlines()
        assert [path.name for path in background.members(folder)] == ["node0"]
        assert said[0] == "keys: ada, erin; each that the network was made with has coins"
        assert said[1] == f"try: engram account show --data-dir {folder}/node0 --key ada"
        assert "ENGRAM_PASSPHRASE=localnet" in said[2]
        shown = shell.json(*said[1].split()[2:])
        assert shown["balance"] == 1_000 * 10**8
        assert shell.run("localnet", "up", "--json").stderr == ""
    finally:
        background.down(folder)


def test_options_of_a_new_network_are_not_for_one_that_stands(shell: Shell) -> None:
    shell.json("localnet", "up", "--nodes", "1", "--fund", "erin")
    assert shell.error("localnet", "up", "--nodes", "2") == (65, "localnet_exists")
    assert [row["name"] for row in shell.json("localnet", "status")] == ["node0"]


def test_a_network_of_which_one_node_cannot_start_leaves_none_running(shell: Shell) -> None:
    made = shell.json("localnet", "up", "--nodes", "2", "--fund", "erin")
    shell.json("localnet", "down")
    config = Path(made[1]["data_dir"]) / "engram.toml"
    config.write_text(config.read_text() + "nonsense = 1\n")
    status, code = shell.error("localnet", "up")
    assert (status, code) == (65, "node_failed")
    config.write_text(config.read_text().replace("nonsense = 1\n", ""))
    assert [row["pid"] for row in shell.json("localnet", "status")] == [None, None]


def test_a_node_whose_settings_broke_is_shown_and_stopped_all_the_same(shell: Shell) -> None:
    made = shell.json("localnet", "up", "--nodes", "2", "--fund", "erin")
    config = Path(made[1]["data_dir"]) / "engram.toml"
    config.write_text(config.read_text() + "mine = true\n")
    for row, before in zip(shell.json("localnet", "status"), made, strict=True):
        assert (row["pid"], row["rpc_url"]) == (before["pid"], before["rpc_url"])
        assert row["info"]["peers"] >= 1
    assert "node1 cannot start again: " in shell.run("localnet", "status").stderr
    assert "set twice" in shell.json("localnet", "status")[1]["problem"]
    assert shell.json("status")["node_id"] == made[1]["info"]["node_id"]
    shell.json("node", "stop")
    shown = shell.json("localnet", "status")[1]
    assert (shown["pid"], shown["rpc_url"]) == (None, None)
    assert "not running: node1" in shell.run("localnet", "status").stderr
    left = shell.run("localnet", "targets")
    assert json.loads(left.stdout) == [{"targets": [made[0]["rpc_url"].removeprefix("http://")]}]
    assert "node1 is left out" in left.stderr
    assert shell.error("status") == (65, "config_invalid"), "no node runs that could be asked"


def test_every_node_names_all_others_and_prometheus_hears_of_all(shell: Shell) -> None:
    made = shell.json("localnet", "up", "--nodes", "3", "--fund", "erin")
    urls = [row["rpc_url"].removeprefix("http://") for row in made]
    assert shell.json("localnet", "targets") == [{"targets": urls}]
    for row in made:
        named = shell.json("config", "show", "peers", "--data-dir", row["data_dir"])[0]["value"]
        others = [f"127.0.0.1:{other['p2p_port']}" for other in made if other is not row]
        assert sorted(named) == sorted(others)


def test_a_network_of_which_a_directory_is_gone_does_not_start_smaller(shell: Shell) -> None:
    made = shell.json("localnet", "up", "--nodes", "2", "--fund", "erin")
    shell.json("localnet", "down")
    gone = Path(made[1]["data_dir"])
    gone.rename(gone.with_name("elsewhere"))
    assert shell.error("localnet", "up") == (65, "localnet_incomplete")
    assert [row["pid"] for row in shell.json("localnet", "status")] == [None]
    gone.with_name("elsewhere").rename(gone)
    assert len(shell.json("localnet", "up")) == 2


def test_a_directory_without_a_network(shell: Shell) -> None:
    for name in ("status", "down"):
        assert shell.error("localnet", name) == (65, "localnet_missing")
