"""The chain as the node's other services use it: offer a block, read the head, follow its changes.

`importer` decides whether a block is valid, and `store` knows what is on disk. All methods of this module run
on the event loop. Blocks are judged in one worker thread, so that judging never holds up the loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakSet

from engram.consensus.block import Block
from engram.consensus.chainspec import ChainSpec, has_work
from engram.consensus.errors import TimestampAhead, UnknownParent
from engram.consensus.forkchoice import plan_reorg
from engram.node.chain.floor import is_worth_a_body
from engram.node.chain.headers import CheckedBlock, work_of_header
from engram.node.chain.importer import Importer, ImportOutcome, ImportStatus
from engram.node.chain.orphans import Orphan, OrphanPool
from engram.node.chain.pruningpace import PruningPace
from engram.node.clock import Clock
from engram.node.concurrency import in_worker
from engram.node.errors import BlocksCostWork, ChainStopped, StatePruned
from engram.node.storage.failpoints import FailPoint, hit
from engram.node.storage.store import BlockRef, ChainStore
from engram.p2p.clock import Timer
from engram.primitives.errors import InvalidInput
from engram.primitives.types import Hash
from engram.statemachine.state import State

QUEUE_BLOCKS: Final = 64
_TAKEN: Final = (ImportStatus.EXTENDED, ImportStatus.REORGED, ImportStatus.SIDE, ImportStatus.DUPLICATE)
"""Behind a block with one of these verdicts the next block of a run is judged."""
LOOK_S: Final = 5.0
"""While blocks wait for the clock, it is looked at so often: it may be set meanwhile."""
RUN_S: Final = 0.05
"""After so many seconds the writer's thread judges no further block of a run before `head` has moved."""
CHANGE_BLOCKS: Final = 256
"""The most blocks by which one `HeadChanged` raises the height; the next `HeadChanged` brings the others."""


@dataclass(frozen=True)
class HeadChanged:
    """The head of the best chain has changed."""

    disconnected: tuple[BlockRef, ...]
    """Blocks that left the best chain, the old head first."""
    connected: tuple[BlockRef, ...]
    """Blocks that joined the best chain, lowest first; none if the operator has taken the chain back."""
    head: BlockRef
    """The head after the change."""


class HeadChanges:
    """An endless asynchronous iterator over the changes of the head since a given block.

    No queue stands behind it, so a slow reader costs no memory. Each step compares the last block that the
    reader was told of with the present head, and advances by `CHANGE_BLOCKS` at most. A reader therefore
    learns of every block that is still on the best chain, but may never hear of one that joined and left
    between two steps. What is stored of the blocks from `followed` and from `seen` on is kept until the next
    step: the best chain may have left and joined either meanwhile.
    """

    def __init__(self, chain: Chain, seen: BlockRef) -> None:
        self._chain = chain
        self.seen = self.followed = seen

    def __aiter__(self) -> HeadChanges:
        return self

    async def __anext__(self) -> HeadChanged:
        self.followed = self.seen
        target = await self._chain.moved_from(self.seen)
        store = self._chain.store
        if target.height - self.seen.height > CHANGE_BLOCKS:
            ahead = store.canonical_id(self.seen.height + CHANGE_BLOCKS)
            target = store.get_ref(ahead) if ahead is not None else target
        # The plan follows parents, which never change. The index of ids by height would not do: the writer
        # may already have committed the next block there while `head` is still the old one.
        plan = plan_reorg(self.seen, target, store.parent_of)
        self.seen = target
        return HeadChanged(plan.disconnect, plan.connect, target)


@dataclass
class _Offer:
    blocks: Sequence[Block | CheckedBlock]
    unasked: bool
    answer: asyncio.Future[list[ImportOutcome]]


@dataclass
class _Run:
    """What one visit of the writer's thread has done."""

    head: BlockRef
    """The head after it."""
    answers: list[ImportOutcome] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    """Seconds of each import."""


@dataclass
class _Return:
    target: BlockRef
    answer: asyncio.Future[BlockRef]


