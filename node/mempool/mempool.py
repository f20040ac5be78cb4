"""The mempool as a service: admits transactions, keeps them on disk, and verifies ahead of blocks.

A transaction is admitted if the next block could hold it, or if only earlier transactions of the same sender
are missing before it. The core judges every template and every block again.

**What an acknowledgement promises.** When `admit` has accepted a transaction, this node knows it until a
block holds it, or until it says by a code why it was dropped; also after a restart, and after the process was
killed (`journal`). A power cut may take the last half minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from engram.node import logs
from engram.node.chain.chain import Chain
from engram.node.chain.signatures import SignatureVerifier
from engram.node.clock import Clock
from engram.node.concurrency import in_worker
from engram.node.errors import AlreadyIncluded, AlreadyPooled, Evicted, Expired
from engram.node.mempool.admission import Admission, AdmitOutcome, Checked, Refusal
from engram.node.mempool.deferred import Deferred, Source
from engram.node.mempool.journal import Journaled, MempoolJournal
from engram.node.mempool.journaling import Journaling
from engram.node.mempool.keeper import Keeper
from engram.node.mempool.pool import PooledTx, PoolLimits, hindrances
from engram.node.mempool.upkeep import EXPIRY_S, Upkeep
from engram.node.storage.store import BlockRef
from engram.primitives.errors import ChainError, CodecError, Invalid, NotReady, StorageError
from engram.primitives.types import Address, Hash
from engram.statemachine.errors import NonceMismatch
from engram.statemachine.records import Account
from engram.statemachine.scoring import Scorer
from engram.statemachine.transaction import Transaction, decode_transaction

RESTORED_FIRST: Final = 256
"""So many transactions of the journal are admitted again before anybody is served, the others beside it."""
WARM_QUEUE: Final = 64
DEFERRED: Final = 32
DEFERRED_BYTES: Final = 8 << 20
DEFERRED_HEADS: Final = 8
"""On how many new heads a peer's transaction is tried again that this node's state refused at first."""
RETURNING: Final = 512
RETURNING_BYTES: Final = 64 << 20
RETURNING_HEADS: Final = 64
"""The same of a transaction that an abandoned block held. It may need what another sender's transaction of
that block did, which waits again too.
"""


class Mempool:
    """The waiting transactions, and why others were dropped. Methods run on the event loop."""

    def __init__(
        self,
        chain: Chain,
        verifier: SignatureVerifier,
        scorer: Scorer,
        clock: Clock,
        limits: PoolLimits | None = None,
        journal: MempoolJournal | None = None,
    ) -> None:
        """Without a `journal`, nothing outlives the process."""
        self._chain = chain
        self._changes = chain.changes()
        self._admission = Admission(chain.spec, chain.store, verifier, scorer, clock)
        self._clock = clock
        self._keeper = Keeper(chain, self._admission, clock, limits or PoolLimits())
        self._pool = self._keeper.pool
        self._upkeep = Upkeep(self._keeper, self._return, self._warm)
        self.followed = chain.head.height
        """Height of the last head to which the mempool has been adjusted."""
        self._adjusted_to = chain.head.id
        self._stepped = asyncio.Event()
        self._deferred = Deferred(DEFERRED, DEFERRED_BYTES, DEFERRED_HEADS)
        self._returning = Deferred(RETURNING, RETURNING_BYTES, RETURNING_HEADS)
        self._warm_queue: asyncio.Queue[Transaction] = asyncio.Queue(WARM_QUEUE)
        self._listeners: list[Callable[[PooledTx], None]] = []
        self._warmer = ThreadPoolExecutor(1, thread_name_prefix="engram-warm")
        self._journal = Journaling(journal, self._pool, clock)
        self._first_restored = asyncio.Event()
        self._log = logs.get_logger("mempool")

    def __len__(self) -> int:
        return len(self._pool)

    @property
    def memory_bytes(self) -> int:
        """Roughly the bytes of memory that the waiting transactions take."""
        return self._pool.memory_bytes

    @property
    def parked(self) -> int:
        """How many waiting transactions the base has outgrown."""
        return self._pool.parked

    async def restore(self) -> None:
        """Admits again what the journal holds; called before anybody is served.

        Of a full mempool that would take minutes. So all but the first `RESTORED_FIRST` come back while the
        service runs. Raises `NotAFile`, `DiskFull`, `DiskFailure`.
        """
        if not await self._journal.open():
            return
        await self._restore_next(RESTORED_FIRST)
        self._first_restored.set()

    async def admit(
        self, tx: Transaction, *, source: Source | None = None, replace: bool = True
    ) -> AdmitOutcome:
        """Admits a transaction, or says why not. Raises `CodecError` if the transaction cannot be encoded.

        With a `source`, one that the present state refuses is tried again on the next heads: the peer that
        sent it may know a block that this node still lacks. Without `replace`, its nonce must be free.
        """
        name = tx.id
        try:
            if name in self._pool:
                raise Refusal(AlreadyPooled(got=name), False)
            checked = await self._keeper.checked(name, tx)
            self._enter(checked, replace=replace)
        except Refusal as refusal:
            if source is not None and isinstance(refusal.error, Invalid) and not refusal.punishable:
                self._deferred.add(name, tx, refusal.error.code, source)
            return AdmitOutcome(name, refusal.error, refusal.punishable)
        try:
            await self._journal.keep(checked.entry)
        except StorageError as error:  # what cannot be kept is not acknowledged
            self._keeper.drop(self._pool.remove(name), error.code)
            return AdmitOutcome(name, error)
        self._announce(checked)
        return AdmitOutcome(name)

    async def run(self) -> None:
        """The service: follows the head and verifies ahead of blocks, until it is cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._restore_rest(), name="mempool-restore")
                tasks.create_task(self._follow_head(), name="mempool-head")
                tasks.create_task(self._warm_admitted(), name="mempool-warm")
        finally:
            self.close()

    def close(self) -> None:
        """Ends the threads, which read the store, and closes the journal; a second call does nothing."""
        for threads in (self._keeper.worker, self._warmer):
            threads.shutdown(wait=True, cancel_futures=True)
        self._journal.close()

    def listen(self, callback: Callable[[PooledTx], None]) -> Callable[[], None]:
        """Calls `callback` with each admitted entry; the returned function ends that."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def listen_drops(self, callback: Callable[[Hash, str], None]) -> Callable[[], None]:
        """Calls `callback` with id and code of each dropped transaction; the returned function ends that."""
        self._keeper.drop_listeners.append(callback)
        return lambda: self._keeper.drop_listeners.remove(callback)

    def get(self, name: Hash) -> Transaction | None:
        """A waiting transaction; None if it does not wait."""
        entry = self._pool.get(name)
        return entry.tx if entry else None

    def ids(self) -> list[Hash]:
        """Ids of all waiting transactions, in no order."""
        return [entry.txid for entry in self._pool]

    def entries(self) -> list[PooledTx]:
        """All waiting transactions in the order of a block; those behind a missing nonce come last."""
        ready = list(self._pool.in_order(self._keeper.accounts))
        names = {entry.txid for entry in ready}
        return ready + [entry for entry in self._pool if entry.txid not in names]

    def candidates(self) -> list[Transaction]:
        """At most twice as many transactions and bytes as a block holds, highest rate first."""
        rules = self._chain.spec.rules
        room, most = 2 * rules.max_body_bytes, 2 * rules.max_block_transactions
        head, left_out = self._chain.head.id, self._keeper.left_out
        chosen: list[Transaction] = []
        blocked: set[Address] = set()
        for entry in self._pool.in_order(self._keeper.accounts):
            if left_out.get(entry.txid) == head:
                blocked.add(entry.sender)
            if entry.sender in blocked:
                continue
            room -= entry.size_bytes
            if room < 0 or len(chosen) == most:
                break
            chosen.append(entry.tx)
        return chosen

    def minimum_fee(self, entry: PooledTx) -> int:
        """What the next block would charge for a waiting transaction, without its tip."""
        return entry.minimum(self._pool.exponent)

    def next_nonce(self, sender: Address) -> int:
        """The first nonce that the sender has used neither on the chain nor in the pool."""
        nonce = self._chain.state().account(sender).nonce
        waiting = {entry.tx.nonce for entry in self._pool.of_sender(sender)}
        while nonce in waiting:
            nonce += 1
        return nonce

    async def hindrances(self, senders: Iterable[Address]) -> dict[Hash, str]:
        """Why entries of these senders cannot be included soon, as `pool.hindrances` says: txid -> code."""
        accounts = await in_worker(self._keeper.worker, self._accounts_of, list(senders), self._chain.head)
        found: dict[Hash, str] = {}
        for account in accounts:
            found |= hindrances(account, self._pool.of_sender(account.address), self._pool.exponent)
        return found

    async def forget_all(self) -> None:
        """Drops every waiting transaction, with the code `reverted`."""
        await self._start_again(())

    async def reaches(self, height: int) -> None:
        """Returns when the mempool has been adjusted to a head of this height or above, if there is one."""
        while self.followed < min(height, self._chain.head.height):
            await self._stepped.wait()

    @property
    def is_settled(self) -> bool:
        """Whether the mempool has been adjusted to the present head."""
        return self._adjusted_to == self._chain.head.id

    async def settled(self) -> None:
        """Returns when the mempool has been adjusted to the present head."""
        while not self.is_settled:
            await self._stepped.wait()

    def drop_reason(self, name: Hash) -> str:
        """Code for which a transaction was dropped; empty if it was not, or if that is forgotten by now."""
        return self._keeper.drop_reason(name)

    def refuses(self, name: Hash) -> bool:
        """Whether a transaction was dropped for a reason that still holds, so that no peer need bring it."""
        return self._keeper.refuses(name)

    def returns_later(self, name: Hash) -> str:
        """Code for which a transaction of an abandoned block cannot wait yet; empty if that is not so."""
        return self._returning.code(name)

    async def leave_out(self, head: BlockRef, skipped: Mapping[Hash, str]) -> None:
        """Deals with what a template on `head` could not hold, as `Upkeep.leave_out` does."""
        await self._upkeep.leave_out(head, skipped)

    def _enter(self, checked: Checked, *, replace: bool = True) -> None:
        """Adds a checked entry. Raises `Refusal`."""
        try:
            self._keeper.enter(checked, replace=replace)
        except (Invalid, NotReady) as error:
            raise Refusal(error, False) from error

    def _announce(self, checked: Checked) -> None:
        if checked.entry.txid not in self._pool:
            return  # a block took it while it was written to the journal
        if checked.macs:
            self._warm(checked.entry.tx)
        for callback in list(self._listeners):
            callback(checked.entry)

    async def _return(self, name: Hash, tx: Transaction) -> None:
        """Admits a transaction of an abandoned block, now or on a later head, or remembers why not."""
        error = await self._take_back(name, tx)
        if error is None:
            return
        if _may_pass(error):
            for gone in self._returning.add(name, tx, error.code):
                self._keeper.remember_drop(gone, Evicted.code)
        else:
            self._keeper.remember_drop(name, error.code)

    async def _take_back(self, name: Hash, tx: Transaction) -> ChainError | None:
        """Admits a transaction, for which the bounds of a sender do not count; the error that refuses it."""
        outcome, checked = await self._readmit(name, tx)
        if checked is not None:
            with suppress(StorageError):  # it waits all the same: nobody was promised more for it
                await self._journal.keep(checked.entry)
            self._announce(checked)
        return None if isinstance(outcome.error, (AlreadyIncluded, AlreadyPooled)) else outcome.error

    async def _take_back_later(self, waiting: list[tuple[Hash, Transaction]]) -> None:
        """Tries those again that an earlier head refused."""
        for name, tx in waiting:
            error = await self._take_back(name, tx) if name in self._returning else None
            if error is None or not _may_pass(error):
                self._returning.remove(name)
            if error is not None and (name not in self._returning or self._returning.failed(name)):
                self._keeper.remember_drop(name, error.code)

    async def _restore_rest(self) -> None:
        await self._first_restored.wait()
        while self._journal.unread:
            await self._restore_next(1)

    async def _restore_next(self, count: int) -> None:
        """Admits up to so many transactions of the journal, oldest first."""
        if not self._journal.unread:
            return
        for _ in range(min(count, len(self._journal.unread))):
            await self._restore(self._journal.unread[0])
            if not self._journal.unread:
                return  # the chain was taken back meanwhile
            self._journal.unread.popleft()  # not before: until then the journal is not written anew
        if not self._journal.unread:
            self._log.info("transactions restored", waiting=len(self._pool))
            await self._journal.shorten()

    async def _restore(self, journaled: Journaled) -> None:
        """Admits one transaction of the journal, as old as it is; remembers why if it cannot be."""
        try:
            tx = decode_transaction(journaled.raw)
        except CodecError as error:
            self._log.warning("the journal of the mempool holds what is no transaction", error=error)
            return
        age_s = max(0.0, (self._clock.now_ms() - journaled.admitted_ms) / 1000)
        if age_s >= EXPIRY_S:
            if self._chain.store.find_transaction(tx.id) is None:
                self._keeper.remember_drop(tx.id, Expired.code)
            return
        outcome, _ = await self._readmit(tx.id, tx, self._clock.monotonic() - age_s)
        if outcome.error is not None and not isinstance(outcome.error, (AlreadyIncluded, AlreadyPooled)):
            self._keeper.remember_drop(tx.id, outcome.code)

    async def _readmit(
        self, name: Hash, tx: Transaction, admitted_s: float | None = None
    ) -> tuple[AdmitOutcome, Checked | None]:
        try:
            if name in self._pool:
                raise Refusal(AlreadyPooled(got=name), False)
            checked = (await self._keeper.checked(name, tx, park=True)).returning(admitted_s)
            self._enter(checked)
        except Refusal as refusal:
            return AdmitOutcome(name, refusal.error, refusal.punishable), None
        return AdmitOutcome(name), checked

    async def _follow_head(self) -> None:
        async for change in self._changes:
            if not change.connected:
                await self._start_again(change.disconnected)
                self._has_followed(change.head)
                continue
            deferred, returning = self._deferred.items(), self._returning.items()
            await self._upkeep.follow(change)
            await self._take_back_later(returning)
            for name, tx in deferred:
                if (await self.admit(tx)).accepted:
                    self._deferred.remove(name)
                elif name in self._deferred:
                    self._deferred.failed(name)
            self._has_followed(change.head)

    async def _start_again(self, gone: Iterable[BlockRef]) -> None:
        """Forgets what waits, also on disk, and notes that what stood in these blocks was taken back."""
        self._deferred.clear()
        self._returning.clear()
        await self._upkeep.start_again(gone)
        await self._journal.forget()

    def _has_followed(self, head: BlockRef) -> None:
        self.followed, self._adjusted_to = head.height, head.id
        self._stepped.set()
        self._stepped = asyncio.Event()

    def _accounts_of(self, senders: Iterable[Address], head: BlockRef) -> list[Account]:
        state = self._chain.state(head)
        return [state.account(sender) for sender in senders]

    def _warm(self, tx: Transaction) -> None:
        if not self._warm_queue.full():
            self._warm_queue.put_nowait(tx)

    async def _warm_admitted(self) -> None:
        while True:
            tx = await self._warm_queue.get()
            await in_worker(self._warmer, self._admission.warm, tx, self._chain.head)


def _may_pass(error: ChainError) -> bool:
    """Whether a later head may take what this one refuses."""
    return isinstance(error, Invalid) and not isinstance(error, NonceMismatch)
