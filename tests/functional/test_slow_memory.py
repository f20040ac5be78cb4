"""The slow memory at a real node, at nodes that lie, and at none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.consensus.block import NONCE_BYTES
from engram.consensus.bundle import ProofBundle, open_bundle, seal_bundle
from engram.consensus.chainspec import ChainSpec
from engram.consensus.errors import ProofDamaged
from engram.consensus.validation import check_pow
from engram.nn.network import forward
from engram.node.client import RpcClient
from engram.node.config import Config
from engram.node.datadir import find_run_info
from engram.node.errors import NodeUnreachable
from engram.node.threaded import running_node
from engram.participant.errors import BlobMismatch
from engram.participant.export import pull_version
from engram.participant.memory.errors import (
    FeatureCountMismatch,
    FeaturesNotIntegers,
    OlderVersion,
    VersionUnknown,
)
from engram.participant.memory.slow import REFRESH_MS, SlowMemory, Trust
from engram.participant.notices import Notice
from engram.participant.view import ChainView
from engram.primitives.errors import Invalid, InvalidHeader, InvalidProof
from engram.primitives.types import Hash
from engram.statemachine.records import Version
from engram.statemachine.registry import parse_record
from engram.statemachine.rounds.records import Round
from engram.statemachine.state import leaf_value
from engram.statemachine.transactions.open_round import OpenRound
from tests.support.dev_node import address_of, dev_spec
from tests.support.memory_chain import search
from tests.support.round_matter import founding, make_part, network, train_terms
from tests.support.rpc_round import PARTS, RpcPlay

pytestmark = pytest.mark.xdist_group("slow_memory")
INPUTS = 2 + PARTS
ROWS = np.array([[50, 0, *[10] * PARTS], [206, 0, *[10] * PARTS]], dtype=np.uint8)


class Clock:
    """A clock turned by hand."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


@dataclass
class Scene:
    """A real node on which a model was founded and then trained."""

    url: str
    directory: Path
    spec: ChainSpec
    model: Hash
    founded: Any
    """What the node answered to `model_prove` when the model was founded."""
    clock: Clock

    def memory(self, min_work: int = 1) -> SlowMemory:
        return SlowMemory(Trust(self.spec, self.model, min_work), self.clock)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory, spec = tmp_path_factory.mktemp("node"), dev_spec()
    config = Config(data_dir=directory, rpc_port=0, p2p_port=0, mine=True, miner_address=address_of("miner"))
    with running_node(config, spec):
        yield asyncio.run(_play(directory, spec))


async def _play(directory: Path, spec: ChainSpec) -> Scene:
    running = find_run_info(directory)
    assert running is not None
    clock = Clock(spec.genesis_time_ms + 10**9)
    async with RpcClient.of_data_dir(running.rpc_url, directory) as client:
        play = RpcPlay(client)
        parts = [make_part(index, parts=PARTS) for index in range(PARTS)]
        opened = await play.open(OpenRound(train_terms(parts), founding=founding(network(INPUTS, 0))))
        model = (await play.view.get(Round, opened)).model
        founded = await client.call("model_prove", id=model)
        scene = Scene(running.rpc_url, directory, spec, model, founded, clock)
        followed = asyncio.create_task(_follow(scene))
        await play.propose(opened, parts, network(INPUTS, 8))
        await play.audit(opened, parts)
        assert await followed == [0, 1]
        return scene


async def _follow(scene: Scene) -> list[int]:
    """The versions that a memory verifies while it follows the chain, up to version 1."""
    memory, verified, done = scene.memory(), list[int](), asyncio.Event()

    def hear(notice: Notice) -> None:
        assert notice.event == "version_verified", notice
        verified.append(notice.facts["number"])
        if verified[-1] == 1:
            done.set()

    async with RpcClient(scene.url) as client:
        following = asyncio.create_task(memory.follow(ChainView(client), hear))
        ended = asyncio.create_task(done.wait())
        await asyncio.wait({following, ended}, return_when=asyncio.FIRST_COMPLETED)
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
    return verified


