"""What the library tells people: names and words in place of addresses and numbers, reasons, short texts."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

import engram
from engram import SyncChain, SyncModel
from engram.library.errors import OptionInvalid
from engram.library.rounds import PlayingOptions
from engram.node.errors import RemoteError
from engram.participant.datasets import Dataset
from engram.participant.errors import ForeignRound, KeyMissing, RecordMissing
from engram.participant.tables.mapping import DataMapping
from engram.primitives.errors import BadAddress
from tests.support.library_rounds import three_digits, trained

pytestmark = pytest.mark.xdist_group("library_words")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return three_digits()


@pytest.fixture(scope="module")
def chain() -> Iterator[SyncChain]:
    with engram.dev_node() as made:
        yield made


@pytest.fixture(scope="module")
def model(chain: SyncChain, data: Dataset) -> SyncModel:
    """A model that alice has founded and bob has trained."""
    return trained(chain, data)


def test_what_is_explained_has_names_and_words(model: SyncModel, data: Dataset) -> None:
    """Of accounts and classes, where they are known: nobody reads addresses and numbers."""
    said = str(model.explain(data.features[:1])).splitlines()
    assert any(line.startswith("version 1 by bob (classes 0-2)") for line in said)
    assert str(model.lineage[0]) == "version 1 by bob (classes 0-2)"
    network = model.pull()
    mapping = DataMapping(network.inputs, ("calm", "rain", "storm"), (0.0,), (1.0,))
    named = network.with_mapping(mapping).explain(data.features[:1] / 255)
    assert "version 1 by bob (classes calm, rain, storm)" in str(named)
    assert pickle.loads(pickle.dumps(network)) == network


def test_what_a_notebook_shows_is_one_line(model: SyncModel, data: Dataset) -> None:
    network = model.pull()
    mapping = DataMapping(64, tuple(f"kind {number}" for number in range(99)), (0.0,) * 64, (1.0,) * 64)
    proof = model.prove()
    shown = (
        *(data, network, mapping, network.with_mapping(mapping), model.explain(data.features)),
        *(model.evaluate(data.features, data.labels), proof, model, model.versions[0]),
    )
    for each in shown:
        assert "\n" not in repr(each)
        assert len(repr(each)) < 400
    assert repr(data) == f"Dataset({data.rows} rows of 64 features, labels 0 to 2 (3 classes))"
    assert "kind 0, kind 1, kind 2, kind 3 and 95 more" in repr(mapping)


def test_kinds_and_statuses_are_words(chain: SyncChain, model: SyncModel) -> None:
    shown, told = chain.round().info(), chain.call("round_get", id=chain.round().id)
    assert (shown["status"], shown["terms"]["kind"]) == ("decided", "train")
    assert {**shown, "status": 1, "terms": told["terms"]} == {**told, "base": shown["base"]}
    assert (model.info()["policy"], model.info()["loss_kind"]) == ("strict", "softmax_cross_entropy")
    assert [each.kind for each in model.versions] == ["train", "train"]


def test_an_account_is_an_address_or_a_name(chain: SyncChain, model: SyncModel, data: Dataset) -> None:
    bob = chain.using("bob")
    before = bob.account().balance
    chain.transfer("bob", 1)
    assert chain.account("bob") == bob.account()
    assert chain.account("bob").balance == before + 1
    for wrong in ("zed", "", "bob ", chain.address[:-1]):
        with pytest.raises(BadAddress):
            chain.transfer(wrong, 1)
    with pytest.raises(BadAddress, match="known are: alice, bob, carol, miner"):
        chain.account("zed")
    with pytest.raises(OptionInvalid, match="members is a list"):
        chain.open_round(data.features, data.labels, members="bob")
    with pytest.raises(BadAddress):
        chain.open_round(data.features, data.labels, witnesses=["bob", "zed"])


def test_errors_name_those_who_are_known(chain: SyncChain, model: SyncModel, data: Dataset) -> None:
    """Seen: an error told two addresses, and not that they are alice's and bob's."""
    opened = chain.rounds()[0]
    alice, bob = chain.address, chain.using("bob").address
    with pytest.raises(ForeignRound) as refused:
        chain.using("bob").round(opened.id).run()
    assert refused.value.message.startswith(f"alice ({alice[:12]}…) has opened the round")
    assert f"not bob ({bob[:12]}…): give the key of its opener" in str(refused.value)


def test_whom_a_round_names_may_be_called_by_name(data: Dataset) -> None:
    with engram.dev_node() as chain:
        bob, carol = chain.using("bob").address, chain.using("carol").address
        opened = chain.open_round(
            *(data.features, data.labels), members=["bob"], witnesses=["carol"], old_witnesses=[bob]
        ).info()
        named = [(each["address"], each["old_only"]) for each in opened["terms"]["witnesses"]]
        assert named == [(carol, False), (bob, True)]
        assert chain.model().info()["members"] == [bob]


def test_why_a_round_was_not_decided_is_told(data: Dataset) -> None:
    """Nobody takes part, so nothing becomes a candidate."""
    with engram.dev_node(("alice",)) as chain:
        outcome = chain.open_round(data.features, data.labels, epochs=1).run()
    assert (outcome.status, outcome.version, outcome.winner) == ("kept", None, None)
    assert outcome.why == ("no update became a candidate",)
    assert outcome.updates == ()
    assert str(outcome) == f"round {outcome.round[:12]} is kept\nno update became a candidate"


def test_a_chain_that_is_opened_from_elsewhere_knows_the_names_of_dev_accounts(tmp_path: Path) -> None:
    """It said that none are known, to a program that acts as one of them."""
    with (
        engram.dev_node(("alice", "bob")) as node,
        engram.connect(node.url, data_dir=tmp_path, key=engram.dev_key("alice")) as chain,
    ):
        before = chain.account("bob").balance
        chain.transfer("bob", 1)
        chain.transfer(engram.dev_key("bob"), 2)
        assert chain.account(engram.dev_key("bob")) == chain.account("bob") == node.using("bob").account()
        assert chain.account("bob").balance == before + 3
        with pytest.raises(BadAddress, match="neither an address"):
            chain.account("carol")  # to whom this chain gave nothing
        with pytest.raises(BadAddress, match="or a PrivateKey") as caught:
            chain.account(engram.dev_key("bob").address)  # type: ignore[arg-type]
        assert "\\x" not in str(caught.value)
    with engram.localnet(1, ("alice",)) as (worked,), engram.connect(worked.url, data_dir=tmp_path) as reader:
        with pytest.raises(BadAddress):
            reader.account("alice")  # its blocks cost work, so names there mean nothing
        with pytest.raises(KeyMissing, match=r"engram\.dev_key"):
            reader.transfer(worked.address, 1)


def test_a_round_that_was_taken_back_is_named(tmp_path: Path, data: Dataset) -> None:
    """Whoever played it heard that there is no such round, and not why or what to do."""
    with engram.dev_node(("alice", "bob")) as alice:
        start = alice.snapshot()
        opened = alice.open_round(data.features, data.labels, hidden=(2,), rows=50)
        played = alice.using("bob").round(opened.id)
        alice.revert(start)
        for play in (opened.run, lambda: played.participate(data.features, data.labels)):
            with pytest.raises(RecordMissing, match=r"holds it no more.*taken back.*chain\.rounds\(\)"):
                play()
        for look in (opened.info, opened.wait):
            with pytest.raises(
                RemoteError, match=r"holds it no more.*taken back.*chain\.rounds\(\)"
            ) as caught:
                look()
            assert (caught.value.code, caught.value.got) == ("missing_round", opened.id)
        with engram.connect(alice.url, data_dir=tmp_path) as other:
            with pytest.raises(RemoteError, match=r"data_dir=FOLDER") as refused:
                other.snapshot()
            assert refused.value.code == "unauthorized"


def test_help_lists_every_option_of_an_author() -> None:
    """`help` showed the name of the type alone, without its options and defaults."""
    told = PlayingOptions.__doc__ or ""
    assert [name for name in PlayingOptions.__annotations__ if f"`{name}`" not in told] == []
