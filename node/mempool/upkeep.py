"""Adjusts the waiting transactions to every new head of the chain.

Transactions that a block has taken are removed, those of blocks that left the best chain return, and what has
become impossible is dropped, so that nothing waits behind it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Final

from engram.node.chain.chain import HeadChanged
from engram.node.concurrency import in_worker
from engram.node.errors import AlreadyIncluded, Expired, Reverted
from engram.node.mempool.admission import Refusal
from engram.node.mempool.keeper import Keeper
from engram.node.mempool.pool import PooledTx
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
from engram.statemachine.roundclock import round_clock
from engram.statemachine.transaction import Transaction

EXPIRY_S: Final = 3 * 3600.0
JUDGED_AGAIN: Final = 64
"""For how many senders the next transaction is judged again on a new head. The senders take turns."""

Transactions = list[tuple[Hash, Transaction]]

_NO_ROOM: Final = (BlockTransactionsExceeded, BlockBytesExceeded, BlockMacsExceeded)
_STAYS: Final = frozenset(error.code for error in (*_NO_ROOM, NonceMismatch))
"""Codes for which a template leaves a transaction out although a later block may hold it."""


class Upkeep:
    """Keeps the books of a `Keeper` true to the head."""

    def __init__(
        self,
        keeper: Keeper,
        returns: Callable[[Hash, Transaction], Awaitable[None]],
        warm: Callable[[Transaction], None],
    ) -> None:
        """`returns` takes a transaction of an abandoned block; `warm` runs one ahead of its block."""
        self._keeper = keeper
        self._pool, self._chain = keeper.pool, keeper.chain
        self._returns = returns
        self._warm = warm
        self._turn = 0

    async def follow(self, change: HeadChanged) -> None:
        """Adjusts the pool to a change of the head."""
        keeper = self._keeper
        self._expire()
        keeper.left_out = {name: on for name, on in keeper.left_out.items() if on == self._chain.head.id}
        settles = bool(len(self._pool) or change.disconnected)
        first = change.connected[0] if settles else None
        found = await in_worker(keeper.worker, self._look, self._chain.head, first)
        self._pool.exponent, transactions = found
        if settles:
            await self._settle(change, transactions)
            await self._judge_next()

    async def start_again(self, gone: Iterable[BlockRef]) -> None:
        """Empties the pool: the operator has taken the chain back, and what stood in those blocks is gone."""
        keeper = self._keeper
        for entry in list(self._pool):
            keeper.drop(self._pool.remove(entry.txid), Reverted.code)
        for ref in gone:
            for receipt in await in_worker(keeper.worker, self._chain.store.receipts, ref):
                keeper.remember_drop(receipt.txid, Reverted.code)
        keeper.left_out = {}
        self._pool.exponent = await in_worker(keeper.worker, self._exponent_of, self._chain.head)

    async def leave_out(self, head: BlockRef, skipped: Mapping[Hash, str]) -> None:
        """Deals with what a template on `head` could not hold; `skipped` maps ids to codes.

        What had no room stays. What `head` itself refuses is dropped, but for its price. What only the
        template's other transactions keep out waits for the next head: its block may never join the chain.
        """
        for name, code in skipped.items():
            entry = self._pool.get(name)
            if code in _STAYS or entry is None:
                continue
            self._keeper.left_out[name] = head.id
            await self._judge_again(entry, head)

    async def _settle(self, change: HeadChanged, first: Transactions) -> None:
        """Adjusts the pool to a new head, and prices the next transaction of each sender whose account moved.

        Transactions of blocks that joined are removed; those of blocks that left return, the lowest block's
        first. One block at a time is in memory; `first` is what the lowest one holds that joined.
        """
        worker, names, senders = self._keeper.worker, set[Hash](), set[Address]()
        for number, ref in enumerate(change.connected):
            held = await in_worker(worker, self._transactions_of, ref) if number else first
            for name, tx in held:
                names.add(name)
                senders.add(keys.address(tx.sender))
                self._pool.remove(name)
        await self._renew(senders)
        abandoned: set[Address] = set()
        for ref in reversed(change.disconnected):
            for name, tx in await in_worker(worker, self._transactions_of, ref):
                abandoned.add(keys.address(tx.sender))
                if name in names:
                    continue
                await self._returns(name, tx)
        await self._renew(abandoned)

    def _look(self, head: BlockRef, first: BlockRef | None) -> tuple[int, Transactions]:
        """The base exponent after `head`, and the transactions of a block: most changes need no more."""
        return self._exponent_of(head), [] if first is None else self._transactions_of(first)

    def _transactions_of(self, ref: BlockRef) -> Transactions:
        block = self._chain.store.new_block(ref)
        return [(tx.id, tx) for tx in block.transactions] if block is not None else []

    async def _renew(self, senders: Iterable[Address]) -> None:
        """For each sender, removes entries with used nonces and prices the entry that is now the next."""
        keeper = self._keeper
        for sender in senders:
            if not self._pool.of_sender(sender):
                keeper.accounts.pop(sender, None)
                continue
            nonce = await in_worker(keeper.worker, self._nonce_of, sender, self._chain.head)
            keeper.accounts[sender] = nonce
            for entry in self._pool.settle(sender, nonce):
                keeper.forget(entry, NonceMismatch.code)
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
            if waiting and waiting[0].tx.nonce == self._keeper.accounts[sender]:
                await self._judge_again(waiting[0], head)

    async def _judge_again(self, entry: PooledTx, head: BlockRef) -> None:
        """Drops an entry that `head` refuses, provided that `head` is still the head after the check."""
        check = partial(self._keeper.admission.check, park=True)
        try:
            await in_worker(self._keeper.worker, check, entry.txid, entry.tx, head)
        except Refusal as refusal:
            if head is self._chain.head:
                self._keeper.drop(self._pool.remove(entry.txid), refusal.error.code)

    async def _reprice(self, entry: PooledTx) -> None:
        """Prices an entry in full, now that it is its sender's next; drops it if it is refused.

        Meanwhile it stays in the pool, so that `next_nonce` does not give its nonce away.
        """
        keeper = self._keeper
        try:
            checked = await keeper.checked(entry.txid, entry.tx, park=True)
        except Refusal as refusal:
            included = isinstance(refusal.error, AlreadyIncluded)
            keeper.drop(self._pool.remove(entry.txid), "" if included else refusal.error.code)
            return
        if self._pool.remove(entry.txid) is None:
            return  # meanwhile it was replaced or included in a block
        try:
            keeper.enter(checked.since(entry), waited=True)
        except (Invalid, NotReady) as error:
            keeper.forget(entry, error.code)
            return
        if checked.macs:
            self._warm(entry.tx)

    def _exponent_of(self, head: BlockRef) -> int:
        return round_clock(self._chain.state(head)).exponent

    def _nonce_of(self, sender: Address, head: BlockRef) -> int:
        return self._chain.state(head).account(sender).nonce

    def _expire(self) -> None:
        oldest_s = self._keeper.clock.monotonic() - EXPIRY_S
        for entry in self._pool:
            if entry.admitted_s < oldest_s:
                self._keeper.drop(self._pool.remove(entry.txid), Expired.code)
