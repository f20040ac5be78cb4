"""The library as a program uses it: a real node, a round played to its end, and what is refused."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

import engram
from engram import SyncChain, SyncModel
from engram.library.portal import Portal
from engram.nn.tensor import tensor_bytes
from engram.node.datadir import KEYS_DIRECTORY
from engram.node.errors import KeyNotFound, NodeUnreachable, WrongPassphrase
from engram.node.keystore import Keystore
from engram.participant.datasets import Dataset
from engram.participant.errors import (
    DatasetMismatch,
    EmptyDataset,
    FeatureOutOfRange,
    IdNotFound,
    KeyMissing,
    PassphraseMissing,
    RoundMissed,
    SecretsNotFound,
    WeightsMismatch,
)
from engram.participant.notices import Notice
from engram.participant.tables.errors import DataDoubtful
from engram.primitives.keys import format_address
from tests.support.library_rounds import founded, taught, three_digits

pytestmark = pytest.mark.xdist_group("library")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return three_digits()


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncChain]:
    with engram.dev_node(folder=tmp_path_factory.mktemp("dev")) as made:
        yield made


@pytest.fixture(scope="module")
def model(chain: SyncChain, data: Dataset) -> SyncModel:
    """A model that alice has founded and bob has trained."""
    opened = founded(chain, data, bounty=5)
    said: list[Notice] = []
    with opened.running(said.append):
        bob = chain.using("bob")
        played = taught(bob, opened, data)
    assert {notice.event for notice in said} >= {"revealed", "sealed_opened", "round_ended"}
    assert played.outcome == opened.wait()
    assert (played.outcome.status, played.outcome.version) == ("decided", 1)
    assert played.outcome.winner == bob.address
    assert [epoch.code for epoch in played.epochs] == ["candidate_admitted"]
    (update,) = played.outcome.updates
    assert (update.epoch, update.author, update.reasons) == (0, bob.address, ())
    assert update.paid > 0
    assert "took the lead" in update.why[0]
    assert str(played.outcome).startswith(f"round {opened.id[:12]} is decided: version 1 by bob\n")
    assert "epoch 1, bob (" in played.outcome.why[0]
    assert played.bonds_burned == 0 < played.bonds_returned
    return chain.model(played.outcome.model)


def test_a_model_answers_with_the_integers_of_the_chain(
    chain: SyncChain, model: SyncModel, data: Dataset
) -> None:
    rows = data.features[:5]
    told = chain.call("model_predict", id=model.id, rows=rows.tolist())["predictions"]
    assert model.predict(rows).tolist() == [each["class"] for each in told]
    assert model.pull().logits(rows).tolist() == [each["logits"] for each in told]
    assert model.predict_proba(rows).max(axis=1).tolist() == [each["probability"] for each in told]
    founding, trained = model.versions
    assert (founding.number, trained.number) == (0, 1)
    assert trained.accuracy is not None
    assert trained.accuracy > 0.5
    assert trained.root == model.pull().root.hex()
    arrays = [array for each in model.pull().parameters for array in (each.weights, each.bias)]
    counted = sum(len(tensor_bytes(array)) for array in arrays)
    assert founding.parameter_bytes == trained.parameter_bytes == counted
    assert [each.author for each in model.lineage] == [chain.using("bob").address]
    why = model.explain(rows)
    assert why.groups == tuple(model.lineage)
    assert why.logit.tolist() == [max(each["logits"]) for each in told]
    parts = chain.call("model_predict", id=model.id, rows=rows.tolist(), explain=True)["predictions"]
    assert why.margin_parts[:, 0].tolist() == [each["parts"][0]["margin"] for each in parts]
    seen = model.evaluate(data.features, data.labels)
    assert seen.accuracy == np.mean(model.predict(data.features) == data.labels)
    assert seen.accuracy > model.evaluate(data.features, data.labels, version=0).accuracy


def test_a_proof_is_what_the_node_gives(model: SyncModel, tmp_path: Path) -> None:
    proof = model.prove()
    assert proof.save(tmp_path / "model.proof").read_bytes() == proof.raw
    assert len(proof.facts["block"]) == 64


def test_a_proof_names_one_network_and_no_other(chain: SyncChain, model: SyncModel, tmp_path: Path) -> None:
    proof, network = model.prove(), model.pull()
    spec = chain.spec()
    network.save(tmp_path / "v1.npz")
    for given in (network, tmp_path / "v1.npz"):
        verdict = engram.verify(proof, checkpoint=proof.facts["block"], chain=spec, network=given)
        assert verdict.accepted
        assert verdict.network == network
        assert verdict.proves[-1].endswith("holds exactly the weights and biases of this version.")
        assert verdict.facts["root"] == network.root.hex()
    model.pull(version=0).save(tmp_path / "v0.npz")
    for other in (model.pull(version=0), tmp_path / "v0.npz"):
        with pytest.raises(WeightsMismatch):
            engram.verify(proof, checkpoint=proof.facts["block"], chain=spec, network=other)


def test_what_is_on_the_chain_is_found_by_the_beginning_of_its_id(chain: SyncChain, model: SyncModel) -> None:
    assert [each.id for each in chain.models()] == [model.id]
    assert chain.model(model.id[:6]).id == chain.model().id == model.id
    assert chain.model(model.id.upper()).id == chain.model(model.id[:6].upper()).id == model.id
    (only,) = chain.rounds(model.id[:4])
    assert chain.round().id == only.id
    with pytest.raises(IdNotFound):
        chain.model("zz")


def test_coins_are_exact(chain: SyncChain, model: SyncModel) -> None:
    carol = chain.using("carol")
    before = carol.account().balance
    chain.transfer(carol.address, "0.00000001")
    chain.transfer(carol.address, 0.1)
    chain.transfer(carol.address, np.float64(0.2))
    assert carol.account().balance - before == Decimal("0.30000001")
    assert chain.account(carol.address) == carol.account()
    for wrong in (-1, "1.123456789", 1e-9, "much", "0,5", True, float("nan"), np.float64("inf")):
        with pytest.raises(engram.ChainError, match="not an amount") as refused:
            chain.transfer(carol.address, wrong)
        assert refused.value.code == "amount_invalid"


def test_what_the_chain_cannot_hold_is_refused_before_anything_is_sent(
    chain: SyncChain, model: SyncModel, data: Dataset
) -> None:
    before = chain.account()
    with pytest.raises(FeatureOutOfRange):
        chain.open_round(data.features / 255, data.labels)
    with pytest.raises(DatasetMismatch):
        chain.open_round(data.features, data.labels[1:])
    with pytest.raises(EmptyDataset):
        chain.open_round(data.features[:0], data.labels[:0])
    with pytest.raises(DataDoubtful, match="sure=True") as caught:
        chain.open_round(data.features, data.labels * 2)
    assert caught.value.got == ["class_gaps"]
    with pytest.raises(DataDoubtful, match="no row has the classes 3, 4, which") as caught:
        chain.open_round(data.features, data.labels, classes=5)
    assert caught.value.got == ["class_gaps"]
    with pytest.raises(DatasetMismatch):
        model.predict(data.features[:, 1:])
    assert chain.account() == before


def test_a_guess_about_a_file_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("1,5,1\n0,6,0\n")
    with pytest.warns(UserWarning, match="which column holds the labels"):
        assert engram.load_data(path).labels.tolist() == [1, 0]
    assert engram.load_data(path, label="first").labels.tolist() == [1, 0]


def test_a_round_that_is_not_opened_leaves_the_wait_for_another(
    chain: SyncChain, model: SyncModel, data: Dataset
) -> None:
    chain.call("miner_muster", programs=2)
    try:
        with pytest.raises(engram.ChainError) as refused:
            chain.open_round(data.features, data.labels, bounty=10**9, wait_for=3)
        assert refused.value.code == "insufficient_balance"
        assert chain.call("miner_pace")["muster"] == 2
    finally:
        chain.call("miner_muster", programs=0)


def test_those_who_look_at_the_chain_are_told_the_names_of_its_accounts(chain: SyncChain) -> None:
    names = {each["address"]: each["name"] for each in chain.call("dev_names")}
    assert sorted(names.values()) == ["alice", "bob", "carol", "miner"]
    assert names[chain.using("bob").address] == "bob"


def test_those_who_connect_from_elsewhere_read_names_but_pay_none_of_them(
    tmp_path: Path, data: Dataset
) -> None:
    """A node could call its own account bob: names that it alone gives are for texts."""
    with engram.dev_node(("alice", "bob"), folder=tmp_path / "node") as chain:
        Keystore(tmp_path / "node" / KEYS_DIRECTORY, "deng").create("carol", "a passphrase")
        bob = chain.using("bob").address
        with engram.connect(chain.url, key=engram.dev_key("alice"), data_dir=tmp_path / "bot") as reader:
            reader.transfer("bob", 1)
            with pytest.raises(engram.ChainError) as refused:
                reader.transfer("carol", 1)
            assert refused.value.code == "bad_address"
            assert "known are: alice, bob (got carol)" in str(refused.value)
            assert reader.account("bob").address == bob
            opened = chain.open_round(data.features, data.labels, hidden=(8,), rows=30)
            assert reader.model().lineage[0].name == "alice"
            with pytest.raises(engram.ChainError, match=r"alice \(deng1"):
                reader.using(engram.dev_key("bob")).round(opened.id).run()


def test_without_a_key_a_chain_is_only_read(chain: SyncChain, model: SyncModel, data: Dataset) -> None:
    with engram.connect(chain.url) as reader:
        assert reader.model().id == model.id
        assert reader.head().height >= 1
        for act in (
            lambda: reader.address,
            lambda: reader.account(),
            lambda: reader.transfer(chain.address, 1),
            lambda: reader.open_round(data.features, data.labels),
            lambda: reader.round().run(),
            lambda: reader.round().participate(data.features, data.labels),
        ):
            with pytest.raises(KeyMissing):
                act()


def test_a_round_that_is_over_is_not_joined(chain: SyncChain, model: SyncModel, data: Dataset) -> None:
    with pytest.raises(RoundMissed):
        chain.using("carol").round().participate(data.features, data.labels)
    with pytest.raises(SecretsNotFound):
        chain.using("carol").round().unseal()


def test_events_come_one_by_one(chain: SyncChain, model: SyncModel) -> None:
    heads = chain.events("heads")
    sender = threading.Thread(target=chain.using("bob").transfer, args=(chain.address, 1))
    sender.start()
    topic, event = next(heads)
    sender.join()
    assert (topic, event["height"] > 0) == ("heads", True)


def test_a_stream_says_when_its_node_is_there_again(tmp_path: Path) -> None:
    """What happened meanwhile is told by no event, so a bot looks at the chain at each None."""
    with engram.dev_node(("alice",), folder=tmp_path):
        reader = engram.connect(data_dir=tmp_path)
        stream = reader.subscribed("heads")
        assert next(stream) is None
    with reader, engram.dev_node(("alice",), folder=tmp_path) as chain:
        assert next(stream) is None
        head = chain.advance()
        found = next(stream)
        assert found is not None
        assert (found[0], found[1]["id"]) == ("heads", head.id)


def test_both_faces_of_a_chain_have_the_same_methods() -> None:
    """A bot with `async` could notice that its node had started again, and one without could not."""
    compared = 0
    for waiting, face in (
        (engram.AsyncChain, SyncChain),
        (engram.AsyncModel, SyncModel),
        (engram.AsyncRound, engram.SyncRound),
    ):
        for name, method in vars(waiting).items():
            if name.startswith("_") or not callable(method):
                continue
            other = getattr(face, name)
            if isinstance(other, property):
                continue  # `model.versions` and `model.lineage` are awaited as methods, as the page says
            params = [inspect.signature(each).parameters.values() for each in (method, other)]
            named = [[(each.name, each.kind, each.default) for each in some] for some in params]
            assert named[0] == named[1], name
            compared += 1
    assert compared > 25


@pytest.mark.slow
async def test_it_works_where_an_event_loop_runs_as_in_a_notebook(chain: SyncChain, model: SyncModel) -> None:
    assert chain.head().height >= 1
    async with engram.AsyncChain(chain.url) as other:
        assert (await other.model()).id == model.id
        assert await (await other.model()).versions() == model.versions


def test_who_cannot_connect_leaves_no_thread() -> None:
    def portals() -> int:
        return sum(thread.name == "engram-library" for thread in threading.enumerate())

    before = portals()
    with pytest.raises(NodeUnreachable):
        engram.connect("http://127.0.0.1:1")
    with pytest.raises(NodeUnreachable):
        engram.connect("http://127.0.0.1:1", key=engram.dev_key("alice"))
    assert portals() == before


def test_a_key_of_the_data_directory_acts(
    chain: SyncChain, model: SyncModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine with a node: the key stands in the directory's keystore, under a passphrase."""
    made = Keystore(tmp_path / KEYS_DIRECTORY, "deng").create("dora", "open sesame")
    with engram.connect(chain.url, data_dir=tmp_path, key="dora", passphrase="open sesame") as dora:
        assert dora.address == format_address(made.address, "deng")
        assert dora.account().balance == 0
    monkeypatch.delenv("ENGRAM_PASSPHRASE", raising=False)
    with pytest.raises(PassphraseMissing):
        engram.connect(chain.url, data_dir=tmp_path, key="dora")
    with pytest.raises(WrongPassphrase):
        engram.connect(chain.url, data_dir=tmp_path, key="dora", passphrase="close sesame")
    with pytest.raises(KeyNotFound):
        engram.connect(chain.url, data_dir=tmp_path, key="nobody", passphrase="x")


def test_what_is_interrupted_ends_before_the_portal_does() -> None:
    began, ended = threading.Event(), threading.Event()

    async def work() -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    portal = Portal()
    running = portal.begin(work())
    began.wait()
    running.cancel()
    assert ended.is_set()
    with pytest.raises(CancelledError):
        running.result()
    left = portal.begin(work())
    portal.close()
    assert left.has_ended
    portal.close()


def test_the_top_level_names_what_it_has() -> None:
    assert {"connect", "dev_node", "localnet", "Network", "SyncChain"} <= set(dir(engram))
    for name in engram.__all__:
        assert getattr(engram, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = engram.nothing  # type: ignore[attr-defined]


def test_a_model_that_is_not_frozen_is_not_grown() -> None:
    data = engram.load_data("digits").of_classes((0, 1))
    with engram.dev_node(("alice",)) as chain:
        opened = chain.open_round(data.features[:150], data.labels[:150], rows=24)
        model = opened.info()["model"]
        with pytest.raises(engram.ChainError, match="is not frozen, so a round can only train") as refused:
            chain.open_round(data.features[150:300], data.labels[150:300], model=model, new_classes=1)
    assert refused.value.code == "growth_impossible"
