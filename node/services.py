"""Opens the chain of a data directory and makes a node's services from it. `node` runs what is made here."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from engram.consensus.chainspec import ChainSpec, has_work, spec_id
from engram.consensus.genesis import Genesis
from engram.node import logs, metrics
from engram.node.addressfile import AddressFile
from engram.node.bans import Bans
from engram.node.chain.chain import Chain
from engram.node.chain.headers import CheckedBlock
from engram.node.chain.importer import Importer
from engram.node.chain.migration import migrate
from engram.node.chain.pruning import depths
from engram.node.chain.recovery import RollForward, open_chain
from engram.node.chain.signatures import SignatureVerifier
from engram.node.chain.verification import VerificationCache
from engram.node.clock import Clock
from engram.node.clockwatch import ClockWatch
from engram.node.concurrency import ReaderThreads
from engram.node.config import Config
from engram.node.contents import Contents
from engram.node.datadir import KEYS_DIRECTORY, NODE_KEY_NAME, load_token
from engram.node.engines.choosing import Chosen, choose, tell
from engram.node.explorer.serving import read_pages
from engram.node.history.service import AccountHistory
from engram.node.keystore import Keystore, load_node_key
from engram.node.knownpeers import KnownPeers
from engram.node.mempool.journal import JOURNAL_NAME, MempoolJournal
from engram.node.mempool.mempool import Mempool
from engram.node.mempool.pool import limits_of
from engram.node.mining.miner import Miner
from engram.node.mining.mining import Mining, MiningSetup
from engram.node.mining.pacing import Pacing
from engram.node.mining.running import round_runs
from engram.node.peering import ChainAdapter
from engram.node.peerscores import BanningScores
from engram.node.rpc.account import AccountMethods
from engram.node.rpc.chain import ChainMethods
from engram.node.rpc.chainlog import ChainLog
from engram.node.rpc.dev import DevMethods
from engram.node.rpc.dispatcher import Dispatcher
from engram.node.rpc.events import EventHub
from engram.node.rpc.feed import EventFeed
from engram.node.rpc.find import FindMethods
from engram.node.rpc.headview import HeadViews
from engram.node.rpc.jsonrpc import method_table, methods_of
from engram.node.rpc.limits import RpcLimits
from engram.node.rpc.model import ModelMethods
from engram.node.rpc.node import Catalogue, NodeMethods, NodeStatus
from engram.node.rpc.openrpc import Discovery
from engram.node.rpc.peer import PeerMethods
from engram.node.rpc.probes import Probes
from engram.node.rpc.readings import Readings
from engram.node.rpc.render import Renderer
from engram.node.rpc.round import RoundMethods
from engram.node.rpc.server import RpcServer
from engram.node.rpc.slow import SLOW_THREADS, SlowCalls
from engram.node.rpc.status import StatusMethods
from engram.node.rpc.tx import TransactionMethods
from engram.node.storage.store import BlockRef, ChainStore, open_store
from engram.node.sync.mending import Mending
from engram.node.sync.sync import Sync
from engram.p2p.link import Transport
from engram.p2p.manager import PeerConfig, PeerManager
from engram.p2p.protocol import Held
from engram.primitives.types import Address
from engram.statemachine.scoring import Scorer

RPC_THREADS: Final = 4
SCORES_SHARE: Final = 32
"""One of so many bytes of the verification cache is for scores; the others are for activations."""


@dataclass(frozen=True)
class ReadingThreads:
    """The threads in which the node reads its disk, apart by who asks, so that none holds up the others."""

    peers: ReaderThreads = field(default_factory=ReaderThreads)
    """For what peers send and ask, and for the node's own services."""
    rpc: ReaderThreads = field(default_factory=partial(ReaderThreads, RPC_THREADS))
    """For requests of RPC."""
    slow: ReaderThreads = field(default_factory=partial(ReaderThreads, SLOW_THREADS))
    """For requests of RPC that compute for long."""

    def close(self) -> None:
        """Waits for the work that is running, and drops the work that has not begun."""
        for threads in (self.peers, self.rpc, self.slow):
            threads.close()


