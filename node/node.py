"""Starts all services of a node together and stops them together.

The services of a node are the tasks of one task group. If a service fails, the others are ended too, and
`run` raises the error of the one that failed; `stop` ends all of them cleanly. The files on disk are complete
at every moment, so stopping never has to undo anything.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping
from typing import Any, Final

import psutil

from engram.consensus.chainspec import ChainSpec, chain_id, spec_id
from engram.consensus.genesis import genesis
from engram.node import descriptors, logs
from engram.node.clock import Clock, SystemClock
from engram.node.concurrency import cause_of
from engram.node.config import Config
from engram.node.datadir import RunInfo, find_run_info, remove_run_info, write_run_info, write_spec
from engram.node.errors import AddressUnusable, MinerAddressMissing
from engram.node.knownpeers import KnownPeers
from engram.node.largebody import block_bytes_of
from engram.node.listening import why_not
from engram.node.mining.mining import MiningSetup
from engram.node.peering import announce, check_carried
from engram.node.rpc.limits import RpcLimits
from engram.node.rpc.render import Renderer
from engram.node.rpc.warnings import ALONE
from engram.node.services import Services, Setup, assemble, opened
from engram.node.warming import compile_codecs
from engram.p2p.acceptor import AcceptLimits
from engram.p2p.encryption import Encryption
from engram.p2p.errors import ListenFailed
from engram.p2p.link import PeerAddress, Transport
from engram.p2p.manager import PeerConfig
from engram.p2p.outbound import OutboundLimits
from engram.p2p.places import PlaceLimits
from engram.p2p.transport import WebSocketTransport
from engram.primitives.errors import ChainError
from engram.primitives.types import Address
from engram.primitives.version import VERSION

PEER_PORT_PER_HOST: Final = 16
"""How many connections of one other host may stand at the port for peers at once."""


class Node:
    """One node that runs on one data directory."""

    def __init__(
        self,
        config: Config,
        spec: ChainSpec,
        *,
        clock: Clock | None = None,
        transport: Transport | None = None,
        mine_on_demand: bool = False,
        names: Mapping[Address, str] | None = None,
    ) -> None:
        """Reads nothing yet: `run` opens the data directory.

        With `mine_on_demand`, a node that mines does so only while transactions wait or a round runs.
        `names` are what its program calls accounts whose keys are not in the data directory: on a chain for
        development, `dev_names` tells them to those who look at it.
        """
        self.config = config
        self.spec = spec
        self.ready = asyncio.Event()
        """Set once clients and peers can connect; from then on `services` and `info` are set too."""
        self.services: Services | None = None
        self.info: RunInfo | None = None
        self._clock = clock or SystemClock()
        self._transport = transport
        self._mine_on_demand = mine_on_demand
        self._names = dict(names or {})
        self._stopping = asyncio.Event()
        self._log = logs.get_logger("node")

    def stop(self) -> None:
        """Asks `run` to end cleanly, and returns at once."""
        self._stopping.set()

    async def run(self) -> None:
        """Runs the node until `stop` is called.

        Raises the error that kept it from starting (`ForeignData`, `SchemaMismatch`, `DataDirLocked`,
        `CorruptStore`, `PortTaken`, `MinerAddressMissing`, …) or that ended it (`StorageError`,
        `UpgradeRequired`), and says it in the log: its last line is the cause and the remedy.
        """
        try:
            await self._run()
        except ChainError as error:
            self._log.error("the node ends", code=error.code, error=error)
            raise

    async def _run(self) -> None:
        self._log.info(
            "starting",
            version=VERSION,
            data_dir=str(self.config.data_dir.absolute()),
            chain=self.spec.name,
            chain_id=chain_id(self.spec),
            spec_id=spec_id(self.spec),
        )
        setup = self._setup()
        write_spec(self.config.data_dir, self.spec)
        try:
            async with opened(self.spec, genesis(self.spec), self.config) as base:
                services = assemble(base, setup)
                try:
                    await services.mempool.restore()
                    await self._serve(services)
                finally:
                    services.mempool.close()
                    self.ready.clear()
                    self.services = None
                if base.store.failure is not None:  # the disk failed while the node was being stopped
                    raise base.store.failure
                # An import that had begun when the node was stopped has ended since, and moved no head.
                left = base.store.tip()
        finally:
            # Whoever waits for the end of the node, as `engram node stop` does, may open the database then.
            if self.info is not None and find_run_info(self.config.data_dir) == self.info:
                remove_run_info(self.config.data_dir)
        self._log.info("stopped", height=0 if left is None else left.height)

    async def _serve(self, services: Services) -> None:
        """Runs all services until `stop` is called or one of them fails."""
        parts: dict[str, Coroutine[Any, Any, None]] = {
            "chain": services.chain.run(),
            "mempool": services.mempool.run(),
            "mining": services.mining.run(),
            "pacing": services.mining.pacing.run(),
            "sync": services.sync.run(),
            "mending": services.mending.run(),
            "history": services.history.run(),
            "peers": services.peers.run(),
            "bans": services.bans.run(),
            "clock": services.watch.run(),
            "addresses": services.addresses.run(),
            "announcements": announce(services.chain.changes(), services.mempool, services.peers),
            "events": services.feed.run(),
            "rpc": services.rpc.run(),
            "metrics": services.metrics.run(self._clock, lambda: services.mining.hashes),
            "ready": self._announce_ready(services),
        }
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(part, name=name) for name, part in parts.items()]
                await self._stopping.wait()
                for task in tasks:
                    task.cancel()
        except BaseExceptionGroup as failure:
            raise self._explained(cause_of(failure)) from failure

    async def _announce_ready(self, services: Services) -> None:
        await services.rpc.serving.wait()
        await services.peers.ready.wait()
        host = f"[{self.config.rpc_host}]" if ":" in self.config.rpc_host else self.config.rpc_host
        self.info = RunInfo(
            pid=os.getpid(),
            rpc_url=f"http://{host}:{services.rpc.port}",
            rpc_port=services.rpc.port,
            p2p_port=services.peers.port,
            node_id=services.node_id.hex(),
            chain=self.spec.name,
            spec_id=spec_id(self.spec).hex(),
            started_s=psutil.Process().create_time(),
        )
        write_run_info(self.config.data_dir, self.info)
        self.services = services
        head = services.chain.head
        self._log.info(
            "ready",
            node_id=services.node_id,
            rpc=self.info.rpc_url,
            p2p=f"{self.config.p2p_host}:{services.peers.port}",
            height=head.height,
        )
        if not services.peers.addresses_to_dial and not self._mine_on_demand:
            self._log.warning(ALONE)
        self.ready.set()
        await compile_codecs()

    def _explained(self, error: BaseException) -> BaseException:
        """The error that ended the node. If the node cannot listen for peers, it says what to change."""
        if not isinstance(error, ListenFailed):
            return error
        place = f"{self.config.p2p_host}:{self.config.p2p_port}"
        remedy = "stop the program there, or set --p2p-port (0 takes a free port)"
        if isinstance(error.__cause__, OSError):
            return why_not(error.__cause__, place, remedy)
        return AddressUnusable(error.message, got=place)

    def _peering(self, peers: tuple[PeerAddress, ...], max_inbound: int) -> PeerConfig:
        """Whom to dial and admit. Raises `BadPeerAddress`."""
        config = self.config
        own = PeerAddress.parse(config.public_address) if config.public_address else None
        seeds = tuple(dict.fromkeys(PeerAddress.parse(seed) for seed in config.seeds))
        outbound = OutboundLimits() if config.connect_only else OutboundLimits(config.max_outbound, seeds)
        return PeerConfig(
            config.p2p_host,
            config.p2p_port,
            peers,
            inbound=PlaceLimits(max_inbound, config.max_inbound_per_host, config.max_inbound_per_group),
            own_address=own,
            asks_for_addresses=not config.connect_only,
            outbound=outbound,
        )

    def _setup(self) -> Setup:
        """The settings, checked and parsed.

        Raises `SpecUnsupported`, `MinerAddressMissing`, `BadAddress`, `BadPeerAddress`.
        """
        check_carried(self.spec)
        config, render = self.config, Renderer(self.spec.hrp, self.spec.rules)
        address = render.parse_address(config.miner_address) if config.miner_address else None
        if config.mine and address is None:
            raise MinerAddressMissing
        named = (PeerAddress.parse(peer) for peer in config.peers)
        peers = tuple(dict.fromkeys((*named, *KnownPeers(config.data_dir).addresses())))
        places = descriptors.shares(descriptors.raise_limit(), config.max_inbound)
        if places.sessions < config.max_inbound:
            self._log.warning(
                "this process may not open files enough for so many peers; raise its limit (ulimit -n)",
                max_inbound=config.max_inbound,
                admitted=places.sessions,
            )
        ports = AcceptLimits(places.peers, PEER_PORT_PER_HOST)
        return Setup(
            config,
            MiningSetup(
                address, config.miner_threads, config.max_hashes_per_s, self._mine_on_demand, config.mine
            ),
            self._peering(peers, places.sessions),
            RpcLimits(
                sockets=min(RpcLimits.sockets, places.rpc // 2),
                requests=max(1, min(RpcLimits.requests, places.rpc // 4)),
                unsent_bytes=max(RpcLimits.unsent_bytes, 4 * block_bytes_of(self.spec)),
                accept=AcceptLimits(places.rpc),
            ),
            self._clock,
            self._transport
            or WebSocketTransport(
                ports,
                encryption=Encryption(config.p2p_tls),
                paused=logs.no_descriptor,
                source=config.p2p_host,
            ),
            self.stop,
            self._names,
        )
