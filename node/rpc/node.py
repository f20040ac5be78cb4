"""RPC methods on the node itself: what it is, its peers, its miner, its end. Changing it is the admin's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import psutil

from engram.consensus.chainspec import chain_id, has_work, spec_id
from engram.node.chain.headers import CheckedBlock
from engram.node.clock import Clock
from engram.node.config import Config
from engram.node.engines.choosing import Chosen
from engram.node.mempool.mempool import Mempool
from engram.node.mining.mining import Mining
from engram.node.rpc.headview import HeadViews
from engram.node.rpc.jsonrpc import Method, methods_of, rpc_method
from engram.node.rpc.render import Renderer
from engram.node.rpc.results.chain import HeaderResult
from engram.node.rpc.results.node import ListedMethod, MinerResult, NodeResult, PaceResult, StopResult
from engram.node.sync.sync import Sync
from engram.p2p.manager import PeerManager
from engram.primitives.types import Hash
from engram.primitives.version import VERSION

if TYPE_CHECKING:
    from engram.node.rpc.server import RpcServer


@dataclass
class NodeStatus:
    """What methods read of the running node, and how they end it."""

    config: Config
    node_id: bytes
    genesis: Hash
    clock: Clock
    stop: Callable[[], None]
    started_s: float
    chosen: Chosen
    """The engine that verifies, and what spoke against others."""
    rpc: RpcServer | None = None
    """Set once it exists: it serves these very methods."""
    process: psutil.Process = field(default_factory=lambda: psutil.Process(os.getpid()))

    @property
    def resident_bytes(self) -> int:
        """Memory of this process."""
        return int(self.process.memory_info().rss)


@dataclass(frozen=True)
class NodeMethods:
    """The node itself: its peers, its miner, its end."""

    status: NodeStatus
    views: HeadViews
    mempool: Mempool
    mining: Mining
    peers: PeerManager[CheckedBlock]
    sync: Sync
    render: Renderer

    @rpc_method(NodeResult)
    async def node_info(self) -> dict[str, Any]:
        """The node, its chain, its head, and how it fares.

        `has_work` says whether blocks of the chain cost work. Where it is false, `work` only counts blocks.
        """
        status, chain, spec = self.status, self.views.chain, self.views.chain.spec
        head = chain.head
        return {
            "version": VERSION,
            "name": spec.name,
            "chain_id": chain_id(spec),
            "spec_id": spec_id(spec).hex(),
            "hrp": spec.hrp,
            "has_work": has_work(spec),
            "genesis": status.genesis.hex(),
            "node_id": status.node_id.hex(),
            "head": {
                "height": head.height,
                "id": head.id.hex(),
                "state_root": head.state_root.hex(),
                "timestamp_ms": head.header.timestamp_ms,
                "work": head.total_work,
            },
            "syncing_to": self.sync.target or None,
            "peers": len(self.peers.peers()),
            "mempool": {"count": len(self.mempool), "bytes": self.mempool.memory_bytes},
            "mining": self.mining.setup.active,
            "rpc_port": status.rpc.port if status.rpc is not None else status.config.rpc_port,
            "p2p_port": self.peers.port,
            "explorer": status.config.rpc_explorer,
            "engine": status.chosen.engine.name,
            "data_dir": str(status.config.data_dir),
            "rss_bytes": status.resident_bytes,
            "uptime_s": round(status.clock.monotonic() - status.started_s, 3),
        }

    @rpc_method(MinerResult)
    async def miner_status(self) -> dict[str, Any]:
        """Whether the node mines, for whom, and what came of it."""
        address = self.mining.setup.address
        return {
            **self.mining.status(),
            "address": None if address is None else self.render.address(address),
            "pace": asdict(self.mining.pacing.pace) if self.mining.pacing.enabled else None,
        }

    @rpc_method(MinerResult, admin=True)
    async def miner_start(
        self, address: str | None = None, max_hashes_per_s: int | None = None
    ) -> dict[str, Any]:
        """Mine from now on; for an address, and with a limit, where they are given."""
        parsed = None if address is None else self.render.parse_address(address)
        self.mining.start(parsed, max_hashes_per_s)
        return await self.miner_status()

    @rpc_method(MinerResult, admin=True)
    async def miner_stop(self) -> dict[str, Any]:
        """Mine no more. When it answers, the last block that the miner had found is in the chain, too."""
        await self.mining.stop()
        return await self.miner_status()

    @rpc_method(list[HeaderResult], admin=True)
    async def miner_mine(self, blocks: int) -> list[dict[str, Any]]:
        """Mine a number of blocks now; their headers, lowest first.

        When it answers, what the blocks hold waits in the mempool no more.
        """
        ids = await self.mining.mine(blocks)
        store = self.views.chain.store
        await self.mempool.reaches(self.views.chain.head.height)
        return await self.views.threads.run(lambda: [self.render.header(store.get_ref(name)) for name in ids])

    @rpc_method(PaceResult)
    async def miner_pace(self) -> dict[str, Any]:
        """For which programs the node's blocks wait: the greatest height for which all of them are ready,
        their number, how many blocks without transactions wait for, and how many of these have left.
        """
        return asdict(self.mining.pacing.pace)

    @rpc_method(PaceResult, changes=True)
    async def miner_muster(self, programs: int) -> dict[str, Any]:
        """Make no block without transactions until so many programs hold blocks at once, and while one of
        them is away that has not finished, until the round has ended; 0 ends that.
        """
        self.mining.pacing.await_programs(programs)
        return await self.miner_pace()

    @rpc_method(StopResult, admin=True)
    async def node_stop(self) -> dict[str, Any]:
        """Stop the node."""
        asyncio.get_running_loop().call_soon(self.status.stop)
        return {"stopping": True}


class Catalogue:
    """The list of all methods."""

    def __init__(self, methods: Iterable[Method]) -> None:
        everything = (*methods, *methods_of(self))
        self._listed = [item.to_json() for item in sorted(everything, key=lambda item: item.name)]

    @rpc_method(list[ListedMethod])
    async def rpc_methods(self) -> list[dict[str, Any]]:
        """Every method: its parameters, what it does, whether it needs the token."""
        return self._listed
