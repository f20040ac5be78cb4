"""Mining: block templates on the head, and the search for a nonce in worker threads.

The block that is found goes through `Chain.import_block` like any other. scrypt releases the GIL, so the
event loop does not feel the search.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from engram.consensus.block import NONCE_BYTES, Block, pow_prefix
from engram.consensus.builder import Template, assemble
from engram.consensus.chainspec import has_work
from engram.consensus.compact import bits_to_target
from engram.consensus.pow import POW, meets_target
from engram.node import logs
from engram.node.chain.chain import Chain
from engram.node.chain.headers import HeaderChain
from engram.node.chain.importer import ImportStatus
from engram.node.clock import Clock
from engram.node.concurrency import finished, in_worker, until_done
from engram.node.errors import BlockTooEarly, InvalidAncestor
from engram.node.mempool.mempool import Mempool
from engram.node.mining.early import LOOK_S, Wait, wait_of
from engram.node.mining.pacing import Pacing
from engram.node.mining.running import round_runs
from engram.node.storage.store import BlockRef
from engram.primitives.types import Address, Hash
from engram.statemachine.scoring import Scorer
from engram.statemachine.transaction import Transaction

REFRESH_S: Final = 0.1
"""Transactions that arrive within this time enter the same new template."""
_BATCH: Final = 64
_BATCHES_PER_S: Final = 20
_MAX_AGE_BLOCK_TIMES: Final = 0.5
"""Age at which a template is renewed for its timestamp's sake, in block times."""


@dataclass(frozen=True)
class MinerOptions:
    """How and for whom to mine."""

    address: Address
    """Who is credited with subsidy and fees."""
    threads: int = 1
    max_hashes_per_s: int = 0
    """Limit of all threads together; 0 for none."""
    on_demand: bool = False
    """Mine only while a transaction waits or a round runs, or when `generate` asks. On a chain without work
    every miner does so.
    """
    idle: bool = False
    """Mine only when `generate` asks."""


@dataclass(eq=False)
class _Request:
    """Blocks that `generate` still owes."""

    count: int
    done: asyncio.Future[list[Hash]]
    mined: list[Hash] = field(default_factory=list)


