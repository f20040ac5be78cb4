"""Waiting transactions of this node: admission, following the head, verification ahead of blocks. Policy
only.

A transaction is admitted when the next block could hold it, or when only the sender's own earlier ones
stand before it. Nothing here decides validity: the miner's template and every block are judged by the core
again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from engram.node.chain.chain import Chain, HeadChanged
from engram.node.chain.signatures import SignatureVerifier
from engram.node.clock import Clock
from engram.node.concurrency import in_worker
from engram.node.errors import AlreadyIncluded, AlreadyPooled, Evicted, Expired, Replaced, Unaffordable
from engram.node.mempool.admission import Admission, Checked, Refusal
from engram.node.mempool.pool import Pool, PooledTx, PoolLimits, hindrances
from engram.node.storage.store import BlockRef
from engram.primitives import keys
from engram.primitives.errors import ChainError, Invalid, NotReady
from engram.primitives.types import Address, Hash
from engram.statemachine.errors import (
    BlockBytesExceeded,
    BlockMacsExceeded,
    BlockTransactionsExceeded,
    NonceMismatch,
)
from engram.statemachine.records import Account
from engram.statemachine.scoring import Scorer
from engram.statemachine.transaction import Transaction

EXPIRY_S: Final = 3 * 3600.0
REMEMBERED_DROPS: Final = 10_000
WARM_QUEUE: Final = 64
DEFERRED: Final = 32
DEFERRED_HEADS: Final = 8
"""Heads for which a peer's transaction that came too early is tried again."""

JUDGED_AGAIN: Final = 64
"""Senders whose next transaction is judged again on a new head, in turn."""

_NO_ROOM: Final = (BlockTransactionsExceeded, BlockBytesExceeded, BlockMacsExceeded)
_STAYS: Final = frozenset(error.code for error in (*_NO_ROOM, NonceMismatch))
"""Reasons to be left out of one block that say nothing about the next."""


@dataclass(frozen=True)
class AdmitOutcome:
    """The answer to an offered transaction."""

    txid: Hash
    error: ChainError | None = None
    """Why it was not admitted."""
    punishable: bool = False
    """No state of the chain would have made it acceptable: whoever sent it is wrong."""

    @property
    def accepted(self) -> bool:
        return self.error is None

    @property
    def code(self) -> str:
        """Code of the refusal; empty if admitted."""
        return self.error.code if self.error else ""


