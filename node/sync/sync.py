"""Catches up with peers that have more work: headers first, then bodies from every connected peer.

Gossip carries new blocks one by one. This service closes the gaps that gossip cannot: after a late start, an
absence or a partition. It learns of a gap from a handshake, in which the peer names more work, or from a
block whose parent is unknown. It checks the headers of a branch with their proof of work, and asks for bodies
only once these headers have more work than the best chain: a branch that would lose anyway is never
downloaded.

All peers that seem to be ahead are followed at once, so that one that is slow, or that sends headers without
end, holds up nobody else; `turns` says what they have to share. One branch at a time is downloaded. If a
peer's headers break a rule or a block of its branch is invalid, the peer has misbehaved. If it sends many
headers with too little work, or its bodies cannot be fetched, it is disconnected. After any other failure,
such as no answer in time, it is asked again `RETRY_S` seconds later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from engram.consensus.errors import UnknownParent
from engram.node import logs
from engram.node.chain.chain import Chain
from engram.node.chain.headers import CheckedBlock, CheckedHeader
from engram.node.chain.importer import ImportStatus
from engram.node.clock import Clock
from engram.node.concurrency import ReaderThreads, cause_of
from engram.node.errors import BlockRefused, BodiesUnavailable, DownloadStalled, LittleWork
from engram.node.largebody import block_bytes_of
from engram.node.sync.download import Download, DownloadLimits
from engram.node.sync.headersync import (
    Branch,
    extend_branch,
    make_locator,
    not_stored,
    open_branch,
)
from engram.node.sync.proving import prove_ahead
from engram.node.sync.turns import STALL_S, DownloadTurn, Turns
from engram.p2p.cancellation import in_own_task
from engram.p2p.clock import Timer
from engram.p2p.inventory import KnownIds
from engram.p2p.messages import MAX_HEADERS
from engram.p2p.protocol import Peer
from engram.primitives.errors import Invalid, NotReady

RETRY_S: Final = 3.0
"""Seconds after an interrupted try until the same peer may be asked again."""
FAR_BLOCKS: Final = 3
"""A branch is far ahead if it is more than so many blocks higher than this node's head."""
BRANCH_CHANGES: Final = 3
"""How often a peer may change its branch while this node follows it; then it must wait for `RETRY_S`."""
CHECKED_AT_ONCE: Final = 200
"""How many headers of one peer are checked before another has its turn."""

LOOK_S: Final = 5.0
"""Headers that are ahead of the clock are asked for again after so long at most: it may be set meanwhile."""
YIELD_S: Final = 0.1
"""Seconds before each such check while blocks are downloaded, if the peer's headers have led nowhere yet."""
REMEMBERED_HEADERS: Final = 16_384
"""Of so many headers it is remembered that their work is good: several peers send the same ones at once."""


@dataclass(frozen=True)
class SyncLimits:
    """Bounds of catching up."""

    headers: int = MAX_HEADERS
    """How many headers are asked for in one request."""
    unproven_headers: int = 200_000
    """How many headers of a peer are checked while they have less work than this node's own chain."""
    kept_headers: int = 1_000_000
    """How many headers of all peers wait for work or bodies; beyond, whoever has sent the most is left."""
    download: DownloadLimits = field(default_factory=DownloadLimits)


