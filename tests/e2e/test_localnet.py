"""A network of real processes: what reaches everyone, and what survives kills, pauses and partitions.

The fixture is the one that users are shown in `node/localnet/localnet.py`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import psutil
import pytest
import pytest_asyncio

from engram.consensus.chainspec import Allocation, ChainSpec, local
from engram.node.errors import LocalnetStalled, NodeFailed
from engram.node.localnet.localnet import Localnet
from engram.node.localnet.nodeprocess import write_settings
from engram.participant.demo.cast import Cast
from engram.participant.demo.report import ScoreRow
from engram.participant.demo.stage import RoundNow
from engram.participant.demo.watching import watching
from engram.participant.wallet import Wallet
from engram.primitives.keys import PrivateKey, format_address
from engram.primitives.types import Hash
from tests.support.until import until

COIN: Final = 10**8
ALICE, BOB = (PrivateKey.from_seed(bytes([number]) * 32) for number in (1, 2))
TARGET: Final = format_address(PrivateKey.from_seed(bytes([3]) * 32).address, "leng")


def funded() -> ChainSpec:
    """A local chain that begins now; Alice and Bob hold coins."""
    holders = tuple(Allocation(key.address, 1_000 * COIN) for key in (ALICE, BOB))
    return local(holders, time.time_ns() // 1_000_000)


@pytest_asyncio.fixture
async def net(tmp_path: Path) -> AsyncIterator[Localnet]:
    async with Localnet(tmp_path, funded(), nodes=4) as net:
        yield net


@pytest_asyncio.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Localnet]:
    """Two nodes, for what needs no more."""
    async with Localnet(tmp_path, funded(), nodes=2) as net:
        yield net


async def everywhere(net: Localnet, *txids: Hash) -> bool:
    """Whether every node that runs has all of these in its best chain."""
    answers = [await node.client.call("tx_status", txid=txid) for node in net.running for txid in txids]
    return all(answer["status"] == "included" for answer in answers)


async def balances(net: Localnet) -> list[int]:
    """What TARGET holds, by every node that runs."""
    return [(await node.client.call("account_get", address=TARGET))["balance"] for node in net.running]


async def test_a_transaction_reaches_everyone_and_a_killed_node_comes_back(net: Localnet) -> None:
    first = await Wallet(net.nodes[0].client, ALICE).transfer(TARGET, 5)
    await net.wait_for("everyone to include the transfer", lambda: everywhere(net, first))

    await net.kill(2)
    assert [node.name for node in net.running] == ["node0", "node1", "node3"]
    second = await Wallet(net.nodes[1].client, ALICE).transfer(TARGET, 7)
    await net.wait_for("the others to include the second transfer", lambda: everywhere(net, second))

    await net.start(2)
    await net.wait_for("the killed node to catch up", lambda: everywhere(net, first, second))
    await net.settle()
    assert await balances(net) == [12] * 4


@pytest.mark.fault(id=15)
async def test_the_sides_of_a_partition_become_one_chain_again(net: Localnet) -> None:
    await net.wait_height(3)
    net.partition((0, 1, 2), (3,))
    before = await net.nodes[3].client.call("chain_head")
    large = await Wallet(net.nodes[0].client, ALICE).transfer(TARGET, 5)
    small = await Wallet(net.nodes[3].client, BOB).transfer(TARGET, 7)

    async def apart() -> bool:
        statuses = [
            [
                (await net.nodes[number].client.call("tx_status", txid=txid))["status"]
                for txid in (large, small)
            ]
            for number in (0, 3)
        ]
        heads = await net.heads()
        return statuses == [["included", "unknown"], ["unknown", "included"]] and (
            heads[0]["work"] > heads[3]["work"] > before["work"]
        )

    await net.wait_for("both sides to mine, the larger one more", apart)
    lost = await net.nodes[3].client.call("chain_head")

    async with net.nodes[3].client.subscribe("heads") as events:
        net.heal()
        async for _, event in events:
            if event["disconnected"]:
                break
    assert lost["id"] in event["disconnected"] or event["height"] > lost["height"]

    await net.wait_for("the small side's transfer to be mined again", lambda: everywhere(net, large, small))
    settled = await net.settle()
    assert await net.heads() == [settled] * 4
    assert await balances(net) == [12] * 4


async def test_a_frozen_node_catches_up(net: Localnet) -> None:
    net.pause(1)
    txid = await Wallet(net.nodes[0].client, ALICE).transfer(TARGET, 5)
    await net.wait_for("the others to include the transfer", lambda: everywhere(net, txid))
    net.resume(1)
    await net.wait_for("everyone to include the transfer", lambda: everywhere(net, txid))


async def test_a_network_settles_on_the_nodes_that_run(net: Localnet) -> None:
    await net.kill(0)
    net.pause(2)
    settled = await net.settle()
    assert await net.heads() == [settled] * 2


async def test_a_wait_in_vain_says_where_everyone_stands(pair: Localnet) -> None:
    async def never() -> bool:
        return False

    await pair.stop(1)
    with pytest.raises(LocalnetStalled) as caught:
        await pair.wait_for("the impossible", never, timeout_s=1)
    text = str(caught.value)
    assert caught.value.code == "localnet_stalled"
    assert "the impossible" in text
    assert "node0: height" in text
    assert "node1: does not run" in text
    assert '"event": "ready"' in text


async def test_a_network_of_which_a_node_cannot_start_leaves_none_behind(tmp_path: Path) -> None:
    (tmp_path / "node1").mkdir()
    (tmp_path / "node1" / "leveldb").write_text("in the way of the database")
    net = Localnet(tmp_path, funded(), nodes=2)
    with pytest.raises(NodeFailed) as caught:
        await net.__aenter__()
    assert "node1 did not start" in str(caught.value)
    assert net.running == ()
    children = psutil.Process().children()
    alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]  # another test's, perhaps
    assert not any(str(tmp_path) in " ".join(child.cmdline()) for child in alive)


async def test_a_node_that_cannot_start_says_why(pair: Localnet) -> None:
    assert await pair.stop(0) == 0
    write_settings(pair.nodes[0].data_dir, rpc_port="none")
    with pytest.raises(NodeFailed) as caught:
        await pair.start(0)
    assert caught.value.code == "node_failed"
    assert '"config_invalid"' in str(caught.value)
    with pytest.raises(NodeFailed):
        _ = pair.nodes[0].client


class Said:
    """A stage that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def act(self, title: str) -> None: ...

    def say(self, who: str, line: str) -> None:
        self.lines.append((who, line))

    def head(self, node: str, height: int, block_id: str) -> None: ...

    def round(self, now: RoundNow | None) -> None: ...

    def score(self, row: ScoreRow) -> None: ...


async def test_the_demonstration_says_what_its_blocks_wait_for(tmp_path: Path) -> None:
    said = Said()
    async with (
        Localnet(tmp_path, funded(), nodes=2) as net,
        net.nodes[1].client.holding(),
        watching(net, Cast(0), said, stalled_s=0.2),
    ):
        await until(lambda: any("programs hold" in line for _, line in said.lines))
    assert ("nodes", "no new block for 0.2 s; the reason may be:") in said.lines
    who, line = next((who, line) for who, line in said.lines if "programs hold" in line)
    assert who == "node1"
    assert line.endswith("; 1 programs hold its blocks above height 0")
