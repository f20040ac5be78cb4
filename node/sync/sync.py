"""Catches up with peers that have more work: headers first, then bodies from every connected peer.

Gossip carries new blocks one by one. This service closes the gaps that gossip cannot: after a late start, an
absence or a partition. It learns of a gap from a handshake, in which the peer names more work, or from a
block whose parent is unknown. It checks the headers of a branch with their proof of work, and asks for bodies
only once these headers have more work than the best chain: a branch that would lose anyway is never
downloaded.

One peer is followed at a time. If its headers break a rule or a block of its branch is invalid, the peer has
misbehaved. If its branch has too little work or its bodies cannot be fetched, it is disconnected. After any
other failure, such as no answer in time, it is asked again `RETRY_S` seconds later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from engram.consensus.errors import UnknownParent
from engram.node import logs
from engram.node.chain.chain import Chain
from engram.node.chain.headers import CheckedBlock
from engram.node.chain.importer import ImportStatus
from engram.node.clock import Clock
from engram.node.concurrency import ReaderThreads, cause_of
from engram.node.errors import BlockRefused, BodiesUnavailable, LittleWork
from engram.node.sync.download import Download, DownloadLimits
from engram.node.sync.headersync import Branch, extend_branch, make_locator, open_branch
from engram.p2p.cancellation import in_own_task
from engram.p2p.clock import Timer
from engram.p2p.messages import MAX_HEADERS
from engram.p2p.protocol import Peer
from engram.primitives.errors import Invalid, NotReady

RETRY_S: Final = 3.0
"""Seconds after an interrupted try until the same peer may be asked again."""
FAR_BLOCKS: Final = 3
"""A branch is far ahead if it is more than so many blocks higher than this node's head."""
BRANCH_CHANGES: Final = 3
"""How often a peer may change its branch while this node follows it; then other peers have their turn."""


@dataclass(frozen=True)
class SyncLimits:
    """Bounds of catching up."""

    headers: int = MAX_HEADERS
    """How many headers are asked for in one request."""
    inbound_headers: int = 200
    """How many headers the first request to an inbound peer asks for: few, for a quick answer."""
    inbound_s: float = 5.0
    """Seconds that an inbound peer has for that answer, so that one that stalls does not hold up others."""
    unproven_headers: int = 200_000
    """How many headers of a peer are kept while they have less work than this node's own chain."""
    download: DownloadLimits = field(default_factory=DownloadLimits)