class Miner:
    """Mines on the head for ever, or on demand. Methods run on the event loop."""

    def __init__(
        self,
        chain: Chain,
        mempool: Mempool,
        scorer: Scorer,
        clock: Clock,
        pacing: Pacing,
        options: MinerOptions,
        due_branch_ms: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`due_branch_ms`: see `early.wait_of`."""
        self.options = options
        self.waits: Wait | None = None
        """Why it does not mine although it is on; None if it does."""
        self.hashes = 0
        """Digests tried since the start."""
        self.blocks = 0
        """Blocks found since the start."""
        self._paused = False
        self._chain = chain
        self._mempool = mempool
        self._scorer = scorer
        self._clock = clock
        self._pacing = pacing
        self._works = has_work(chain.spec)
        self._requests: deque[_Request] = deque()
        self._wake = asyncio.Event()
        self._search: threading.Event | None = None
        self._refresh_due = False
        self._due_branch_ms = due_branch_ms
        self._log = logs.get_logger("miner")

    async def generate(self, count: int) -> list[Hash]:
        """Mines `count` blocks now, with or without transactions; returns their ids, lowest first.

        They wait for no program that holds blocks. Raises `BlockTooEarly` if the clock is too far behind the
        blocks below.
        """
        if count <= 0:
            return []
        request = _Request(count, asyncio.get_running_loop().create_future())
        self._requests.append(request)
        self._wake.set()
        try:
            return await request.done
        finally:
            if request in self._requests:  # whoever asked is gone
                self._requests.remove(request)

    def pause(self, paused: bool) -> None:
        """While paused, mines only when `generate` asks."""
        self._paused = paused
        self._head_changed()

    async def run(self) -> None:
        """The service. Ends by cancellation, or if the chain stops."""
        unlisten = (
            self._chain.listen(self._head_changed),
            self._mempool.listen(lambda entry: self._transaction_came()),
            self._pacing.listen(self._pace_changed),
        )
        try:
            with (
                ThreadPoolExecutor(1, thread_name_prefix="engram-template") as builder,
                ThreadPoolExecutor(self.options.threads, thread_name_prefix="engram-miner") as miners,
            ):
                while True:
                    await self._mine_one(builder, miners)
        finally:
            for end in unlisten:
                end()
            for request in self._requests:
                request.done.cancel()

    async def _mine_one(self, builder: ThreadPoolExecutor, miners: ThreadPoolExecutor) -> None:
        """One template: searched until its block is found or it is out of date; or a wait for work."""
        if not self._works:  # nothing races for this block: it need not be tried with what the last one took
            await self._mempool.settled()
        self._wake.clear()
        head = self._chain.head
        if self._is_held(head.height + 1) or not self._is_time(head):
            await self._wake.wait()
            return
        if self._waits_for_clock(head):
            alarm = self._clock.call_later(LOOK_S, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                alarm.cancel()
            return
        candidates = self._mempool.candidates()
        empty_wanted = self._wanted(False)
        if not self._wanted(bool(candidates)):
            empty_wanted = await self._is_due(builder, head)
            if not empty_wanted:
                await self._wake.wait()
                return
        template = await in_worker(builder, self._assemble, head, candidates)
        await self._mempool.leave_out(head, template.skipped)
        if head is not self._chain.head or (self._is_idle and not self._requests):
            return
        if self._is_held(head.height + 1):
            return
        if not template.transactions and not (empty_wanted or await self._is_due(builder, head)):
            await self._wake.wait()
            return
        if self._is_too_early(template):
            await self._wake.wait()
            return
        block = await self._find(miners, template)
        if block is not None:
            await self._submit(block)

    def _waits_for_clock(self, head: BlockRef) -> bool:
        """Whether a block on this head were lost work by this clock. What `generate` asks for is not held."""
        wait = None
        if not self._requests and not self._is_idle:
            wait = wait_of(self._chain.spec, self._clock, head, self._due_branch_ms)
        if wait is not None and (self.waits is None or self.waits.cause != wait.cause):
            self._log.warning(f"the miner {wait.message}", code=wait.cause)
        elif wait is None and self.waits is not None:
            self._log.info("the miner goes on")
        self.waits = wait
        return wait is not None

    def _is_too_early(self, template: Template) -> bool:
        """Whether this very node would refuse the block for now; then whoever asked for it is told."""
        early_ms = template.header.timestamp_ms - self._chain.spec.future_limit_ms - self._clock.now_ms()
        if early_ms <= 0:
            return False
        self._clock.call_later(min(early_ms / 1000, LOOK_S), self._wake.set)
        while self._requests:
            request = self._requests.popleft()
            if not request.done.done():
                request.done.set_exception(BlockTooEarly(got=early_ms))
        return True

    @property
    def _is_idle(self) -> bool:
        return self.options.idle or self._paused

    def _wanted(self, transactions_wait: bool) -> bool:
        if self._is_idle or self._requests:
            return bool(self._requests)
        on_demand = self.options.on_demand or not self._works
        return transactions_wait or (not on_demand and self._pacing.may_mine_empty())

    def _is_held(self, height: int) -> bool:
        """Whether a program is not ready for a block of this height, and nobody asks for it all the same."""
        return not self._requests and not self._pacing.may_mine(height)

    async def _is_due(self, builder: ThreadPoolExecutor, head: BlockRef) -> bool:
        """Whether a round on a node that mines on demand is owed an empty block: its calendar goes on at the
        chain's pace; on a chain without work, as fast as those who play it and hold blocks are ready, once
        there are two of them. One that is owed later wakes the miner then.
        """
        if self._is_idle or not self._pacing.may_mine_empty():
            return False
        if not await in_worker(builder, round_runs, self._chain, head):
            return False
        # One who plays alone gets the chain's pace: the others may be about to begin.
        return (not self._works and self._pacing.programs > 1) or self._has_come(head)

    def _has_come(self, head: BlockRef) -> bool:
        """Whether the chain's block time has passed since the head. If not, wakes the miner then."""
        wait_ms = head.header.timestamp_ms + self._chain.spec.block_time_ms - self._clock.now_ms()
        if wait_ms > 0:
            self._clock.call_later(wait_ms / 1000, self._wake.set)
        return wait_ms <= 0

    def _is_time(self, head: BlockRef) -> bool:
        """Whether the next block is not too early for programs that hold. If it is, wakes the miner later.

        While they hold, no block comes sooner than the chain's block time after the one before. Otherwise a
        node could make the blocks of a whole phase while a transaction is still on its way to it. On a chain
        without work nothing comes by itself while they hold, so its blocks wait for them alone.
        """
        if self._requests or not self._pacing.programs or not self._works:
            return True
        return self._has_come(head)

    def _assemble(self, head: BlockRef, candidates: list[Transaction]) -> Template:
        """In a worker: the template on `head`, with the earliest allowed timestamp if the clock is behind
        it.
        """
        branch = HeaderChain(self._chain.spec, self._chain.store, head)
        return assemble(
            self._chain.spec,
            head.header,
            self._chain.store,
            candidates,
            miner=self.options.address,
            timestamp_ms=max(self._clock.now_ms(), branch.median_time_ms() + 1),
            bits=branch.next_bits(),
            blobs=self._chain.store,
            scorer=self._scorer,
            verified=frozenset(tx.id for tx in candidates),
        )

    async def _find(self, miners: ThreadPoolExecutor, template: Template) -> Block | None:
        """The sealed block; None if the search was ended first."""
        if not self._works:  # any nonce does; were it always the same, a block that was taken back came again
            return template.seal(secrets.token_bytes(NONCE_BYTES))
        stop = self._search = threading.Event()
        self._refresh_due = False
        max_age_s = max(1.0, self._chain.spec.block_time_ms / 1000 * _MAX_AGE_BLOCK_TIMES)
        timer = self._clock.call_later(max_age_s, stop.set)
        threads = self.options.threads
        limit = self.options.max_hashes_per_s / threads
        function = POW[self._chain.spec.pow]
        prefix, target = pow_prefix(template.header), bits_to_target(template.header.target)
        loop = asyncio.get_running_loop()
        searches = [
            loop.run_in_executor(miners, search, function, prefix, target, start, threads, stop, limit)
            for start in range(threads)
        ]
        try:
            await asyncio.wait(searches, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.set()
            timer.cancel()
            self._search = None
            await finished(*searches)
        results = [search.result() for search in searches]
        self.hashes += sum(tried for _, tried in results)
        nonce = next((nonce for nonce, _ in results if nonce is not None), None)
        return None if nonce is None else template.seal(nonce)

    async def _submit(self, block: Block) -> None:
        # A block that was handed in is judged even if the miner is cancelled, so the miner ends after that.
        answer = await until_done(self._chain.import_block(block))
        if not self._works and answer.code == InvalidAncestor.code:
            return  # its parent was taken back while it was made
        refused = answer.outcome is ImportStatus.INVALID
        assert not refused, f"a template is built by what judges it, yet: {answer.code} {answer.detail}"
        if (
            answer.outcome is ImportStatus.PARKED
        ):  # the clock was set back: wait for it rather than mine another
            await self._clock.sleep(1)
        self.blocks += 1
        if self._requests and answer.outcome in (ImportStatus.EXTENDED, ImportStatus.REORGED):
            request = self._requests[0]
            request.mined.append(answer.block)
            if len(request.mined) == request.count:
                self._requests.popleft()
                if not request.done.done():  # or whoever asked has been cancelled just now
                    request.done.set_result(request.mined)

    def _head_changed(self) -> None:
        """What is being mined is out of date, and what is wanted may have changed."""
        self._wake.set()
        if self._search is not None:
            self._search.set()

    def _pace_changed(self) -> None:
        """A miner that waits looks again; a search ends if a program is not ready for its block."""
        self._wake.set()
        if self._search is not None and self._is_held(self._chain.head.height + 1):
            self._search.set()

    def _transaction_came(self) -> None:
        self._wake.set()
        if self._search is not None and not self._refresh_due:
            self._refresh_due = True
            self._clock.call_later(REFRESH_S, self._search.set)


def search(
    function: Callable[[bytes], bytes],
    prefix: bytes,
    target: int,
    start: int,
    step: int,
    stop: threading.Event,
    max_per_s: float = 0.0,
) -> tuple[bytes | None, int]:
    """Tries the nonces start, start + step, … until one meets the target or `stop` is set.

    Returns the nonce, None if stopped, and how many digests were tried: at most `max_per_s` a second on
    average since the call, if that is not 0.
    """
    batch = max(1, min(_BATCH, int(max_per_s / _BATCHES_PER_S))) if max_per_s else _BATCH
    began_s, tried = time.monotonic(), 0
    while not stop.is_set():
        for _ in range(batch):
            nonce = (start + tried * step).to_bytes(NONCE_BYTES, "big")
            tried += 1
            if meets_target(function(prefix + nonce), target):
                return nonce, tried
        if max_per_s:
            ahead_s = tried / max_per_s - (time.monotonic() - began_s)
            if ahead_s > 0:
                stop.wait(ahead_s)
    return None, tried
