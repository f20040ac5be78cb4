"""What subscribers of a real node hear over sockets while rounds are played and branches change."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from engram.node.client import RpcClient
from engram.node.config import Config
from engram.node.errors import SubscriberTooSlow
from engram.node.rpc import events
from engram.node.rpc.events import TOPICS
from engram.node.threaded import running_node
from engram.statemachine.transactions.transfer import Transfer
from tests.support.dev_node import address_of, dev_spec
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, SPEC
from tests.support.node_network import NodeNetwork
from tests.support.rpc_round import RpcPlay
from tests.support.until import until

Heard = dict[str, list[Any]]


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[Heard]:
    """Everything of every topic, as it comes."""
    heard: Heard = {topic: [] for topic in TOPICS}

    async def listen() -> None:
        async for topic, event in stream:
            heard[topic].append(event)

    async with RpcClient(url) as client, client.subscribe(*TOPICS) as stream:
        listener = asyncio.create_task(listen())
        try:
            yield heard
        finally:
            listener.cancel()


async def test_rounds_versions_transactions_and_heads(tmp_path: Path) -> None:
    config = Config(data_dir=tmp_path, rpc_port=0, p2p_port=0, mine=True, miner_address=address_of("miner"))
    with running_node(config, dev_spec()) as node:
        assert node.info is not None
        async with (
            RpcClient.of_data_dir(node.info.rpc_url, tmp_path) as client,
            listening(node.info.rpc_url) as heard,
        ):
            played = await RpcPlay(client).play()
            head = await client.call("chain_head")
            await until(lambda: heard["heads"] and heard["heads"][-1]["id"] == head["id"])
            await until(lambda: heard["rounds"] and heard["rounds"][-1]["height"] == head["height"])
    connected = [name for event in heard["heads"] for name in event["connected"]]
    assert len(connected) == len(set(connected)) == head["height"]
    assert all(event["disconnected"] == [] for event in heard["heads"])
    assert [event["number"] for event in heard["versions"]] == [0, 1]
    assert {event["model"] for event in heard["versions"]} == {played.model.hex()}
    phases = [event["phase"] for event in heard["rounds"] if event["id"] == played.trained.hex()]
    changes = [new for old, new in pairwise(["", *phases]) if new not in (old, "wait")]
    assert changes == ["open", "draw", "reveal", "commit", "update", "audit", "score", "closed"]
    statuses: dict[str, list[str]] = {}
    for event in heard["transactions"]:
        statuses.setdefault(event["txid"], []).append(event["status"])
    assert set(map(tuple, statuses.values())) == {("pending", "included")}


async def test_a_reorganisation(network: NodeNetwork) -> None:
    north, south = await network.line("north", "south")
    network.network.partition(["north"], ["south"])
    await until(lambda: not north.peers)
    lost = MemoryChain(SPEC).sign(ALICE, Transfer(BOB.address, 7))
    async with listening(north.url) as heard:
        await north.admit(lost)
        left = [*await north.mine(), *await north.mine()]
        await until(lambda: len(heard["transactions"]) == 2)
        joined = await south.mine(3)
        network.network.heal()
        await north.follow(south)
        await until(lambda: north.waits(lost) and len(heard["transactions"]) == 3)
        await until(lambda: heard["heads"][-1]["id"] == joined[-1].hex())
    gone = [name for event in heard["heads"] for name in event["disconnected"]]
    assert gone == [name.hex() for name in reversed(left)]
    connected = [name for event in heard["heads"] for name in event["connected"]]
    assert connected == [name.hex() for name in (*left, *joined)]
    assert [event["status"] for event in heard["transactions"]] == ["pending", "included", "pending"]
    assert [event["event"] for event in heard["peers"]] == ["connected"]


async def test_a_slow_subscriber_is_cut_and_the_node_goes_on(
    network: NodeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "QUEUE_EVENTS", 3)
    node = await network.start("node")
    async with RpcClient(node.url) as client, client.subscribe("transactions") as stream:
        signer = MemoryChain(SPEC)
        payments = [signer.sign(ALICE, Transfer(BOB.address, 5), nonce=nonce) for nonce in range(8)]
        for payment in payments:
            await node.admit(payment)
        await node.mine()
        with pytest.raises(SubscriberTooSlow):
            async for _ in stream:
                pass
        async with client.subscribe("heads") as again:
            [block] = await node.mine()
            assert (await anext(again))[1]["id"] == block.hex()
