"""A chain for development: nothing on it waits for time."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

import engram
from engram.consensus.chainspec import Allocation, ChainSpec, dev, local
from engram.library import nodes
from engram.node.config import Config
from engram.node.threaded import running_node
from engram.primitives.keys import PrivateKey
from tests.support.cli import Shell

HOUR_MS = 3_600_000


@pytest.fixture
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Development chains whose blocks would come each hour if they waited for the clock."""
    usual = nodes.dev_spec

    def hourly(accounts: tuple[str, ...]) -> ChainSpec:
        return replace(usual(accounts), block_time_ms=HOUR_MS)

    monkeypatch.setattr(nodes, "dev_spec", hourly)


@pytest.mark.usefixtures("slow_clock")
def test_a_round_goes_on_as_fast_as_those_who_play_it(tmp_path: Path) -> None:
    data = engram.load_data("digits")
    first, second = slice(0, 300), slice(300, 600)
    with engram.dev_node(("alice", "bob"), folder=tmp_path / "node") as alice:
        opened = alice.open_round(data.features[first], data.labels[first], bounty=5)
        with opened.running():
            bob = alice.using("bob")
            played = bob.round(opened.id).participate(data.features[second], data.labels[second], steps=20)
        assert played.outcome.status == "decided"
        assert alice.head().height > 20


@pytest.mark.parametrize("works", [True, False])
def test_every_command_that_shows_work_says_where_blocks_cost_none(works: bool, tmp_path: Path) -> None:
    none = "none: blocks of this chain cost no work"
    accounts = (Allocation(PrivateKey.from_seed(bytes(32)).address, 1),)
    spec = (local if works else dev)(accounts, time.time_ns() // 1_000_000 - 600_000)
    shell = Shell(tmp_path, {})
    with running_node(Config(data_dir=tmp_path, rpc_port=0, p2p_port=0), spec):
        status = shell.json("status")
        assert status["has_work"] is works
        for command in (("node", "info"), ("chain", "info"), ("chain", "head"), ("chain", "header", "0")):
            assert shell.json(*command)["has_work"] is works
            assert (none in shell.text(*command)) is not works
            assert "has_work" not in shell.text(*command)
        assert shell.json("chain", "block", "0")["has_work"] is works
        lines = [line.split(maxsplit=1) for line in shell.text("chain", "block", "0").splitlines()]
        shown = {line[0]: line[1] for line in lines if len(line) > 1}
        assert (shown["work"] == none) is (shown["target"] == none) is not works
        assert (f"work {none}" in shell.text("status")) is not works