class Liar(RpcClient):
    """A client whose node answers with what a test puts in its place."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.proof: Any = None
        self.tensor: bytes | None = None

    async def call(self, method: str, **params: Any) -> Any:
        if method == "model_prove" and self.proof is not None:
            return self.proof
        return await super().call(method, **params)

    async def blob(self, identity: bytes) -> bytes:
        return self.tensor if self.tensor is not None else await super().blob(identity)

    def serve(self, bundle: ProofBundle) -> None:
        self.proof = {"bundle": seal_bundle(bundle).hex()}


async def honest(scene: Scene, client: RpcClient) -> ProofBundle:
    answer = await client.call("model_prove", id=scene.model)
    return open_bundle(bytes.fromhex(answer["bundle"]))


async def test_it_answers_with_the_integers_of_the_chain(scene: Scene) -> None:
    memory = scene.memory()
    async with RpcClient(scene.url) as client:
        assert await memory.refresh(ChainView(client))
        assert not await memory.refresh(ChainView(client)), "nothing has changed"
        pulled = await pull_version(client, scene.model)
    answers = memory.answer(ROWS)
    logits = forward(pulled.network.spec, pulled.parameters, ROWS)
    assert np.array_equal(answers.logits, logits)
    assert answers.classes.tolist() == [0, 1]
    assert np.allclose(answers.margins, np.abs(logits[:, 0] - logits[:, 1]) / 2**16)
    assert (answers.version, answers.age_ms) == (1, 0)


async def test_nothing_is_known_before_the_first_proof_and_bad_rows_are_refused(scene: Scene) -> None:
    memory = scene.memory()
    assert memory.known is None
    with pytest.raises(VersionUnknown):
        memory.answer(ROWS)
    with pytest.raises(VersionUnknown):
        assert memory.age_ms
    async with RpcClient(scene.url) as client:
        await memory.refresh(ChainView(client))
    with pytest.raises(FeatureCountMismatch):
        memory.answer(ROWS[:, 1:])
    with pytest.raises(FeaturesNotIntegers):
        memory.answer(np.full((1, INPUTS), np.nan))


async def test_after_the_first_time_only_the_newer_headers_are_asked_for(scene: Scene) -> None:
    memory = scene.memory()
    async with Liar(scene.url) as client:
        await memory.refresh(ChainView(client))
        known = memory.verified
        assert known.base is not None
        assert known.base.height == known.report.version.height - 1
        assert not await memory.refresh(ChainView(client))
    again = memory.verified
    assert again.report.checkpoint == known.base.id
    assert (again.chain_work, again.base_work, again.base) == (
        known.chain_work,
        known.base_work,
        known.base,
    )


async def refused(scene: Scene, client: Liar, error: type[Exception], memory: SlowMemory) -> None:
    """The node is refused, and the version that was verified goes on answering, older."""
    before, age = memory.known, memory.age_ms
    scene.clock.now_ms += 5
    try:
        with pytest.raises(error):
            await memory.refresh(ChainView(client))
        assert memory.known is before
        assert memory.answer(ROWS).age_ms == age + 5
    finally:
        scene.clock.now_ms -= 5


def without_work(scene: Scene, good: ProofBundle) -> ProofBundle:
    """The bundle with a last header of the forger's choice that he did not mine."""
    header = replace(good.headers[-1], state_root=bytes(32))
    mined = int.from_bytes(search(scene.spec, header), "big")
    for nonce in range(mined + 1, mined + 1_000):
        forged = replace(header, nonce=nonce.to_bytes(NONCE_BYTES, "big"))
        with suppress(InvalidHeader):
            check_pow(scene.spec, forged)
            continue
        break
    return replace(good, headers=(*good.headers[:-1], forged))


def other_root(scene: Scene, good: ProofBundle) -> ProofBundle:
    """The bundle with a version record that names other parameters."""
    version = parse_record(good.version.value)
    assert isinstance(version, Version)
    forged = leaf_value(replace(version, root=b"\x66" * 32))
    return replace(good, version=replace(good.version, value=forged))


def other_line(scene: Scene, good: ProofBundle) -> ProofBundle:
    """The bundle with another story of what the network is made of."""
    return replace(good, line=(replace(good.line[0], author=b"\x66" * 20), *good.line[1:]))


def headers_left_out(scene: Scene, good: ProofBundle) -> ProofBundle:
    """The bundle without one of its headers."""
    return replace(good, headers=(*good.headers[:3], *good.headers[4:]))


LIES = [without_work, other_root, other_line, headers_left_out]


