"""RPC methods on the node itself: what it is, its peers, its miner, its end. Changing it is the admin's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil

from engram import __version__
from engram.consensus.chainspec import chain_id, spec_id
from engram.node.clock import Clock
from engram.node.config import Config
from engram.node.mempool.mempool import Mempool
from engram.node.mining.mining import Mining
from engram.node.peering import CheckedBody
from engram.node.rpc.headview import HeadViews
from engram.node.rpc.jsonrpc import Method, method_of
from engram.node.rpc.render import Renderer
from engram.node.sync.sync import Sync
from engram.p2p.link import PeerAddress
from engram.p2p.manager import PeerManager
from engram.primitives.types import Hash

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
    rpc: RpcServer | None = None
    """Set once it exists: it serves these very methods."""
    process: psutil.Process = field(default_factory=lambda: psutil.Process(os.getpid()))

    @property
    def resident_bytes(self) -> int:
        """Memory of this process."""
        return int(self.process.memory_info().rss)


@dataclass(frozen=True)
class _NodeMethods:
    status: NodeStatus
    views: HeadViews
    mempool: Mempool
    mining: Mining
    peers: PeerManager[CheckedBody]
    sync: Sync
    render: Renderer

    async def node_info(self) -> dict[str, Any]:
        """The node, its chain, its head, and how it fares."""
        status, chain, spec = self.status, self.views.chain, self.views.chain.spec
        head = chain.head
        return {
            "version": __version__,
            "name": spec.name,
            "chain_id": chain_id(spec),
            "spec_id": spec_id(spec).hex(),
            "hrp": spec.hrp,
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
            "data_dir": str(status.config.data_dir),
            "rss_bytes": status.resident_bytes,
            "uptime_s": round(status.clock.monotonic() - status.started_s, 3),
        }

    async def peer_list(self) -> list[dict[str, Any]]:
        """The open sessions with peers."""
        return [self.render.peer(info) for info in self.peers.peers()]

    async def peer_targets(self) -> list[dict[str, Any]]:
        """The addresses that the node dials: the peer there, or why there is none and when it tries again."""
        return [
            {
                "address": str(target.address),
                "peer": None if target.node_key is None else target.node_key.hex(),
                "error": None if target.error is None else target.error.to_json(),
                "retry_s": None if target.retry_s is None else round(target.retry_s, 1),
            }
            for target in self.peers.targets()
        ]

    async def peer_add(self, address: str) -> dict[str, Any]:
        """Keep a session with the peer at HOST:PORT or NODEKEY@HOST:PORT."""
        parsed = PeerAddress.parse(address)
        self.peers.add_peer(parsed)
        return {"address": str(parsed)}

    async def peer_remove(self, address: str) -> dict[str, Any]:
        """End the session with the peer at this address and dial it no more."""
        parsed = PeerAddress.parse(address)
        return {"address": str(parsed), "removed": self.peers.remove_peer(parsed)}

    async def miner_status(self) -> dict[str, Any]:
        """Whether the node mines, for whom, and what came of it."""
        address = self.mining.setup.address
        return {**self.mining.status(), "address": None if address is None else self.render.address(address)}

    async def miner_start(
        self, address: str | None = None, max_hashes_per_s: int | None = None
    ) -> dict[str, Any]:
        """Mine from now on; for an address, and with a limit, where they are given."""
        parsed = None if address is None else self.render.parse_address(address)
        self.mining.start(parsed, max_hashes_per_s)
        return await self.miner_status()

    async def miner_stop(self) -> dict[str, Any]:
        """Mine no more."""
        self.mining.stop()
        return await self.miner_status()

    async def miner_mine(self, blocks: int) -> list[dict[str, Any]]:
        """Mine a number of blocks now; their headers, lowest first."""
        ids = await self.mining.mine(blocks)
        store = self.views.chain.store
        return await self.views.threads.run(lambda: [self.render.header(store.get_ref(name)) for name in ids])

    async def node_stop(self) -> dict[str, Any]:
        """Stop the node."""
        asyncio.get_running_loop().call_soon(self.status.stop)
        return {"stopping": True}


def node_methods(
    status: NodeStatus,
    views: HeadViews,
    mempool: Mempool,
    mining: Mining,
    peers: PeerManager[CheckedBody],
    sync: Sync,
    render: Renderer,
) -> tuple[Method, ...]:
    """The methods, bound to a node's services."""
    methods = _NodeMethods(status, views, mempool, mining, peers, sync, render)
    handlers: tuple[tuple[Callable[..., Any], bool], ...] = (
        (methods.node_info, False),
        (methods.peer_list, False),
        (methods.peer_targets, False),
        (methods.peer_add, True),
        (methods.peer_remove, True),
        (methods.miner_status, False),
        (methods.miner_start, True),
        (methods.miner_stop, True),
        (methods.miner_mine, True),
        (methods.node_stop, True),
    )
    return tuple(method_of(handler.__name__, handler, admin=admin) for handler, admin in handlers)


def catalogue(*groups: tuple[Method, ...]) -> tuple[Method, ...]:
    """The method that lists all methods, itself included."""
    listed: list[dict[str, Any]] = []

    async def rpc_methods() -> list[dict[str, Any]]:
        """Every method: its parameters, what it does, whether it needs the token."""
        return listed

    own = method_of("rpc_methods", rpc_methods)
    methods = sorted((own, *(method for group in groups for method in group)), key=lambda method: method.name)
    listed += [method.to_json() for method in methods]
    return (own,)