class Chain:
    """The best chain. Every block, mined here or received from a peer, enters through `import_block`."""

    def __init__(
        self,
        spec: ChainSpec,
        store: ChainStore,
        importer: Importer,
        clock: Clock,
        head: BlockRef,
        observe: Callable[[float], None] | None = None,
    ) -> None:
        """`head` comes from `recovery.open_chain`. `observe` is called with the seconds of each import."""
        self.spec = spec
        self.store = store
        self.head = head
        self._importer = importer
        self._importer.lazy = not has_work(spec)
        self._clock = clock
        self._observe = observe
        self._parked = OrphanPool()
        self._queue: asyncio.Queue[_Offer | _Return | None] = asyncio.Queue(QUEUE_BLOCKS)
        self._current: _Offer | _Return | None = None
        self._listeners: list[Callable[[], None]] = []
        self._moved = asyncio.Event()
        self._followers: WeakSet[HeadChanges] = WeakSet()
        self._pruning_pace = PruningPace(has_work=has_work(spec))
        self._timer: Timer | None = None
        self._stopped = False

    async def import_block(self, block: Block | CheckedBlock, *, unasked: bool = False) -> ImportOutcome:
        """The verdict on a block; blocks are judged in the order in which they are offered.

        Of a `CheckedBlock`, only that is judged which is not checked yet. A block that a peer has brought
        `unasked` must be worth its cost, see `floor`; otherwise it is answered with `BEHIND` and forgotten.

        A block that cannot be judged yet is answered with `PARKED` and kept. The chain tries it again by
        itself when its parent arrives or when the clock reaches its timestamp; of blocks that wait for the
        clock and came `unasked`, only those are kept that are worth it. Raises `ChainStopped` if the
        writer has ended.
        """
        return (await self._offered((block,), unasked=unasked))[0]

    async def import_run(self, blocks: Sequence[Block | CheckedBlock]) -> list[ImportOutcome]:
        """The verdicts on the first of these blocks, each of which stands on the one before; one at least.

        Several blocks are judged in one visit of the writer's thread, and `head` moves once for all of them.
        It comes back after `RUN_S` seconds, and behind a block that is invalid or cannot be judged yet: so
        the last verdict may be such a one, and the caller offers the other blocks again. Raises as
        `import_block`.
        """
        return await self._offered(blocks, unasked=False)

    async def _offered(self, blocks: Sequence[Block | CheckedBlock], *, unasked: bool) -> list[ImportOutcome]:
        offer = _Offer(blocks, unasked, asyncio.get_running_loop().create_future())
        await self._put(offer)
        return await offer.answer

    async def revert(self, target: BlockRef) -> BlockRef:
        """Takes a chain without work back to one of its blocks, as `Importer.revert` does; the new head.

        Raises `BlocksCostWork`, `ChainStopped`, and as `Importer.revert`.
        """
        if has_work(self.spec):
            raise BlocksCostWork(got=self.spec.name)
        asked = _Return(target, asyncio.get_running_loop().create_future())
        await self._put(asked)
        return await asked.answer

    def hurry(self, hurrying: bool) -> None:
        """While blocks are fetched in bulk, what is written is forced to the disk once in many blocks.

        A chain without work always does so: what a power cut takes of it cost nobody anything.
        """
        self._importer.lazy = hurrying or not has_work(self.spec)
        self._wake()

    async def run(self) -> None:
        """The one writer: takes blocks from the queue and judges them, until it is cancelled.

        Raises the `StorageError` or `UpgradeRequired` after which the node cannot go on.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="engram-chain") as worker:
            try:
                while True:
                    self._current = await self._queue.get()
                    if isinstance(self._current, _Return):
                        await self._revert(worker, self._current)
                    elif self._current is not None:
                        offer = self._current
                        answers = await self._judge(worker, offer.blocks, unasked=offer.unasked)
                        if not self._current.answer.done():
                            self._current.answer.set_result(answers)
                        await self._prune(worker, len(answers))
                    elif not self._importer.lazy:
                        await in_worker(worker, self._importer.force)
                    await self._retry_due(worker)
            finally:
                self._stop()

    def state(self, ref: BlockRef | None = None) -> State:
        """The state after a valid block, by default the head. Raises `StatePruned` if it is deleted."""
        if ref is not None:
            self.store.require_state(ref.height)
        return State(self.store, (ref or self.head).state_root)

    def parked(self, block: Hash) -> str:
        """The error code for which a block is parked; empty if it is not parked."""
        entry = self._parked.get(block)
        return entry.code if entry else ""

    def early_ms(self) -> int | None:
        """The first timestamp of a branch that would lead if it were not ahead of the clock; None without
        one.
        """
        return self._parked.first_ahead_ms(self.head.total_work)

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls `callback` after each change of the head; the returned function ends that."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def changes(self, since: BlockRef | None = None) -> HeadChanges:
        """Every change of the best chain after `since`, by default after the present head."""
        changes = HeadChanges(self, since or self.head)
        self._followers.add(changes)
        return changes

    def followed(self) -> list[BlockRef]:
        """For everybody who reads changes of the head: the blocks from which on they need what is stored."""
        read = [ref for changes in self._followers for ref in (changes.followed, changes.seen)]
        return list({ref.id: ref for ref in read}.values())

    async def moved_from(self, seen: BlockRef) -> BlockRef:
        """The head, as soon as it is another block than `seen`."""
        while self.head.id == seen.id:
            await self._moved.wait()
        return self.head

    async def _judge(
        self, worker: ThreadPoolExecutor, blocks: Sequence[Block | CheckedBlock], *, unasked: bool
    ) -> list[ImportOutcome]:
        """The verdicts on a run of blocks, as far as one visit of the thread has brought it.

        Parked blocks that waited for these are judged too before this returns.
        """
        first: list[ImportOutcome] | None = None
        waiting: deque[tuple[Sequence[Block | CheckedBlock], bool]] = deque([(blocks, unasked)])
        while waiting:
            blocks, unasked = waiting.popleft()
            answers = await self._import(worker, blocks, unasked=unasked)
            first = first or answers
            for block, answer in zip(blocks, answers, strict=False):
                if answer.outcome is ImportStatus.PARKED:
                    self._park(_plain(block), answer, unasked=unasked)
                elif answer.outcome not in (ImportStatus.DUPLICATE, ImportStatus.BEHIND):
                    children = self._parked.take_children(answer.block)
                    waiting.extend(((child.block,), child.unasked) for child in children)
        assert first, "the loop runs once for the given blocks, and judges one of them at least"
        return first

    async def _import(
        self, worker: ThreadPoolExecutor, blocks: Sequence[Block | CheckedBlock], *, unasked: bool
    ) -> list[ImportOutcome]:
        """Imports the first of these blocks in the worker thread, and then moves `head`.

        The database is written first, so `head` never names a block that a crash could lose. If the node is
        being stopped, the import that has begun still finishes.
        """
        run = await in_worker(worker, self._import_some, blocks, self.head, self._clock.now_ms(), unasked)
        if self._observe is not None:
            for took_s in run.took_s:
                self._observe(took_s)
        self._move(run.head)
        return run.answers

    def _import_some(
        self, blocks: Sequence[Block | CheckedBlock], head: BlockRef, now_ms: int, unasked: bool
    ) -> _Run:
        """Judges blocks one after the other, in the worker thread; ends behind one that was not taken."""
        run = _Run(head)
        if len(blocks) > 1:
            self._importer.ahead(map(_plain, blocks))
        began_s = at_s = self._clock.monotonic()
        for block in blocks:
            header = block.header if isinstance(block, CheckedBlock) else None
            imported = self._importer.import_block(
                _plain(block), run.head, now_ms, header=header, unasked=unasked
            )
            before_s, at_s = at_s, self._clock.monotonic()
            run.head = imported.head
            run.answers.append(imported.answer)
            run.took_s.append(at_s - before_s)
            if imported.answer.outcome not in _TAKEN or at_s - began_s >= RUN_S:
                break
        return run

    async def _revert(self, worker: ThreadPoolExecutor, asked: _Return) -> None:
        try:
            head = await in_worker(worker, self._importer.revert, asked.target, self.head)
        except (InvalidInput, StatePruned) as error:
            if not asked.answer.done():
                asked.answer.set_exception(error)
            return
        self._move(head)
        if not asked.answer.done():
            asked.answer.set_result(head)

    def _move(self, head: BlockRef) -> None:
        """Takes what the writer has committed as the head, and tells everybody who follows it."""
        if head == self.head:
            return
        self.head = head
        hit(FailPoint.IMPORT_AFTER_HEAD)
        self._moved.set()
        self._moved = asyncio.Event()
        for callback in list(self._listeners):
            callback()

    async def _prune(self, worker: ThreadPoolExecutor, blocks: int) -> None:
        """Deletes a few states that are old, and that nobody reads who took them for new a moment ago.

        `blocks`: how many were judged since the last call.
        """
        old = self._pruning_pace.judged(blocks, self.head.height, self._clock.monotonic())
        if old is not None:
            height, judged = old
            await in_worker(worker, self._importer.prune, height, self.followed(), judged)

    def _park(self, block: Block, answer: ImportOutcome, *, unasked: bool) -> None:
        if answer.code == UnknownParent.code:
            self._parked.add(Orphan(answer.block, block, answer.code, unasked=unasked))
        elif answer.code == TimestampAhead.code:
            due_ms = block.header.timestamp_ms - self.spec.future_limit_ms
            parent = self.store.find_ref(block.header.parent)
            work = 0 if parent is None else parent.total_work + work_of_header(block.header)
            parked = Orphan(answer.block, block, answer.code, due_ms, unasked, work)
            if unasked and not is_worth_a_body(parked, block.header, self.head):
                return  # it would take the place of one that is
            self._parked.add(parked)
            self._set_timer()

    async def _retry_due(self, worker: ThreadPoolExecutor) -> None:
        while due := self._parked.take_due(self._clock.now_ms()):
            for parked in due:
                await self._judge(worker, (parked.block,), unasked=parked.unasked)
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_ms = self._parked.next_due_ms()
        if due_ms is not None:
            delay_s = (due_ms - self._clock.now_ms()) / 1000
            self._timer = self._clock.call_later(min(delay_s, LOOK_S), self._wake)

    async def _put(self, item: _Offer | _Return) -> None:
        if self._stopped:
            raise ChainStopped("the chain's writer has ended")
        await self._queue.put(item)
        if self._stopped:
            raise ChainStopped("the chain's writer has ended")

    def _wake(self) -> None:
        if not self._queue.full():  # the writer is not asleep while the queue is full
            self._queue.put_nowait(None)

    def _stop(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        unanswered = [self._current]
        while not self._queue.empty():
            unanswered.append(self._queue.get_nowait())
        for offer in unanswered:
            if offer is not None and not offer.answer.done():
                offer.answer.set_exception(ChainStopped("the chain's writer has ended"))


def _plain(block: Block | CheckedBlock) -> Block:
    return block.block if isinstance(block, CheckedBlock) else block
