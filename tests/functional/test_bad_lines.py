"""Two nodes on real sockets with a bad line between them: delays, losses, one way held back, cuts."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engram.node.config import Config
from engram.node.node import Node
from engram.node.services import Services
from engram.primitives.keys import format_address
from tests.support.lossy_proxy import LossyProxy, Way
from tests.support.node_chain import CAROL, SPEC
from tests.support.p2p_chain import WAIT_S
from tests.support.until import until


@asynccontextmanager
async def node_on_sockets(directory: Path, *peers: str) -> AsyncIterator[Services]:
    config = Config(
        data_dir=directory,
        rpc_port=0,
        p2p_port=0,
        peers=peers,
        miner_address=format_address(CAROL.address, SPEC.hrp),
    )
    node = Node(config, SPEC)
    running = asyncio.create_task(node.run())
    try:
        async with asyncio.timeout(WAIT_S):
            await node.ready.wait()
        assert node.services is not None
        yield node.services
    finally:
        node.stop()
        await running


@pytest.mark.fault(id=15, inputs=4)
async def test_a_bad_line_delays_and_loses_nothing(tmp_path: Path) -> None:
    async with (
        node_on_sockets(tmp_path / "far") as far,
        LossyProxy(far.peers.port, random.Random(15)).running() as line,
        node_on_sockets(tmp_path / "near", f"127.0.0.1:{line.port}") as near,
    ):

        def agree() -> bool:
            return near.chain.head.id == far.chain.head.id

        await until(lambda: near.peers.peers() and far.peers.peers())
        for way in Way:
            line.delay_s[way], line.loss[way], line.again_s = 0.01, 0.3, 0.05
        await far.mining.mine(3)
        await until(agree)
        await near.mining.mine(2)
        await until(agree)
        assert line.connections == 1, "nobody has left"

        line.hold(Way.THERE)  # the near one hears of the block and cannot ask for it
        await far.mining.mine(1)
        await until(lambda: near.peers.peers()[0].shown_blocks[-1:] == (far.chain.head.id,))
        assert not agree()
        line.release(Way.THERE)
        await until(agree)

        line.cut()
        await until(lambda: not near.peers.peers() and not far.peers.peers())
        await far.mining.mine(2)
        await near.mining.mine(1)
        assert not agree()
        line.join()
        await until(agree)
        assert far.chain.head.height == 8
        assert near.bans.standing() == far.bans.standing() == []