@dataclass(eq=False)
class _Followed:
    """What this service knows of one peer."""

    peer: Peer
    due_s: float | None = None
    """When to ask it, if it seems to have blocks that this node lacks."""
    task: asyncio.Task[None] | None = None
    branch: Branch | None = None
    """Its headers; kept while they have too little work, so that they are checked only once."""
    unproven: int = 0
    """How many of its headers were checked since they last had more work than this node's chain."""
    stalls: int = 0
    """How many downloads of its branches gave way."""
    fetched: int = 0
    early: tuple[int, int] | None = None
    """Timestamp of the header at which its branch is ahead of the clock, and the total work below it."""


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
        """`far_behind` is called with True before a long branch is fetched, and with False after that."""
        self.target = 0
        """Height up to which bodies are being fetched; 0 while none are."""
        self._chain = chain
        self._clock = clock
        self._threads = threads
        self._limits = limits or SyncLimits()
        self._far_behind = far_behind
        self._peers: dict[Peer, _Followed] = {}
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._checking = Turns()
        self._worked = KnownIds(REMEMBERED_HEADERS)
        self._fetching = DownloadTurn(clock)
        self._download: Download | None = None
        self._alarm: Timer | None = None
        self._log = logs.get_logger("sync")

    def joined(self, peer: Peer) -> None:
        """Called when a session with a peer has opened."""
        self._peers[peer] = _Followed(peer)
        if self._download is not None:
            self._download.join(peer)
        if peer.head.total_work > self._chain.head.total_work:
            self.is_ahead(peer)

    def left(self, peer: Peer) -> None:
        """Called when a session with a peer has ended."""
        followed = self._peers.pop(peer, None)
        if followed is not None:
            followed.due_s = None
        self._settle()

    def is_ahead(self, peer: Peer) -> None:
        """Called when a peer seems to have blocks that this node lacks: asks it for headers soon."""
        followed = self._peers.get(peer)
        if followed is not None:
            followed.due_s = 0.0
            self._wake.set()

    async def caught_up(self, peer: Peer) -> None:
        """Returns once this node has asked the peer for what it lacks, and no blocks are fetched in bulk.

        Claims of other peers do not delay it.
        """
        while self.is_running or self._is_asked(peer):
            await self._settled.wait()

    def _is_asked(self, peer: Peer) -> bool:
        followed = self._peers.get(peer)
        return followed is not None and (followed.task is not None or followed.due_s == 0.0)

    def early_ms(self) -> int | None:
        """The first timestamp of a branch that would lead if it were not ahead of the clock; None without
        one.
        """
        work = self._chain.head.total_work
        early = [each.early for each in self._peers.values() if each.early is not None]
        return min((stamp_ms for stamp_ms, below in early if below >= work), default=None)

    @property
    def is_running(self) -> bool:
        """Whether many bodies are fetched in bulk. Meanwhile, announced blocks are not fetched one by one.

        A few do not count: who names a new block first and withholds it must not keep it from this node.
        """
        return self._download is not None and self.target > self._chain.head.height + FAR_BLOCKS

    async def run(self) -> None:
        """The service: catches up with every peer that is ahead, until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                for followed in self._due():
                    followed.due_s = None
                    followed.task = group.create_task(self._try(followed))
                await self._wake.wait()

    def _due(self) -> list[_Followed]:
        """Whom to ask now. An alarm wakes the service for the first of those who must wait."""
        now_s = self._clock.monotonic()
        idle = [each for each in self._peers.values() if each.task is None and each.due_s is not None]
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        later = [each.due_s for each in idle if each.due_s is not None and each.due_s > now_s]
        if later:
            self._alarm = self._clock.call_later(min(later) - now_s, self._wake.set)
        return [each for each in idle if each.due_s is not None and each.due_s <= now_s]

    async def _try(self, followed: _Followed) -> None:
        peer, followed.fetched = followed.peer, 0
        try:
            await self._catch_up(followed)
        except LittleWork as error:
            self._log.info("a peer's chain has too little work", peer=peer.node_key, error=error)
            peer.disconnect()
        except BodiesUnavailable as error:
            self._log.info("a peer's chain cannot be fetched", peer=peer.node_key, error=error)
            peer.disconnect()
        except NotReady as error:
            self._log.info("catching up with a peer was interrupted", peer=peer.node_key, error=error)
            self._ask_again(followed, RETRY_S)
        except Invalid as error:
            self._log.warning("a peer's chain is invalid", peer=peer.node_key, error=error)
            peer.misbehaved(error)
        finally:
            followed.task = None
            self._wake.set()
            self._settle()
        if followed.fetched > 1:
            self._log.info("caught up", height=self._chain.head.height, blocks=followed.fetched)

    def _ask_again(self, followed: _Followed, delay_s: float) -> None:
        """Asks a peer again after so many seconds, unless there is reason to do so before."""
        if followed.peer in self._peers and followed.due_s is None:
            followed.due_s = self._clock.monotonic() + delay_s

    async def _catch_up(self, followed: _Followed) -> None:
        """Takes over the peer's best chain, if it has more work than this node's.

        It asks for headers again after each branch, because blocks that were announced during the download
        were not fetched one by one.
        """
        for _ in range(BRANCH_CHANGES):
            while (branch := await self._first_headers(followed)) is not None:
                head = self._chain.head
                followed.branch = branch
                if not await self._follow(followed, branch):
                    break
                followed.early = None
                if branch.ahead_ms:
                    followed.early = branch.ahead_ms, branch.chain.total_work
                    due_ms = branch.ahead_ms - self._chain.spec.future_limit_ms
                    wait_s = max(0, due_ms - self._clock.now_ms()) / 1000
                    self._ask_again(followed, min(wait_s, LOOK_S))
                if branch.is_complete and self._chain.head.id == head.id:
                    return
            else:
                followed.early = None
                return
        self._ask_again(followed, RETRY_S)

    async def _first_headers(self, followed: _Followed) -> Branch | None:
        """The peer's branch, with the first headers that are not checked yet; None if there are none."""
        store, asked, known = self._chain.store, self._limits.headers, followed.branch
        locator = await self._threads.run(make_locator, store, self._chain.head)
        if known is not None:
            locator = (known.chain.tip_id, *locator)
        encoded = await followed.peer.get_headers(locator, asked)
        if not encoded:
            return None
        if known is not None and await self._threads.run(extend_branch, known, encoded, asked):
            return known
        followed.branch = None
        return await self._threads.run(open_branch, self._chain.spec, store, encoded, asked)

    async def _follow(self, followed: _Followed, branch: Branch) -> bool:
        """Takes over a branch to its end; False if the peer has changed to another branch meanwhile."""
        asked = self._limits.headers
        while True:
            await self._check(followed, branch)
            if self._leads(branch):
                followed.branch = None  # if this fails, it is asked for anew
                await self._fetch_bodies(followed, branch)
                if len(branch):
                    return True  # another branch leads by now
                followed.branch = branch
            if branch.is_complete:
                followed.branch = branch if len(branch) else None
                return True
            encoded = await followed.peer.get_headers((branch.chain.tip_id,), asked)
            if not await self._threads.run(extend_branch, branch, encoded, asked):
                followed.branch = None
                return False

    async def _check(self, followed: _Followed, branch: Branch) -> None:
        """Checks the headers that came, a few at a time. Raises `LittleWork` if too many lead nowhere.

        A branch that leads has its turn first. Others wait for as long as their peer was checked for nothing;
        a fresh key has never been, so whoever comes with ever more of them would else be first for ever.
        """
        while not branch.is_checked:
            wasted = 0 if self._leads(branch) else 1 + followed.unproven
            async with self._checking.turn(wasted, followed.peer.info.inbound):
                if followed.unproven and self._download is not None:
                    await self._clock.sleep(YIELD_S)
                headers = branch.coming(CHECKED_AT_ONCE)
                await prove_ahead(self._threads, self._chain, headers, self._worked)
                now_ms = self._clock.now_ms()
                followed.unproven += await self._threads.run(
                    branch.check, CHECKED_AT_ONCE, now_ms, self._worked
                )
                if self._leads(branch):
                    followed.unproven = 0
        if followed.unproven > self._limits.unproven_headers:
            raise LittleWork(expected=self._chain.head.total_work, got=branch.chain.total_work)
        self._bound_memory()

    def _leads(self, branch: Branch) -> bool:
        return branch.chain.total_work > self._chain.head.total_work

    def _bound_memory(self) -> None:
        """Leaves those peers whose headers take the most memory, while they take too much together."""
        kept = {each: len(each.branch) for each in self._peers.values() if each.branch is not None}
        while sum(kept.values()) > self._limits.kept_headers:
            most = max(kept, key=lambda each: kept[each])
            del kept[most]
            most.branch = None
            most.peer.disconnect()
            if most.task is not None:
                most.task.cancel()

    async def _fetch_bodies(self, followed: _Followed, branch: Branch) -> None:
        """Downloads a branch while it leads. Raises what `Download.run` raises, and `DownloadStalled`."""
        while len(branch) and self._leads(branch):
            wanted = await self._threads.run(not_stored, self._chain.store, branch.take(MAX_HEADERS))
            if not wanted:
                continue
            rank = (followed.stalls, followed.peer.info.inbound)
            ids = {header.id for header in wanted}
            patience_s = STALL_S * 2**followed.stalls
            try:
                async with self._fetching.held(rank, wanted[0].id, ids, patience_s):
                    await self._fetch(followed, branch, wanted)
            except DownloadStalled:
                followed.stalls += 1
                raise

    async def _fetch(self, followed: _Followed, branch: Branch, wanted: list[CheckedHeader]) -> None:
        """One download; others may have fetched some of these blocks before it began."""
        wanted = await self._threads.run(not_stored, self._chain.store, wanted)
        if not wanted:
            return
        self.target = branch.chain.tip.height
        block_bytes, came = block_bytes_of(self._chain.spec), self._fetching.progressed
        limits = self._limits.download
        download = Download(wanted, self._threads, limits, self._clock, block_bytes, came)
        self._download = download
        if self.is_running:
            self._far_behind(True)

        async def take(blocks: Sequence[CheckedBlock]) -> None:
            left = blocks
            while left:
                judged = await self._import(followed, left)
                left = left[judged:]

        def moved() -> None:
            if not self._leads(branch):
                download.stop()  # the same blocks, or as good ones, have come by announcements
            if not self.is_running:
                self._settle()

        end = self._chain.listen(moved)
        try:
            await in_own_task(download.run(list(self._peers), take))
        except BaseExceptionGroup as group:
            raise cause_of(group) from None
        finally:
            end()
            self._download = None
            self.target = 0
            self._far_behind(False)
            self._settle()

    def _settle(self) -> None:
        self._settled.set()
        self._settled = asyncio.Event()

    async def _import(self, followed: _Followed, blocks: Sequence[CheckedBlock]) -> int:
        """Has the first of these blocks judged; how many. Raises `BlockRefused`, `UnknownParent`."""
        answers = await self._chain.import_run(blocks)
        last = answers[-1]
        refused = last.outcome in (ImportStatus.INVALID, ImportStatus.PARKED)
        followed.fetched += len(answers) - refused
        self._fetching.progressed()
        if last.outcome is ImportStatus.INVALID:
            raise BlockRefused(f"block {last.block.hex()}: {last.detail}", got=last.code)
        if last.outcome is ImportStatus.PARKED:
            raise UnknownParent(f"a block of the branch cannot be judged now: {last.detail}")
        return len(answers)
