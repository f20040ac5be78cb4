"""The mempool as a service: admits transactions, follows the head, and verifies ahead of blocks.

A transaction is admitted if the next block could hold it, or if only earlier transactions of the same sender
are missing before it. The core judges every template and every block again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from engram.node.chain.chain import Chain, HeadChanged
from engram.node.chain.signatures import SignatureVerifier
from engram.node.clock import Clock
from engram.node.concurrency import in_worker
from engram.node.errors import AlreadyIncluded, AlreadyPooled, Evicted, Expired, Replaced, Unaffordable
from engram.node.mempool.admission import Admission, AdmitOutcome, Checked, Refusal
from engram.node.mempool.pool import Pool, PooledTx, PoolLimits, hindrances
from engram.node.storage.store import BlockRef
from engram.primitives import keys
from engram.primitives.errors import Invalid, NotReady
from engram.primitives.types import Address, Hash
from engram.statemachine.errors import (
    BlockBytesExceeded,
    BlockMacsExceeded,
    BlockTransactionsExceeded,
    NonceMismatch,
)
from engram.statemachine.records import Account
from engram.statemachine.roundclock import round_clock
from engram.statemachine.scoring import Scorer
from engram.statemachine.transaction import Transaction

EXPIRY_S: Final = 3 * 3600.0
REMEMBERED_DROPS: Final = 10_000
WARM_QUEUE: Final = 64
DEFERRED: Final = 32
DEFERRED_HEADS: Final = 8
"""On how many new heads a peer's transaction is tried again that this node's state refused at first."""

JUDGED_AGAIN: Final = 64
"""For how many senders the next transaction is judged again on a new head. The senders take turns."""

_NO_ROOM: Final = (BlockTransactionsExceeded, BlockBytesExceeded, BlockMacsExceeded)
_STAYS: Final = frozenset(error.code for error in (*_NO_ROOM, NonceMismatch))
"""Codes for which a template leaves a transaction out although a later block may hold it."""


class Mempool:
    """The waiting transactions, and why others were dropped. Methods run on the event loop."""

    def __init__(
        self,
        chain: Chain,
        verifier: SignatureVerifier,
        scorer: Scorer,
        clock: Clock,
        limits: PoolLimits | None = None,
    ) -> None:
        self._chain = chain
        self._changes = chain.changes()
        self._admission = Admission(chain.spec, chain.store, verifier, scorer, clock)
        self._clock = clock
        self._pool = Pool(limits or PoolLimits())
        self._accounts: dict[Address, int] = {}
        self._dropped: OrderedDict[Hash, str] = OrderedDict()
        self._turn = 0
        self.followed = chain.head.height
        """Height of the last head to which the mempool has been adjusted."""
        self._left_out: dict[Hash, Hash] = {}
        """Txid -> id of the head on which other waiting transactions kept it out of a template."""
        self._deferred: OrderedDict[Hash, tuple[Transaction, int]] = OrderedDict()
        self._warm_queue: asyncio.Queue[Transaction] = asyncio.Queue(WARM_QUEUE)
        self._listeners: list[Callable[[PooledTx], None]] = []
        self._drop_listeners: list[Callable[[Hash, str], None]] = []
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="engram-mempool")
        self._warmer = ThreadPoolExecutor(1, thread_name_prefix="engram-warm")

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

    async def admit(self, tx: Transaction, *, patient: bool = False, park: bool = False) -> AdmitOutcome:
        """Admits a transaction, or says why not. Raises `CodecError` if the transaction cannot be encoded.

        With `patient`, one that the present state refuses is tried again on the next heads: the peer that
        sent it may know a block that this node still lacks. With `park`, one that the base has outgrown is
        admitted, too: it has been admitted before.
        """
        name = tx.id
        try:
            entry, macs = await self._admit(name, tx, park)
        except Refusal as refusal:
            if patient and isinstance(refusal.error, Invalid) and not refusal.punishable:
                self._defer(name, tx)
            return AdmitOutcome(name, refusal.error, refusal.punishable)
        self._dropped.pop(name, None)
        if macs and not self._warm_queue.full():
            self._warm_queue.put_nowait(tx)
        for callback in list(self._listeners):
            callback(entry)
        return AdmitOutcome(name)

    async def run(self) -> None:
        """The service: follows the head and verifies ahead of blocks, until it is cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_head(), name="mempool-head")
                tasks.create_task(self._warm_admitted(), name="mempool-warm")
        finally:
            # These threads read the store, which is closed next.
            self._worker.shutdown(wait=True, cancel_futures=True)
            self._warmer.shutdown(wait=True, cancel_futures=True)

    def listen(self, callback: Callable[[PooledTx], None]) -> Callable[[], None]:
        """Calls `callback` with each admitted entry; the returned function ends that."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def listen_drops(self, callback: Callable[[Hash, str], None]) -> Callable[[], None]:
        """Calls `callback` with id and code of each dropped transaction; the returned function ends that."""
        self._drop_listeners.append(callback)
        return lambda: self._drop_listeners.remove(callback)

    def get(self, name: Hash) -> Transaction | None:
        """A waiting transaction; None if it does not wait."""
        entry = self._pool.get(name)
        return entry.tx if entry else None

    def ids(self) -> list[Hash]:
        """Ids of all waiting transactions, in no order."""
        return [entry.txid for entry in self._pool]

    def entries(self) -> list[PooledTx]:
        """All waiting transactions in the order of a block; those behind a missing nonce come last."""
        ready = list(self._pool.in_order(self._accounts))
        names = {entry.txid for entry in ready}
        return ready + [entry for entry in self._pool if entry.txid not in names]

    def candidates(self) -> list[Transaction]:
        """At most twice as many transactions and bytes as a block holds, highest rate first."""
        rules = self._chain.spec.rules
        room, most = 2 * rules.max_body_bytes, 2 * rules.max_block_transactions
        head = self._chain.head.id
        chosen: list[Transaction] = []
        blocked: set[Address] = set()
        for entry in self._pool.in_order(self._accounts):
            if self._left_out.get(entry.txid) == head:
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
        accounts = await in_worker(self._worker, self._accounts_of, list(senders), self._chain.head)
        found: dict[Hash, str] = {}
        for account in accounts:
            found |= hindrances(account, self._pool.of_sender(account.address), self._pool.exponent)
        return found

    def drop_reason(self, name: Hash) -> str:
        """Code for which a transaction was dropped; empty if it was not, or if that is forgotten by now."""
        return self._dropped.get(name, "")

    async def leave_out(self, head: BlockRef, skipped: Mapping[Hash, str]) -> None:
        """Deals with what a template on `head` could not hold; `skipped` maps ids to codes.

        What had no room stays. What `head` itself refuses is dropped, but for its price. What only the
        template's other transactions keep out waits for the next head: its block may never join the chain.
        """
        for name, code in skipped.items():
            entry = self._pool.get(name)
            if code in _STAYS or entry is None:
                continue
            self._left_out[name] = head.id
            await self._judge_again(entry, head)

    async def _admit(self, name: Hash, tx: Transaction, park: bool) -> tuple[PooledTx, int]:
        if name in self._pool:
            raise Refusal(AlreadyPooled(got=name), False)
        checked = await self._checked(name, tx, park=park)
        try:
            self._enter(checked)
        except (Invalid, NotReady) as error:
            raise Refusal(error, False) from error
        return checked.entry, checked.macs

    async def _checked(self, name: Hash, tx: Transaction, *, park: bool = False) -> Checked:
        """A transaction judged on a head that is still the head after the check. Raises `Refusal`.

        With `park`, the base may have outgrown it.
        """
        while True:
            if self._chain.store.find_transaction(name) is not None:
                raise Refusal(AlreadyIncluded(got=name), False)
            head = self._chain.head
            checked = await in_worker(self._worker, partial(self._admission.check, park=park), name, tx, head)
            if head is self._chain.head:
                self._pool.exponent = checked.exponent
                return checked

    def _enter(self, checked: Checked, *, waited: bool = False) -> None:
        """Adds an entry and removes those that must make room. Raises `Invalid` or `NotReady`.

        The balance must also pay for the sender's other entries; if this one `waited`, for earlier ones only.
        """
        added = checked.entry
        own = self._pool.of_sender(added.sender)
        self._check_affordable(
            checked, [other for other in own if not waited or other.tx.nonce < added.tx.nonce]
        )
        gone = self._pool.add(added, checked.account.nonce)
        self._accounts[added.sender] = checked.account.nonce
        for entry in gone:
            replaced = (entry.sender, entry.tx.nonce) == (added.sender, added.tx.nonce)
            self._forget(entry, Replaced.code if replaced else Evicted.code)

    def _check_affordable(self, checked: Checked, own: Iterable[PooledTx]) -> None:
        """Raises `Unaffordable` unless balance and income pay for the entries in order of nonces."""
        entry, left = checked.entry, checked.account.balance
        others = [other for other in own if other.tx.nonce != entry.tx.nonce]
        for each in sorted([*others, entry], key=lambda waiting: waiting.tx.nonce):
            needed = each.charge(checked.exponent) + each.funds
            if (held := left + each.brings) < needed:
                raise Unaffordable(expected=needed, got=held)
            left = held - needed

    async def _follow_head(self) -> None:
        async for change in self._changes:
            self._expire()
            self._left_out = {name: on for name, on in self._left_out.items() if on == self._chain.head.id}
            deferred = list(self._deferred.items())
            self._pool.exponent = await in_worker(self._worker, self._exponent_of, self._chain.head)
            if len(self._pool) or change.disconnected:
                await self._settle(change)
                await self._judge_next()
            for name, (tx, heads) in deferred:
                self._deferred.pop(name, None)
                if not (await self.admit(tx)).accepted and heads > 1:
                    self._deferred[name] = (tx, heads - 1)
            self.followed = change.connected[-1].height if change.connected else self._chain.head.height

    async def _settle(self, change: HeadChanged) -> None:
        """Adjusts the pool to a new head, and prices the next transaction of each sender whose account moved.

        Transactions of blocks that joined are removed; those of blocks that left are admitted again.
        """
        included, abandoned = await in_worker(self._worker, self._transactions_of, change)
        names = {name for name, _ in included}
        for name in names:
            self._pool.remove(name)
        senders = {keys.address(tx.sender) for _, tx in (*included, *abandoned)}
        await self._renew(senders)
        for name, tx in reversed(abandoned):
            if name not in names:
                outcome = await self.admit(tx, park=True)
                if not outcome.accepted and outcome.code != AlreadyPooled.code:
                    self._remember_drop(name, outcome.code)

    def _transactions_of(
        self, change: HeadChanged
    ) -> tuple[list[tuple[Hash, Transaction]], list[tuple[Hash, Transaction]]]:
        def listed(refs: Iterable[BlockRef]) -> list[tuple[Hash, Transaction]]:
            blocks = (self._chain.store.whole_block(ref) for ref in refs)
            return [(tx.id, tx) for block in blocks if block is not None for tx in block.transactions]

        return listed(change.connected), listed(change.disconnected)

    async def _renew(self, senders: Iterable[Address]) -> None:
        """For each sender, removes entries with used nonces and prices the entry that is now the next."""
        for sender in senders:
            if not self._pool.of_sender(sender):
                self._accounts.pop(sender, None)
                continue
            head = self._chain.head
            nonce = await in_worker(self._worker, self._nonce_of, sender, head)
            self._accounts[sender] = nonce
            for entry in self._pool.settle(sender, nonce):
                self._forget(entry, NonceMismatch.code)
            waiting = self._pool.of_sender(sender)
            if waiting and waiting[0].tx.nonce == nonce and waiting[0].tentative:
                await self._reprice(waiting[0])

    async def _judge_next(self) -> None:
        """Drops what the head refuses: the sender should learn of it, and nothing should wait behind it."""
        senders, head = self._pool.senders(), self._chain.head
        start = self._turn % max(1, len(senders))
        chosen = (senders[start:] + senders[:start])[:JUDGED_AGAIN]
        self._turn = start + len(chosen)
        for sender in chosen:
            waiting = self._pool.of_sender(sender)
            if waiting and waiting[0].tx.nonce == self._accounts[sender]:
                await self._judge_again(waiting[0], head)

    async def _judge_again(self, entry: PooledTx, head: BlockRef) -> None:
        """Drops an entry that `head` refuses, provided that `head` is still the head after the check."""
        try:
            check = partial(self._admission.check, park=True)
            await in_worker(self._worker, check, entry.txid, entry.tx, head)
        except Refusal as refusal:
            if head is self._chain.head:
                self._drop(self._pool.remove(entry.txid), refusal.error.code)

    async def _reprice(self, entry: PooledTx) -> None:
        """Prices an entry in full, now that it is its sender's next; drops it if it is refused.

        Meanwhile it stays in the pool, so that `next_nonce` does not give its nonce away.
        """
        try:
            checked = await self._checked(entry.txid, entry.tx, park=True)
        except Refusal as refusal:
            included = isinstance(refusal.error, AlreadyIncluded)
            self._drop(self._pool.remove(entry.txid), "" if included else refusal.error.code)
            return
        if self._pool.remove(entry.txid) is None:
            return  # meanwhile it was replaced or included in a block
        try:
            self._enter(checked, waited=True)
        except (Invalid, NotReady) as error:
            self._forget(entry, error.code)
            return
        if checked.macs and not self._warm_queue.full():
            self._warm_queue.put_nowait(entry.tx)

    def _accounts_of(self, senders: Iterable[Address], head: BlockRef) -> list[Account]:
        state = self._chain.state(head)
        return [state.account(sender) for sender in senders]

    def _exponent_of(self, head: BlockRef) -> int:
        return round_clock(self._chain.state(head)).exponent

    def _nonce_of(self, sender: Address, head: BlockRef) -> int:
        return self._chain.state(head).account(sender).nonce

    def _expire(self) -> None:
        oldest_s = self._clock.monotonic() - EXPIRY_S
        for entry in self._pool:
            if entry.admitted_s < oldest_s:
                self._drop(self._pool.remove(entry.txid), Expired.code)

    async def _warm_admitted(self) -> None:
        while True:
            tx = await self._warm_queue.get()
            await in_worker(self._warmer, self._admission.warm, tx, self._chain.head)

    def _defer(self, name: Hash, tx: Transaction) -> None:
        self._deferred[name] = (tx, DEFERRED_HEADS)
        while len(self._deferred) > DEFERRED:
            self._deferred.popitem(last=False)

    def _drop(self, entry: PooledTx | None, code: str) -> None:
        if entry is not None:
            self._forget(entry, code)

    def _forget(self, entry: PooledTx, code: str) -> None:
        """Updates the books for an entry that has left the pool; `code` is empty if it was included."""
        self._left_out.pop(entry.txid, None)
        if code:
            self._remember_drop(entry.txid, code)
        if not self._pool.of_sender(entry.sender):
            self._accounts.pop(entry.sender, None)

    def _remember_drop(self, name: Hash, code: str) -> None:
        self._dropped[name] = code
        while len(self._dropped) > REMEMBERED_DROPS:
            self._dropped.popitem(last=False)
        for callback in list(self._drop_listeners):
            callback(name, code)
