"""The pool of a running node with its books: what waits, whose next nonce it is, and why others were dropped.

The service that admits and the one that follows the head share one keeper. It belongs to the event loop; the
checks run in its worker thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from engram.node.chain.chain import Chain
from engram.node.clock import Clock
from engram.node.concurrency import in_worker
from engram.node.errors import AlreadyIncluded, Evicted, Replaced, Unaffordable
from engram.node.mempool.admission import Admission, Checked, Refusal
from engram.node.mempool.pool import Pool, PooledTx, PoolLimits
from engram.primitives.types import Address, Hash
from engram.statemachine.errors import NonceMismatch
from engram.statemachine.transaction import Transaction

REMEMBERED_DROPS: Final = 10_000
_LASTING: Final = frozenset({NonceMismatch.code, Replaced.code})
"""For these, another transaction has the place."""


class Keeper:
    """The pool, the nonces of its senders and the reasons of drops."""

    def __init__(self, chain: Chain, admission: Admission, clock: Clock, limits: PoolLimits) -> None:
        self.chain = chain
        self.admission = admission
        self.clock = clock
        self.pool = Pool(limits)
        self.accounts: dict[Address, int] = {}
        """The nonce of each account that has sent a waiting transaction."""
        self.left_out: dict[Hash, Hash] = {}
        """Txid -> id of the head on which other waiting transactions kept it out of a template."""
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="engram-mempool")
        self._dropped: OrderedDict[Hash, tuple[str, Hash]] = OrderedDict()
        """Why, and on which head."""
        self.drop_listeners: list[Callable[[Hash, str], None]] = []

    def drop_reason(self, name: Hash) -> str:
        """Code for which a transaction was dropped; empty if it was not, or if that is forgotten by now."""
        return self._dropped.get(name, ("", b""))[0]

    def refuses(self, name: Hash) -> bool:
        """Whether a transaction was dropped for a reason that still holds.

        Most reasons may pass with the next block: there is room again, or the account has more. If they held
        for ever, a sender who hands in the same transaction again could reach no node that has dropped it.
        """
        code, head = self._dropped.get(name, ("", b""))
        return code in _LASTING or (code != "" and head == self.chain.head.id)

    async def checked(self, name: Hash, tx: Transaction, *, park: bool = False) -> Checked:
        """A transaction judged on a head that is still the head after the check. Raises `Refusal`.

        With `park`, the base may have outgrown it.
        """
        while True:
            if self.chain.store.find_transaction(name) is not None:
                raise Refusal(AlreadyIncluded(got=name), False)
            head = self.chain.head
            checked = await in_worker(self.worker, partial(self.admission.check, park=park), name, tx, head)
            if head is self.chain.head:
                self.pool.exponent = checked.exponent
                return checked

    def enter(self, checked: Checked, *, waited: bool = False, replace: bool = True) -> None:
        """Adds an entry and removes those that must make room. Raises `Invalid` or `NotReady`.

        The balance must also pay for the sender's other entries; if this one `waited`, for earlier ones only.
        A returned entry that is not its sender's next is asked for nothing yet: it is priced in full later.
        """
        added = checked.entry
        if not (added.returned and added.tentative):
            own = self.pool.of_sender(added.sender)
            self._check_affordable(
                checked, [other for other in own if not waited or other.tx.nonce < added.tx.nonce]
            )
        gone = self.pool.add(added, checked.account.nonce, replace=replace)
        self.accounts[added.sender] = checked.account.nonce
        self._dropped.pop(added.txid, None)
        for entry in gone:
            replaced = (entry.sender, entry.tx.nonce) == (added.sender, added.tx.nonce)
            self.forget(entry, Replaced.code if replaced else Evicted.code)

    def drop(self, entry: PooledTx | None, code: str) -> None:
        """Updates the books for an entry that was taken out of the pool, if there was one."""
        if entry is not None:
            self.forget(entry, code)

    def forget(self, entry: PooledTx, code: str) -> None:
        """Updates the books for an entry that has left the pool; `code` is empty if it was included."""
        self.left_out.pop(entry.txid, None)
        if code:
            self.remember_drop(entry.txid, code)
        if not self.pool.of_sender(entry.sender):
            self.accounts.pop(entry.sender, None)

    def remember_drop(self, name: Hash, code: str) -> None:
        """Notes why a transaction does not wait any more, and tells the listeners."""
        self._dropped[name] = code, self.chain.head.id
        while len(self._dropped) > REMEMBERED_DROPS:
            self._dropped.popitem(last=False)
        for callback in list(self.drop_listeners):
            callback(name, code)

    def _check_affordable(self, checked: Checked, own: Iterable[PooledTx]) -> None:
        """Raises `Unaffordable` unless balance and income pay for the entries in order of nonces."""
        entry, left = checked.entry, checked.account.balance
        others = [other for other in own if other.tx.nonce != entry.tx.nonce]
        for each in sorted([*others, entry], key=lambda waiting: waiting.tx.nonce):
            needed = each.charge(checked.exponent) + each.funds
            if (held := left + each.brings) < needed:
                raise Unaffordable(expected=needed, got=held)
            left = held - needed