@dataclass(frozen=True)
class Base:
    """The opened chain, and what judges its blocks: everything that the services are built on."""

    spec: ChainSpec
    genesis: Genesis
    store: ChainStore
    verifier: SignatureVerifier
    scorer: Scorer
    chosen: Chosen
    cache: VerificationCache
    importer: Importer
    head: BlockRef
    threads: ReadingThreads


@dataclass(frozen=True)
class Setup:
    """The operator's settings, parsed and checked."""

    config: Config
    mining: MiningSetup
    peers: PeerConfig
    rpc: RpcLimits
    clock: Clock
    transport: Transport
    stop: Callable[[], None]
    """Call it to stop the node."""
    names: Mapping[Address, str]
    """What the program that runs the node calls accounts, for those who look at a chain for development."""


@dataclass(frozen=True)
class Services:
    """The services of a node, connected to each other."""

    chain: Chain
    mempool: Mempool
    mining: Mining
    sync: Sync
    mending: Mending
    history: AccountHistory
    peers: PeerManager[CheckedBlock]
    hub: EventHub
    bans: Bans
    watch: ClockWatch
    addresses: AddressFile
    feed: EventFeed
    rpc: RpcServer
    metrics: metrics.Metrics
    node_id: bytes


@asynccontextmanager
async def opened(spec: ChainSpec, first: Genesis, config: Config) -> AsyncIterator[Base]:
    """The store with a checked head, and what judges blocks for it; all of it is closed at the end.

    Raises what `choose`, `open_store` and `open_chain` raise.
    """
    log = logs.get_logger("store")
    reading = ReadingThreads()
    threads = reading.peers
    try:
        kept = depths(archive=config.archive)
        if await threads.run(migrate, config.data_dir, spec_id(spec), first.id, kept):
            log.info("the database was brought to the layout of this version")
        store = await threads.run(open_store, config.data_dir, spec_id(spec), first.id)
        verifier = SignatureVerifier()
        try:
            chosen = await threads.run(choose, config.engine)
            tell(chosen, logs.get_logger("engine"))
            cache = _cache(config.cache_bytes, chosen.engine.keeps_bytes)
            scorer = Scorer(cache, chosen.engine)
            importer = Importer(spec, store, scorer, verifier, kept)
            start = await threads.run(open_chain, spec, first, store, importer)
            _log_start(log, start)
            yield Base(spec, first, store, verifier, scorer, chosen, cache, importer, start.head, reading)
        finally:
            reading.close()  # before the store: these threads read it
            verifier.close()
            store.close()
    finally:
        reading.close()