class Mempool:
    """What waits for a block, and what was dropped and why. Methods run on the event loop."""

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
        """Height of the last head that everything was adjusted to."""
        self._left_out: dict[Hash, Hash] = {}
        """Txid -> id of the head on which another waiting transaction keeps it out."""
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
        """Memory that the waiting transactions take, roughly."""
        return self._pool.memory_bytes

    async def admit(self, tx: Transaction, *, patient: bool = False) -> AdmitOutcome:
        """Takes a transaction in, or says why not. Raises `CodecError` for one that has no encoding.

        `patient`: one that the state refuses is tried again on the next few heads; for transactions of peers,
        which may be a block ahead.
        """
        name = tx.id
        try:
            entry, macs = await self._admit(name, tx)
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
        """Follows the head and verifies ahead of blocks, for ever."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_head(), name="mempool-head")
                tasks.create_task(self._warm_admitted(), name="mempool-warm")
        finally:
            self._worker.shutdown(wait=True, cancel_futures=True)  # they read the store, which is closed next
            self._warmer.shutdown(wait=True, cancel_futures=True)

    def listen(self, callback: Callable[[PooledTx], None]) -> Callable[[], None]:
        """Calls back with each admitted entry; returns what ends that."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def listen_drops(self, callback: Callable[[Hash, str], None]) -> Callable[[], None]:
        """Calls back with id and code of each transaction that is given up; returns what ends that."""
        self._drop_listeners.append(callback)
        return lambda: self._drop_listeners.remove(callback)

    def get(self, name: Hash) -> Transaction | None:
        """A transaction that waits."""
        entry = self._pool.get(name)
        return entry.tx if entry else None

    def ids(self) -> list[Hash]:
        """Ids of everything that waits, in no order."""
        return [entry.txid for entry in self._pool]

    def entries(self) -> list[PooledTx]:
        """Everything that waits, in the order in which a block would take it; queued ones last."""
        ready = list(self._pool.in_order(self._accounts))
        names = {entry.txid for entry in ready}
        return ready + [entry for entry in self._pool if entry.txid not in names]

    def candidates(self) -> list[Transaction]:
        """What a block may take, best first: about twice as many, and twice as many bytes, as one holds."""
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

    def next_nonce(self, sender: Address) -> int:
        """The nonce after the account's and after what waits without a gap."""
        nonce = self._chain.state().account(sender).nonce
        waiting = {entry.tx.nonce for entry in self._pool.of_sender(sender)}
        while nonce in waiting:
            nonce += 1
        return nonce

    async def hindrances(self, senders: Iterable[Address]) -> dict[Hash, str]:
        """What keeps entries of these senders out of the next blocks: as `pool.hindrances`."""
        accounts = await in_worker(self._worker, self._accounts_of, list(senders), self._chain.head)
        found: dict[Hash, str] = {}
        for account in accounts:
            found |= hindrances(account, self._pool.of_sender(account.address))
        return found

    def drop_reason(self, name: Hash) -> str:
        """Code with which a transaction was dropped; empty if it was not, or that is long ago."""
        return self._dropped.get(name, "")

    async def leave_out(self, head: BlockRef, skipped: Mapping[Hash, str]) -> None:
        """Deals with what a template on `head` could not hold, apart from what merely found no room in it.

        What the head itself refuses is dropped. What only the template's other transactions keep out waits
        for the next head: their block may lose.
        """
        for name, code in skipped.items():
            entry = self._pool.get(name)
            if code in _STAYS or entry is None:
                continue
            self._left_out[name] = head.id
            await self._judge_again(entry, head)

    async def _admit(self, name: Hash, tx: Transaction) -> tuple[PooledTx, int]:
        if name in self._pool:
            raise Refusal(AlreadyPooled(got=name), False)
        checked = await self._checked(name, tx)
        try:
            self._enter(checked)
        except (Invalid, NotReady) as error:
            raise Refusal(error, False) from error
        return checked.entry, checked.macs

    async def _checked(self, name: Hash, tx: Transaction) -> Checked:
        """A transaction judged on the head of the moment it is done. Raises `Refusal`."""
        while True:
            if self._chain.store.find_transaction(name) is not None:
                raise Refusal(AlreadyIncluded(got=name), False)
            head = self._chain.head
            checked = await in_worker(self._worker, self._admission.check, name, tx, head)
            if head is self._chain.head:
                return checked

    def _enter(self, checked: Checked, *, waited: bool = False) -> None:
        """Takes an entry in, and out what has to go for it. Raises `Invalid` and `NotReady` leaves.

        One that `waited` already is not given up for what stands behind it.
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
        """The balance, and what transactions up to it bring, must pay for each of the sender's that waits."""
        entry, left = checked.entry, checked.account.balance
        others = [other for other in own if other.tx.nonce != entry.tx.nonce]
        for each in sorted([*others, entry], key=lambda waiting: waiting.tx.nonce):
            needed = each.tx.fee + each.funds
            if (held := left + each.brings) < needed:
                raise Unaffordable(expected=needed, got=held)
            left = held - needed

    async def _follow_head(self) -> None:
        async for change in self._changes:
            self._expire()
            self._left_out = {name: on for name, on in self._left_out.items() if on == self._chain.head.id}
            deferred = list(self._deferred.items())
            if len(self._pool) or change.disconnected:
                await self._settle(change)
                await self._judge_next()
            for name, (tx, heads) in deferred:
                self._deferred.pop(name, None)
                if not (await self.admit(tx)).accepted and heads > 1:
                    self._deferred[name] = (tx, heads - 1)
            self.followed = change.connected[-1].height if change.connected else self._chain.head.height

    async def _settle(self, change: HeadChanged) -> None:
        """Takes included transactions out, puts those of abandoned blocks back, prices who is next."""
        included, abandoned = await in_worker(self._worker, self._transactions_of, change)
        names = {name for name, _ in included}
        for name in names:
            self._pool.remove(name)
        senders = {keys.address(tx.sender) for _, tx in (*included, *abandoned)}
        await self._renew(senders)
        for name, tx in reversed(abandoned):
            if name not in names:
                outcome = await self.admit(tx)
                if not outcome.accepted and outcome.code != AlreadyPooled.code:
                    self._remember_drop(name, outcome.code)

    def _transactions_of(
        self, change: HeadChanged
    ) -> tuple[list[tuple[Hash, Transaction]], list[tuple[Hash, Transaction]]]:
        def listed(refs: Iterable[BlockRef]) -> list[tuple[Hash, Transaction]]:
            blocks = (self._chain.store.get_block(ref) for ref in refs)
            return [(tx.id, tx) for block in blocks for tx in block.transactions]

        return listed(change.connected), listed(change.disconnected)

    async def _renew(self, senders: Iterable[Address]) -> None:
        """Adjusts to accounts that moved: settles nonces, prices the transaction that is now next."""
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
        """Drops what the head refuses: its sender should know, and his next must not wait behind it."""
        senders, head = self._pool.senders(), self._chain.head
        start = self._turn % max(1, len(senders))
        chosen = (senders[start:] + senders[:start])[:JUDGED_AGAIN]
        self._turn = start + len(chosen)
        for sender in chosen:
            waiting = self._pool.of_sender(sender)
            if waiting and waiting[0].tx.nonce == self._accounts[sender]:
                await self._judge_again(waiting[0], head)

    async def _judge_again(self, entry: PooledTx, head: BlockRef) -> None:
        """Drops an entry that `head` refuses, if that is still the head."""
        try:
            await in_worker(self._worker, self._admission.check, entry.txid, entry.tx, head)
        except Refusal as refusal:
            if head is self._chain.head:
                self._drop(self._pool.remove(entry.txid), refusal.error.code)

    async def _reprice(self, entry: PooledTx) -> None:
        """Prices an entry that is next now. It keeps its place meanwhile: its sender's next nonce lies behind
        it.
        """
        try:
            checked = await self._checked(entry.txid, entry.tx)
        except Refusal as refusal:
            included = isinstance(refusal.error, AlreadyIncluded)
            self._drop(self._pool.remove(entry.txid), "" if included else refusal.error.code)
            return
        if self._pool.remove(entry.txid) is None:
            return  # replaced, or in a block
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
        """Bookkeeping of an entry that has left the pool."""
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
