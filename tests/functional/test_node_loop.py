"""A node's event loop never stands still: not while it syncs full blocks, nor while a round is verified."""

from pathlib import Path

from engram.node.client import RpcClient
from engram.statemachine.transactions.transfer import Transfer
from tests.support.dev_node import dev_spec
from tests.support.loop_watchdog import LoopWatchdog
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, SPEC
from tests.support.node_network import node_network
from tests.support.rpc_round import RpcPlay

BOUND_S = 0.1
"""Half of it is what nodes keep to on a quiet machine."""


async def test_ten_blocks_of_two_hundred_transfers(tmp_path: Path) -> None:
    chain = MemoryChain(SPEC)
    for _ in range(10):
        nonce = chain.state.account(ALICE.address).nonce
        transfers = [
            chain.sign(ALICE, Transfer(BOB.address, 1), nonce=nonce + number, max_fee=100_000)
            for number in range(200)
        ]
        assert len(chain.mine(transfers).transactions) == 200
    async with node_network(tmp_path) as network:
        first = await network.start("first")
        await first.take(chain.blocks[1:])
        with LoopWatchdog(BOUND_S) as watchdog:
            late = await network.start("late", "first")
            await late.follow(first)
            await network.stop("late")
    assert watchdog.stacks == []


async def test_a_round(tmp_path: Path) -> None:
    async with node_network(tmp_path, dev_spec()) as network:
        node, other = await network.line("node", "other")
        with LoopWatchdog(BOUND_S) as watchdog:
            node.services.mining.start()
            async with RpcClient(node.url, node.token) as client:
                await RpcPlay(client).play()
            await other.follow(node)
    assert watchdog.stacks == []