@pytest.mark.parametrize("lie", LIES)
async def test_a_forged_proof_is_refused_and_the_last_version_goes_on_answering(
    scene: Scene, lie: Callable[[Scene, ProofBundle], ProofBundle]
) -> None:
    memory = scene.memory()
    async with Liar(scene.url) as client:
        await memory.refresh(ChainView(client))
        client.serve(lie(scene, await honest(scene, client)))
        await refused(scene, client, Invalid, memory)


async def test_a_shorter_chain_and_an_older_version_are_refused(scene: Scene) -> None:
    memory = scene.memory()
    async with Liar(scene.url) as client:
        await memory.refresh(ChainView(client))
        older = await client.call("model_prove", id=scene.model, version=0)
        client.proof = older
        await refused(scene, client, OlderVersion, memory)
        client.proof = scene.founded
        await refused(scene, client, InvalidProof, memory)
        fresh = scene.memory()
        assert await fresh.refresh(ChainView(client)), "a participant who knows nothing cannot know better"
        assert fresh.verified.number == 0
        client.proof = None
        assert await fresh.refresh(ChainView(client))
        assert fresh.verified.number == 1


@pytest.mark.parametrize("nonsense", [{}, {"bundle": None}, {"bundle": "zz"}, [], "x"])
async def test_an_answer_that_is_no_proof_is_refused(scene: Scene, nonsense: object) -> None:
    memory = scene.memory()
    async with Liar(scene.url) as client:
        await memory.refresh(ChainView(client))
        client.proof = nonsense
        await refused(scene, client, BlobMismatch, memory)
        client.proof = {"bundle": "00" * 99}
        await refused(scene, client, ProofDamaged, memory)


async def test_other_tensors_are_refused(scene: Scene) -> None:
    memory = scene.memory()
    async with Liar(scene.url) as client:
        client.tensor = b"other bytes"
        with pytest.raises(BlobMismatch):
            await memory.refresh(ChainView(client))
        assert memory.known is None
        client.tensor = None
        assert await memory.refresh(ChainView(client))


async def test_a_proof_with_too_little_work_or_of_another_model_is_refused(scene: Scene) -> None:
    async with Liar(scene.url) as client:
        with pytest.raises(InvalidProof):
            await scene.memory(min_work=2**200).refresh(ChainView(client))
        client.serve(await honest(scene, client))
        stranger = SlowMemory(Trust(scene.spec, bytes(32), 1), scene.clock)
        with pytest.raises(InvalidProof):
            await stranger.refresh(ChainView(client))
        foreign = replace(scene.spec, name="other")
        with pytest.raises(InvalidProof):
            await SlowMemory(Trust(foreign, scene.model, 1), scene.clock).refresh(ChainView(client))


async def test_a_node_that_is_away_is_told_with_the_age_of_what_answers(scene: Scene) -> None:
    memory, heard = scene.memory(), list[Notice]()
    async with RpcClient(scene.url) as client:
        await memory.refresh(ChainView(client))
    scene.clock.now_ms += REFRESH_MS
    try:
        async with RpcClient("http://127.0.0.1:1") as away:
            with pytest.raises(NodeUnreachable):
                await memory.refresh(ChainView(away))
            with pytest.raises(NodeUnreachable):
                await memory.follow(ChainView(away), heard.append)
        assert memory.answer(ROWS).age_ms == REFRESH_MS
        assert memory.answer(ROWS).classes.tolist() == [0, 1]
        assert "version 1, proven 600 s ago, goes on answering" in heard[0]
    finally:
        scene.clock.now_ms -= REFRESH_MS


async def test_a_node_that_lies_is_reported_and_followed_again_when_it_tells_the_truth(scene: Scene) -> None:
    memory, heard, changed = scene.memory(), list[str](), asyncio.Event()

    def hear(notice: Notice) -> None:
        heard.append(notice.event)
        changed.set()

    async with Liar(scene.url) as client, RpcClient.of_data_dir(scene.url, scene.directory) as admin:
        client.proof = {"bundle": "zz"}
        following = asyncio.create_task(memory.follow(ChainView(client), hear))
        await changed.wait()
        changed.clear()
        assert memory.known is None
        client.proof = None
        await admin.call("miner_mine", blocks=1)
        await changed.wait()
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
    assert heard == ["version_refused", "version_verified"]
    assert memory.answer(ROWS).classes.tolist() == [0, 1]
