"""A chain for development that begins with the state of another chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import pytest

import engram
from engram.consensus.chainspec import ChainSpec, Origin, chain_id, check_spec, dev, local, spec_id
from engram.consensus.errors import BadSpec
from engram.library.nodes import COINS
from engram.library.sync import SyncChain, SyncModel
from engram.node.chain.errors import ForkUnreadable, OriginMissing
from engram.node.chain.forking import fork_chain
from engram.node.chain.rebuild import rebuild
from engram.node.client import call_once
from engram.node.datadir import read_spec
from engram.node.errors import ChainExists, NodeUnreachable, RemoteError
from engram.primitives.types import ZERO_HASH
from engram.statemachine.rebasing import rebased
from engram.statemachine.record import Record
from engram.statemachine.records import Account, Blob, Maturing, RoundClock
from engram.statemachine.scoring import Scorer
from tests.support.cli import Shell


@dataclass(frozen=True)
class Grown:
    """A chain with a model, as its stopped node left it, and what was on it."""

    folder: Path
    model: str
    predictions: list[int]
    balance: Decimal


DIGITS = engram.load_data("digits")


def predicted(model: SyncModel) -> list[int]:
    return [int(label) for label in model.predict(DIGITS.features[:40])]


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Grown:
    folder = tmp_path_factory.mktemp("source") / "node"
    with engram.dev_node(("alice", "bob"), folder=folder) as alice:
        opened = alice.open_round(DIGITS.features[:300], DIGITS.labels[:300], bounty=5)
        with opened.running():
            bob = alice.using("bob")
            bob.round(opened.id).participate(DIGITS.features[300:900], DIGITS.labels[300:900], steps=60)
        (model,) = alice.models()
        return Grown(folder, model.id, predicted(model), alice.using("bob").account().balance)


def height_of(folder: Path) -> int:
    """The height that a stopped node has reached, which may have made a block as it was stopped."""
    checked = Shell(folder, {}).json("db", "check", "--blocks", "1", "--data-dir", str(folder))
    return int(checked["height"])


def goes_on_with(chain: SyncChain, grown: Grown) -> None:
    """The models and coins of the other chain are there, and rounds on them can be played."""
    model = chain.model(grown.model)
    assert predicted(model) == grown.predictions
    assert chain.using("bob").account().balance == grown.balance + COINS
    before = len(model.versions)
    opened = chain.open_round(DIGITS.features[900:1200], DIGITS.labels[900:1200], model=grown.model, bounty=5)
    with opened.running():
        bob = chain.using("bob").round(opened.id)
        played = bob.participate(DIGITS.features[1200:1790], DIGITS.labels[1200:1790], steps=60)
    assert played.outcome.status in {"decided", "kept"}, "what is drawn may be too little to decide"
    assert len(chain.model(grown.model).versions) in (before, before + 1)


def test_a_chain_begins_with_the_data_of_a_stopped_node(grown: Grown, tmp_path: Path) -> None:
    with engram.dev_node(("alice", "bob"), folder=tmp_path / "fork", fork=grown.folder) as chain:
        assert chain.head().height == 0
        goes_on_with(chain, grown)
        head = chain.head()
    source, spec = read_spec(grown.folder), read_spec(tmp_path / "fork")
    assert chain_id(spec) != chain_id(source), "no transaction is valid on both"
    assert (spec.rules, spec.hrp) == (source.rules, source.hrp)
    assert spec.origin is not None
    assert (spec.origin.height, spec.origin.spec) == (height_of(grown.folder), spec_id(source))
    with engram.dev_node(("alice", "bob"), folder=tmp_path / "fork") as again:
        kept = again.call("chain_header", height=head.height)
        assert kept["id"] == head.id, (
            "it goes on after a restart, maybe with a block that was made at its end"
        )
    with pytest.raises(ChainExists), engram.dev_node(folder=tmp_path / "fork", fork=grown.folder):
        pass
    with pytest.raises(OriginMissing):
        rebuild(tmp_path / "fork", spec, Scorer(), allow_loss=True)


def test_a_chain_begins_with_the_state_of_a_running_node(grown: Grown, tmp_path: Path) -> None:
    with (
        engram.dev_node(("alice", "bob"), folder=grown.folder) as running,
        engram.dev_node(("alice", "bob"), folder=tmp_path / "fork", fork=running.url) as chain,
    ):
        assert predicted(chain.model(grown.model)) == grown.predictions
        chain.transfer("bob", 3)
        assert chain.head().height > 0
        assert running.using("bob").account().balance == grown.balance, "the other chain has not changed"


def test_what_cannot_be_read_is_refused_by_name_and_leaves_no_chain(grown: Grown, tmp_path: Path) -> None:
    with pytest.raises(NodeUnreachable), engram.dev_node(folder=tmp_path / "a", fork="http://127.0.0.1:9"):
        pass
    assert not (tmp_path / "a" / "chain.json").exists()
    with engram.dev_node(("alice", "bob"), folder=grown.folder) as running:
        for ids, code in ([["00" * 32], "state_pruned"], [["00"], "invalid_params"]):
            with pytest.raises(RemoteError) as refusal:
                call_once(running.url, grown.folder, "state_nodes", ids=ids)
            assert refusal.value.code == code
        root = call_once(running.url, grown.folder, "chain_head")["state_root"]
        (node,) = call_once(running.url, grown.folder, "state_nodes", ids=[root])
        assert len(node) > 0


def test_the_command_line_refuses_what_it_cannot_fork(grown: Grown, tmp_path: Path) -> None:
    shell, new = Shell(tmp_path, {}), str(tmp_path / "new")
    assert shell.error("run", "--fork", str(grown.folder), "--data-dir", new) == (64, "usage")
    none = str(tmp_path / "none")
    assert shell.error("run", "--dev", "--fork", none, "--data-dir", new)[1] == "chain_not_found"
    held = str(grown.folder)
    assert shell.error("run", "--dev", "--fork", none, "--data-dir", held)[1] == "chain_exists"


@dataclass
class Endless:
    """A source whose tree has the same node on both sides, on every level."""

    spec: ChainSpec
    height: int = 5
    block: bytes = ZERO_HASH
    root: bytes = b"\x01" * 32

    async def nodes(self, names: Sequence[bytes]) -> list[bytes]:
        return [b"\x01" + bytes([name[0] + 1]) * 64 for name in names]

    async def content(self, name: bytes) -> bytes:
        raise AssertionError("no record names any")


async def test_a_tree_that_never_ends_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForkUnreadable):
        await fork_chain(tmp_path / "fork", Endless(dev((), 1)), dev((), 1))
    assert not (tmp_path / "fork" / "leveldb").exists()


def test_an_answer_has_the_nodes_that_fit(
    grown: Grown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer has one node then, and the whole state is read all the same."""
    monkeypatch.setattr("engram.node.rpc.chain.MAX_NODES_BYTES", 1)
    with engram.dev_node(("alice", "bob"), folder=grown.folder) as running:
        root = call_once(running.url, grown.folder, "chain_head")["state_root"]
        assert len(call_once(running.url, grown.folder, "state_nodes", ids=[root, root])) == 1
        with engram.dev_node(("alice", "bob"), folder=tmp_path / "fork", fork=running.url) as chain:
            assert predicted(chain.model(grown.model)) == grown.predictions


def test_only_a_chain_without_work_has_an_origin() -> None:
    origin = Origin(ZERO_HASH, ZERO_HASH, 5, ZERO_HASH)
    spec = dev((), 1)
    check_spec(replace(spec, origin=origin))
    with pytest.raises(BadSpec, match="origin"):
        check_spec(replace(local((), 1), origin=origin))


def test_records_begin_anew() -> None:
    who, other = b"\x01" * 20, b"\x02" * 20
    records: list[Record] = [
        Account(who, 5, 7),
        Maturing(who, 8, 10),
        Maturing(who, 10, 20),
        Maturing(who, 12, 40),
        Maturing(other, 13, 80),
        Blob(ZERO_HASH, 4, 9, 100, 1),
        RoundClock(33, 2, 10),
    ]
    assert list(rebased(records, 10)) == [
        Account(who, 5, 7),
        Maturing(who, 2, 40),
        Maturing(other, 3, 80),
        Blob(ZERO_HASH, 4, 0, 100, 1),
        RoundClock(33, 2, 0),
        Maturing(who, 0, 30),
    ]
