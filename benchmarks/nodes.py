"""Whole nodes inside the process of a benchmark, without RPC and miner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from engram.consensus.chainspec import ChainSpec
from engram.consensus.genesis import genesis
from engram.node.clock import SystemClock
from engram.node.config import Config
from engram.node.mining.mining import MiningSetup
from engram.node.peering import announce
from engram.node.rpc.limits import RpcLimits
from engram.node.services import Services, Setup, assemble, opened
from engram.p2p.link import PeerAddress
from engram.p2p.manager import PeerConfig
from engram.p2p.transport import WebSocketTransport


def node_setup(folder: Path, peers: Sequence[PeerAddress] = ()) -> Setup:
    """What a node in this folder needs; it speaks over sockets, to these peers, and does not mine."""
    folder.mkdir(parents=True, exist_ok=True)
    return Setup(
        Config(data_dir=folder),
        MiningSetup(None),
        PeerConfig(peers=tuple(peers)),
        RpcLimits(),
        SystemClock(),
        WebSocketTransport(),
        lambda: None,
        {},
    )


@asynccontextmanager
async def running_node(spec: ChainSpec, setup: Setup) -> AsyncIterator[Services]:
    """The services of a node on its data directory; peers can connect inside `async with`."""
    async with opened(spec, genesis(spec), setup.config) as base, asyncio.TaskGroup() as group:
        services = assemble(base, setup)
        running = [
            group.create_task(part)
            for part in (
                services.chain.run(),
                services.mempool.run(),
                services.sync.run(),
                services.peers.run(),
                announce(services.chain.changes(), services.mempool, services.peers),
            )
        ]
        await services.peers.ready.wait()
        try:
            yield services
        finally:
            for task in running:
                task.cancel()


async def until(happened: Callable[[], bool]) -> None:
    """Returns once `happened` is true, which is looked at every hundredth of a second."""
    while not happened():  # noqa: ASYNC110 (nothing tells when it changes)
        await asyncio.sleep(0.01)