def assemble(base: Base, setup: Setup) -> Services:
    """Makes every service and connects it to those that it needs.

    Raises `KeyFileInvalid` if the node's key file is damaged.
    """
    config, clock, threads = setup.config, setup.clock, base.threads.peers
    counts, hub = metrics.Metrics(), EventHub()
    render = Renderer(base.spec.hrp, base.spec.rules, has_work=has_work(base.spec))
    chain = Chain(base.spec, base.store, base.importer, clock, base.head, counts.block_import.observe)
    limits = limits_of(base.spec.rules, config.mempool_bytes)
    journal = MempoolJournal(config.data_dir / JOURNAL_NAME, base.genesis.id)
    mempool = Mempool(chain, base.verifier, base.scorer, clock, limits, journal)
    pacing = Pacing(
        partial(hub.publish, "pace"),
        clock,
        enabled=config.miner_waits,
        others=config.miner_waits_at,
        round_runs=lambda: base.threads.rpc.run(round_runs, chain, chain.head),
    )
    pacing.moved(chain.head.total_work)
    chain.listen(lambda: pacing.moved(chain.head.total_work))
    watch: ClockWatch
    new_miner = partial(
        Miner, chain, mempool, base.scorer, clock, pacing, due_branch_ms=lambda: watch.due_branch_ms()
    )
    mining = Mining(new_miner, pacing, setup.mining)
    sync = Sync(chain, clock, threads, far_behind=lambda far: _far_behind(chain, mining, far))
    mending = Mending(chain, clock, threads)
    history = AccountHistory(chain, clock, threads, base.threads.rpc, enabled=config.account_index)
    contents = Contents(
        base.store, clock, threads, lambda: Held(mending.backfill[1] + 1, archive=config.archive)
    )
    key = load_node_key(config.data_dir / NODE_KEY_NAME)
    bans = Bans(config.data_dir, clock, threads)
    addresses = AddressFile(config.data_dir, clock, threads)
    manager = PeerManager(
        setup.peers,
        ChainAdapter(chain, mempool, sync, mending, contents, hub, clock, threads, render, base.genesis.id),
        setup.transport,
        key,
        clock=clock,
        rng=random.SystemRandom(),
        policy=BanningScores(clock, bans),
        book=addresses.book,
    )
    watch = ClockWatch(base.spec, clock, manager.peers, chain.early_ms, sync.early_ms)
    views = HeadViews(chain, base.scorer, base.threads.rpc, SlowCalls(base.threads.slow))
    status = NodeStatus(
        config, key.public_key, base.genesis.id, clock, setup.stop, clock.monotonic(), base.chosen
    )
    log = ChainLog(clock, base.spec.block_time_ms)
    feed = EventFeed(chain, mempool, hub, counts, threads, log)
    readings = Readings(
        status, views, mempool, mining, manager, sync, feed, counts, base.cache, watch, mending, history, bans
    )
    methods = methods_of(
        ChainMethods(views, render),
        TransactionMethods(views, mempool, render, config.mempool_bytes),
        AccountMethods(views, mempool, render, history),
        ModelMethods(views, render),
        RoundMethods(views, render),
        PeerMethods(manager, bans, KnownPeers(config.data_dir), views, render),
        NodeMethods(status, views, mempool, mining, manager, sync, render),
        StatusMethods(readings, render),
        FindMethods(views, mempool, log),
        DevMethods(
            *(views, mempool, mining, manager, render),
            Keystore(config.data_dir / KEYS_DIRECTORY, base.spec.hrp),
            setup.names,
        ),
    )
    discovery = Discovery()
    methods = (*methods, discovery.method)
    discovery.table = method_table((*methods, *methods_of(Catalogue(methods))))
    rpc = RpcServer(
        Dispatcher(discovery.table, _report_bug),
        hub,
        pacing,
        contents.get,
        readings.page,
        Probes(readings).answer,
        host=config.rpc_host,
        port=config.rpc_port,
        token=load_token(config.data_dir),
        names=config.rpc_names,
        limits=setup.rpc,
        pages=read_pages() if config.rpc_explorer else None,
    )
    status.rpc = rpc
    return Services(
        chain,
        mempool,
        mining,
        sync,
        mending,
        history,
        manager,
        hub,
        bans,
        watch,
        addresses,
        feed,
        rpc,
        counts,
        key.public_key,
    )


def _cache(size_bytes: int, keeps_bytes: int | None) -> VerificationCache:
    """Within `size_bytes`, but for activations that an engine keeps in so many bytes of its own memory."""
    scores = size_bytes // SCORES_SHARE
    return VerificationCache(scores, size_bytes - scores if keeps_bytes is None else keeps_bytes)


def _log_start(log: logs.Logger, start: RollForward) -> None:
    facts: dict[str, object] = {"height": start.head.height, "head": start.head.id}
    if start.imported or start.refused:
        facts |= {"imported": start.imported, "refused": start.refused}
    log.info("chain opened", **facts)
    for damage in start.damage:
        log.warning("the block files hold bytes that belong to no block", damage=str(damage))


def _far_behind(chain: Chain, mining: Mining, far: bool) -> None:
    mining.pause(far)
    chain.hurry(far)


def _report_bug(method: str, error: Exception) -> None:
    logs.get_logger("rpc").error("internal error", method=method, exc_info=error)