class Sync:
    """The service that catches up with peers. Methods run on the event loop."""

    def __init__(
        self,
        chain: Chain,
        clock: Clock,
        threads: ReaderThreads,
        limits: SyncLimits | None = None,
        far_behind: Callable[[bool], None] = lambda far: None,
    ) -> None:
        """`far_behind` is called with True before a long branch is fetched, and with False after each try."""
        self.target = 0
        """Height up to which bodies are being fetched; 0 while none are."""
        self._chain = chain
        self._clock = clock
        self._threads = threads
        self._limits = limits or SyncLimits()
        self._far_behind = far_behind
        self._peers: dict[Peer, None] = {}
        self._ahead: dict[Peer, float] = {}
        """Peers that seem to have blocks which this node lacks, and the earliest time to ask each."""
        self._wake = asyncio.Event()
        self._asked: Peer | None = None
        """The peer that this node is catching up with now."""
        self._settled = asyncio.Event()
        self._download: Download | None = None
        self._alarm: Timer | None = None
        self._log = logs.get_logger("sync")

    def joined(self, peer: Peer) -> None:
        """Called when a session with a peer has opened."""
        self._peers[peer] = None
        if self._download is not None:
            self._download.join(peer)
        if peer.head.total_work > self._chain.head.total_work:
            self.is_ahead(peer)

    def left(self, peer: Peer) -> None:
        """Called when a session with a peer has ended."""
        self._peers.pop(peer, None)
        self._ahead.pop(peer, None)
        self._settle()

    def is_ahead(self, peer: Peer) -> None:
        """Called when a peer seems to have blocks that this node lacks: asks it for headers soon."""
        if peer in self._peers:
            self._ahead[peer] = 0.0
            self._wake.set()

    async def caught_up(self, peer: Peer) -> None:
        """Returns once this node has asked the peer for what it lacks, and no blocks are fetched in bulk.

        Claims of other peers do not delay it.
        """
        while self._download is not None or peer is self._asked or self._ahead.get(peer) == 0.0:
            await self._settled.wait()

    @property
    def is_running(self) -> bool:
        """Whether bodies are fetched in bulk. Meanwhile, announced blocks are not fetched one by one."""
        return self._download is not None

    async def run(self) -> None:
        """The service: catches up with one peer after the other, until it is cancelled."""
        while True:
            self._wake.clear()
            peer = self._next()
            if peer is None:
                await self._wake.wait()
                continue
            del self._ahead[peer]
            self._asked = peer
            await self._try(peer)
            self._asked = None
            self._settle()

    def _next(self) -> Peer | None:
        """The peer to ask now, or None. If all must wait, an alarm wakes the service for the first of them.

        Peers that this node has dialled come before inbound ones; among equals, the one that came first is
        asked. The work that a peer claims does not count, because a claim costs nothing.
        """
        now_s = self._clock.monotonic()
        due = [peer for peer, earliest_s in self._ahead.items() if earliest_s <= now_s]
        if due:
            return min(due, key=lambda peer: peer.info.inbound)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._ahead:
            self._alarm = self._clock.call_later(min(self._ahead.values()) - now_s, self._wake.set)
        return None

    async def _try(self, peer: Peer) -> None:
        started = self._chain.head.height
        try:
            await self._catch_up(peer)
        except (LittleWork, BodiesUnavailable) as error:
            self._log.info("a peer's chain cannot be fetched", peer=peer.node_key, error=error)
            peer.disconnect()
        except NotReady as error:
            self._log.info("catching up with a peer was interrupted", peer=peer.node_key, error=error)
            if peer in self._peers:
                self._ahead[peer] = self._clock.monotonic() + RETRY_S
        except Invalid as error:
            self._log.warning("a peer's chain is invalid", peer=peer.node_key, error=error)
            peer.misbehaved(error)
        finally:
            self.target = 0
            self._far_behind(False)
        if self._chain.head.height > started + 1:
            self._log.info(
                "caught up", height=self._chain.head.height, blocks=self._chain.head.height - started
            )

    async def _catch_up(self, peer: Peer) -> None:
        """Takes over the peer's best chain, if it has more work than this node's.

        It asks for headers again after each branch, because blocks that were announced during the download
        were not fetched one by one.
        """
        changes = 0
        while changes < BRANCH_CHANGES and (branch := await self._first_headers(peer)) is not None:
            head = self._chain.head
            changes += not await self._follow(peer, branch)
            if branch.ahead_ms:
                self._ask_again(peer, branch.ahead_ms - self._chain.spec.future_limit_ms)
            if branch.is_complete and self._chain.head.id == head.id:
                return

    def _ask_again(self, peer: Peer, due_ms: int) -> None:
        """Asks the peer again at `due_ms`, when the timestamp of its next header becomes acceptable."""
        if peer in self._peers:
            delay_s = max(0, due_ms - self._clock.now_ms()) / 1000
            self._ahead[peer] = self._clock.monotonic() + delay_s

    async def _first_headers(self, peer: Peer) -> Branch | None:
        store, asked, patience_s = self._chain.store, self._limits.headers, None
        if peer.info.inbound:
            asked, patience_s = min(asked, self._limits.inbound_headers), self._limits.inbound_s
        locator = await self._threads.run(make_locator, store, self._chain.head)
        encoded = await peer.get_headers(locator, asked, patience_s)
        if not encoded:
            return None
        now_ms = self._clock.now_ms()
        return await self._threads.run(open_branch, self._chain.spec, store, encoded, now_ms, asked)

    async def _follow(self, peer: Peer, branch: Branch) -> bool:
        """Takes over a branch to its end; False if the peer has changed to another branch meanwhile."""
        asked = self._limits.headers
        while True:
            if branch.chain.total_work > self._chain.head.total_work:
                await self._fetch_bodies(branch)
            if branch.is_complete:
                return True
            if len(branch.wanted) > self._limits.unproven_headers:
                raise LittleWork(expected=self._chain.head.total_work, got=branch.chain.total_work)
            encoded = await peer.get_headers((branch.chain.tip_id,), asked)
            now_ms = self._clock.now_ms()
            if not await self._threads.run(extend_branch, branch, encoded, now_ms, asked):
                return False

    async def _fetch_bodies(self, branch: Branch) -> None:
        wanted, branch.wanted = branch.wanted, []
        if not wanted:
            return
        self.target = branch.chain.tip.height
        if self.target > self._chain.head.height + FAR_BLOCKS:
            self._far_behind(True)
        self._download = Download(wanted, self._threads, self._limits.download, self._clock)
        try:
            await in_own_task(self._download.run(list(self._peers), self._import))
        except BaseExceptionGroup as group:
            raise cause_of(group) from None
        finally:
            self._download = None
            self._settle()

    def _settle(self) -> None:
        self._settled.set()
        self._settled = asyncio.Event()

    async def _import(self, block: CheckedBlock) -> None:
        answer = await self._chain.import_block(block)
        if answer.outcome is ImportStatus.INVALID:
            raise BlockRefused(f"block {answer.block.hex()}: {answer.detail}", got=answer.code)
        if answer.outcome is ImportStatus.PARKED:
            raise UnknownParent(f"a block of the branch cannot be judged now: {answer.detail}")
