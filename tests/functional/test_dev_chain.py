"""A chain for development: nothing on it waits for time."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

import engram
from engram.consensus.builder import Template, assemble
from engram.consensus.chainspec import Allocation, ChainSpec, dev, local
from engram.library import nodes
from engram.library.chain import AsyncChain
from engram.library.dev_keys import dev_key
from engram.library.errors import OptionInvalid
from engram.library.nodes import dev_spec
from engram.library.sync import SyncChain
from engram.node.client import call_once
from engram.node.config import Config
from engram.node.errors import RemoteError
from engram.node.mining import miner
from engram.node.threaded import running_node
from engram.primitives.keys import PrivateKey, format_address
from tests.support.cli import Shell

HOUR_MS = 3_600_000


@contextmanager
def served(folder: Path, spec: ChainSpec, **settings: Any) -> Iterator[SyncChain]:
    """A node on a data directory, for alice."""
    miner = format_address(dev_key("miner").address, spec.hrp)
    config = Config(data_dir=folder, rpc_port=0, p2p_port=0, mine=True, miner_address=miner, **settings)
    with running_node(config, spec), SyncChain(_chain(folder)) as chain:
        yield chain


def _chain(folder: Path) -> AsyncChain:
    return AsyncChain(None, data_dir=folder, key="alice", keys=dev_key)


def sent_only(folder: Path, to: str) -> str:
    """A transaction that a node has taken, whether or not a block holds it."""

    async def send() -> str:
        async with _chain(folder) as chain:
            return (await chain.wallet.transfer(to, 5)).hex()

    return asyncio.run(send())


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
        assert played.outcome.status in {"decided", "kept"}, "what is drawn may be too little to decide"
        assert played.epochs
        assert alice.head().height > 20


@pytest.mark.usefixtures("slow_clock")
def test_time_is_moved_by_blocks_ticks_and_phases(tmp_path: Path) -> None:
    data = engram.load_data("digits")
    with engram.dev_node(("alice", "bob"), folder=tmp_path) as alice:
        assert alice.advance().height == 1
        assert alice.advance(5).height == 6
        before = alice.head()
        assert alice.advance(ticks=3) == alice.head()
        assert alice.head().ticks == before.ticks + 3
        opened = alice.open_round(data.features[:300], data.labels[:300], bounty=5)
        for phase in ("draw", "reveal", "commit", "update_0", "closed"):
            head = alice.advance(phase=phase)
            found = alice.call("round_get", id=opened.id)
            assert found["phase"] == phase.removesuffix("_0")
            first, _ = found["calendar"]["commit_0" if phase == "commit" else phase]
            assert head.ticks == found["tick"] == first, "one clock, in a head and in a calendar"
        at_end = alice.head()
        assert alice.advance(phase="closed") == at_end, "the next block stands there already"
        with pytest.raises(RemoteError) as past:
            alice.advance(phase="commit_0")
        assert (past.value.code, past.value.expected) == ("phase_passed", ["closed"])


def test_no_block_is_tried_with_what_the_last_one_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def tell(spec: Any, parent: Any, reader: Any, candidates: Any, **rest: Any) -> Template:
        tried.extend(tx.id.hex() for tx in candidates)
        return assemble(spec, parent, reader, candidates, **rest)

    monkeypatch.setattr(miner, "assemble", tell)
    with engram.dev_node(("alice", "bob"), folder=tmp_path) as alice:
        sent = [alice.transfer("bob", 1) for _ in range(5)]
    assert tried == sent


def test_a_way_back_forgets_what_came_after(tmp_path: Path) -> None:
    spec = dev_spec(("alice", "bob"))
    with served(tmp_path, spec, account_index=True) as alice:
        bob = alice.using("bob")
        alice.transfer(bob.address, 1)
        start, rich = alice.snapshot(), bob.account().balance
        sent = alice.transfer(bob.address, 7)
        assert bob.account().balance == rich + 7
        call_once(alice.url, tmp_path, "miner_stop")
        waiting = sent_only(tmp_path, bob.address)
        for _ in range(2):  # a snapshot can be used again
            back = alice.revert(start)
            assert (back.id, alice.head().id) == (start, start)
            assert bob.account().balance == rich
            for txid in (sent, waiting):
                told = alice.call("tx_status", txid=txid)
                assert (told["status"], told["code"]) == ("dropped", "reverted")
            assert sent not in json.dumps(alice.call("account_history", address=bob.address))
            assert alice.call("mempool_info")["count"] == 0
    with served(tmp_path, spec, account_index=True) as alice:  # nothing comes back by a restart
        bob = alice.using("bob")
        assert (alice.head().id, bob.account().balance) == (start, rich)
        alice.transfer(bob.address, 2)
        assert bob.account().balance == rich + 2
        assert alice.head().height == alice.call("chain_header", id=start)["height"] + 1


@pytest.mark.usefixtures("slow_clock")
def test_a_round_is_played_again_after_a_way_back(tmp_path: Path) -> None:
    data = engram.load_data("digits")
    first, second = slice(0, 300), slice(300, 600)
    with engram.dev_node(("alice", "bob"), folder=tmp_path) as alice:
        bob = alice.using("bob")
        opened = alice.open_round(data.features[first], data.labels[first], bounty=5)
        start = alice.snapshot()
        for _ in range(2):
            with opened.running():
                played = bob.round(opened.id).participate(
                    data.features[second], data.labels[second], steps=20
                )
            made = {"decided": 1, "kept": 0}[
                played.outcome.status
            ]  # what is drawn may be too little to decide
            assert alice.model().versions[-1].number == made
            assert played.epochs
            alice.revert(start)
            assert alice.call("round_get", id=opened.id)["phase"] == "open"


def test_blocks_that_come_during_the_way_back_stay_gone(tmp_path: Path) -> None:
    with engram.dev_node(("alice", "bob"), folder=tmp_path) as alice:
        bob = alice.using("bob")
        alice.transfer(bob.address, 1)
        start, ended = alice.snapshot(), Event()

        def keep_paying() -> None:
            while not ended.is_set():
                sent_only(tmp_path, bob.address)

        payer = Thread(target=keep_paying)
        payer.start()
        gone = set()
        for _ in range(10):
            gone.add(alice.advance(3).id)
            alice.revert(start)
        ended.set()
        payer.join()
        alice.advance(1)
        for block in gone:
            with pytest.raises(RemoteError) as unknown:
                alice.call("chain_header", id=block)
            assert unknown.value.code == "block_not_found"


def test_what_only_such_a_chain_allows_is_refused_elsewhere(tmp_path: Path) -> None:
    spec = replace(local((), 1_700_000_000_000), name="elsewhere")
    with served(tmp_path, spec) as chain:
        for change in (chain.advance, chain.snapshot, lambda: chain.revert("00" * 32)):
            with pytest.raises(RemoteError) as refused:
                change()
            assert refused.value.code == "blocks_cost_work"
    with engram.dev_node(folder=tmp_path / "dev") as alice:
        head = alice.head()
        for wrong in ({}, {"blocks": 1, "ticks": 1}, {"blocks": -1}, {"ticks": 10_001}, {"phase": "open"}):
            with pytest.raises(RemoteError) as refused:
                call_once(alice.url, tmp_path / "dev", "dev_advance", **wrong)
            assert refused.value.code == "advance_invalid"
        with pytest.raises(RemoteError) as refused:
            alice.revert("00" * 32)
        assert refused.value.code == "block_not_found"
        with pytest.raises(RemoteError) as refused:
            alice.call("dev_advance", blocks=1)
        assert refused.value.code == "unauthorized"
        assert alice.head() == head


def test_peers_keep_the_chain_from_being_taken_back(tmp_path: Path) -> None:
    spec = dev_spec(("alice", "bob"))
    with served(tmp_path / "first", spec) as first, served(tmp_path / "second", spec) as second:
        start = first.snapshot()
        first.advance(2)
        port, heads = first.call("node_info")["p2p_port"], second.events("heads")
        call_once(second.url, tmp_path / "second", "peer_add", address=f"127.0.0.1:{port}")
        assert any(head["id"] == first.head().id for _, head in heads)
        with pytest.raises(RemoteError) as refused:
            first.revert(start)
        assert refused.value.code == "has_peers"
        assert second.head() == first.head()


def test_a_kept_chain_goes_on(tmp_path: Path) -> None:
    with engram.dev_node(("alice", "bob"), folder=tmp_path) as alice:
        head = alice.advance(3)
    with engram.dev_node(("bob",), folder=tmp_path) as bob:
        assert bob.head() == head
    with (
        pytest.raises(OptionInvalid, match="other accounts") as refused,
        engram.dev_node(("alice", "carol"), folder=tmp_path),
    ):
        pass
    assert refused.value.got == ["carol"]


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
