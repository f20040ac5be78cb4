"""What the node measures of itself at one moment, for its status, its probes and its metrics page."""

from __future__ import annotations

import platform
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

from engram.node.bans import Bans
from engram.node.chain.headers import CheckedBlock
from engram.node.chain.verification import VerificationCache
from engram.node.clockwatch import ClockWatch
from engram.node.files import folder_bytes
from engram.node.history.service import AccountHistory
from engram.node.mempool.mempool import Mempool
from engram.node.metrics import Gauges, Metrics, render
from engram.node.mining.mining import Mining
from engram.node.rpc.feed import EventFeed
from engram.node.rpc.headview import HeadView, HeadViews
from engram.node.rpc.node import NodeStatus
from engram.node.rpc.warnings import CODES, NodeWarning, warnings_of
from engram.node.storage.store import BLOCKS_DIRECTORY
from engram.node.storage.swap import DATABASE_DIRECTORY
from engram.node.sync.mending import Mending
from engram.node.sync.sync import Sync
from engram.p2p.errors import ChannelMismatch
from engram.p2p.manager import PeerManager
from engram.primitives.version import VERSION
from engram.statemachine.fees import risen
from engram.statemachine.rounds.calendar import Phase

PACE_BLOCKS: Final = 100
"""Over so many of the last blocks the time between two, and the network's hash rate, are averaged."""


@dataclass(frozen=True)
class Readings:
    """Reads the gauges of a running node."""

    status: NodeStatus
    views: HeadViews
    mempool: Mempool
    mining: Mining
    peers: PeerManager[CheckedBlock]
    sync: Sync
    feed: EventFeed
    counts: Metrics
    cache: VerificationCache
    watch: ClockWatch
    mending: Mending
    history: AccountHistory
    bans: Bans

    def now(self) -> Gauges:
        """What is known without asking the disk; the other gauges keep their defaults."""
        head, status, mining = self.views.chain.head, self.status, self.mining
        sessions, targets, skew = self.peers.peers(), self.peers.targets(), self.watch.skew()
        inbound = sum(peer.inbound for peer in sessions)
        backfill_base, backfill_left = self.mending.backfill
        return Gauges(
            head=head.id,
            chain_height=head.height,
            chain_work=head.total_work,
            head_age_s=(status.clock.now_ms() - head.header.timestamp_ms) / 1000,
            target_block_s=self.views.chain.spec.block_time_ms / 1000,
            clock_ahead_s=None if skew is None else skew.ahead_s,
            clock_voices=0 if skew is None else skew.voices,
            inbound_peers=inbound,
            outbound_peers=len(sessions) - inbound,
            encrypted_peers=sum(peer.encrypted for peer in sessions),
            dialled=len(targets),
            known=self.peers.addresses_to_dial,
            named_peers=sum(target.node_key is not None for target in targets),
            intercepted=sum(isinstance(target.error, ChannelMismatch) for target in targets),
            bans=self.bans.counts(),
            traffic=self.peers.traffic.by_message(),
            sync_target=self.sync.target,
            backfill_base=backfill_base,
            backfill_left=backfill_left,
            rounds={phase.name.lower(): 0 for phase in Phase} | Counter(self.feed.open_rounds().values()),
            lookups=self.cache.lookups(),
            mempool_bytes=self.mempool.memory_bytes,
            mempool_transactions=len(self.mempool),
            mempool_parked=self.mempool.parked,
            mining=mining.setup.active,
            mining_paused=mining.setup.active and mining.is_paused,
            mining_waits=mining.waiting or "",
            on_demand=mining.setup.on_demand,
            hashes=mining.hashes,
            blocks_found=mining.blocks,
            uptime_s=status.clock.monotonic() - status.started_s,
            build={
                "version": VERSION,
                "python": platform.python_version(),
                "chain": self.views.chain.spec.name,
                "node": status.node_id.hex(),
                "engine": status.chosen.engine.name,
            },
            engine=status.chosen.engine.name,
            wrong_engines=status.chosen.wrong,
        )

    async def gauges(self) -> Gauges:
        """All numbers of this moment."""
        return await self.views.threads.run(self._complete, self.now(), self.views.now())

    async def page(self) -> tuple[bytes, str]:
        """The metrics page of this moment, and its content type."""
        gauges = await self.gauges()
        standing = {warning.code for warning in self.warnings(gauges)}
        told = replace(gauges, warnings={code: code in standing for code in CODES})
        return await self.views.threads.run(render, self.counts, told)

    def warnings(self, gauges: Gauges) -> list[NodeWarning]:
        """What an operator should know now, the most serious first."""
        return warnings_of(self.status.config, self.views.chain.spec, gauges)

    def _complete(self, gauges: Gauges, view: HeadView) -> Gauges:
        """It reads the disk: call it in a worker thread."""
        head, clock, data_dir = view.head, view.clock, self.status.config.data_dir
        memory = self.status.process.memory_info()
        # Not from genesis on: that was not mined, and its timestamp says nothing.
        first = view.block(min(max(1, head.height - PACE_BLOCKS), head.height), None)
        return replace(
            gauges,
            pace_blocks=head.height - first.height,
            pace_s=(head.header.timestamp_ms - first.header.timestamp_ms) / 1000,
            pace_work=head.total_work - first.total_work,
            ticks=clock.ticks,
            exponent=clock.exponent,
            base_fee=risen(view.spec.rules.fees.floor, clock.exponent),
            resident_bytes=int(memory.rss),
            anonymous_bytes=int(memory.rss - getattr(memory, "shared", 0)),
            database_bytes=folder_bytes(data_dir / DATABASE_DIRECTORY),
            block_files_bytes=folder_bytes(data_dir / BLOCKS_DIRECTORY),
            free_bytes=shutil.disk_usage(data_dir).free,
        )
