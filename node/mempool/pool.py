"""The bounded set of waiting transactions, in the order in which a block takes them.

The pool knows no state, no signatures and no clock; its caller tells it the nonce of each account.

**Order.** The rate of a transaction is its tip divided by its largest share of a block: of the bytes, of the
multiply-accumulates or of the number of transactions. The tip is all that a transaction can offer a miner for
its place, and the largest share is the place. The highest rate comes first, but the transactions of one
sender always follow the order of their nonces.

**Parking.** The base of fees rises with full blocks and may outgrow what a sender will pay. Such a
transaction is parked: it stays, no block is offered it, and it returns when the base has fallen. It is the
first to leave a full pool.

**Nonce window.** A sender may send several transactions ahead, and a network may deliver them in any order.
Therefore a nonce may lie up to `nonce_window` above the account's. A greater distance is refused, because
such a transaction would take memory for a long time, perhaps for ever. What a reorganisation took out of
blocks, or a restart out of the journal, returns whatever its distance: it was paid for in work, or admitted
before.

**Replacement.** A sender may replace a waiting transaction by another with the same nonce, for instance to
raise its cap. Cap and tip must both be at least `replacement_percent` higher. Otherwise a sender could make
all nodes verify and pass on endless new versions and pay for one of them only.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import chain
from typing import Final

from sortedcontainers import SortedDict, SortedKeyList

from engram.node.errors import AlreadyPooled, NonceGap, NonceOccupied, PoolFull, ReplacementFee, SenderLimit
from engram.primitives.types import Address, Hash
from engram.statemachine.errors import FeeTooLow, InsufficientBalance, NonceMismatch
from engram.statemachine.fees import BasePrice
from engram.statemachine.records import Account
from engram.statemachine.rules import MAX_EXPONENT, Rules
from engram.statemachine.transaction import Cost, Transaction

RATE_UNIT: Final = 2**110
"""Rates are compared as integers, because comparing fractions is slow. The numerator of a share is at most
2^55, and the budget of MACs is no larger. So two different rates differ by at least 2^-110.
"""
_OVERHEAD_BYTES: Final = 1_000
"""Roughly the bytes of memory that an entry takes besides its encoded transaction."""


@dataclass(frozen=True)
class PoolLimits:
    """Bounds of a pool."""

    max_bytes: int = 64 << 20
    """Memory of all waiting transactions, in bytes."""
    sender_transactions: int = 64
    """Transactions of one sender."""
    sender_bytes: int = 8 << 20
    """Encoded bytes of one sender's transactions."""
    nonce_window: int = 64
    """How far a nonce may lie above the account's."""
    replacement_percent: int = 10
    """By how many percent cap and tip of a replacement must exceed those of what it replaces."""


def limits_of(rules: Rules, max_bytes: int) -> PoolLimits:
    """The bounds of a pool of so many bytes. A sender may fill half a block, so that an upload need not wait
    where blocks are large.
    """
    sender_bytes = max(PoolLimits.sender_bytes, rules.max_body_bytes // 2)
    return PoolLimits(max_bytes=max_bytes, sender_bytes=sender_bytes)


@dataclass(frozen=True, eq=False)
class PooledTx:
    """A waiting transaction."""

    tx: Transaction
    txid: Hash
    sender: Address
    size_bytes: int
    price: BasePrice
    """What it is charged at each base exponent, as computed when it was priced last."""
    share: Fraction
    """Its largest share of a block."""
    funds: int = 0
    """Sparks that it takes from its sender besides what it is charged."""
    brings: int = 0
    """Sparks that it is sure to add to its sender's balance; they may pay its own fee and what follows it."""
    tentative: bool = False
    """Its price counts its bytes only; what else it costs is known once it is its sender's next."""
    admitted_s: float = 0.0
    returned: bool = False
    """It has been admitted before, or stood in a block: the bounds of a sender do not count it."""

    @cached_property
    def rate(self) -> int:
        """The tip that a whole block of such transactions would pay, in units of 1 / `RATE_UNIT`.

        The rounding changes no order: see `RATE_UNIT`.
        """
        return self.tx.tip * self.share.denominator * RATE_UNIT // self.share.numerator

    @cached_property
    def bearable(self) -> int:
        """The highest base exponent at which a block may hold it; -1 if there is none."""
        most = self.tx.max_fee - self.tx.tip
        return bisect_right(range(MAX_EXPONENT + 1), most, key=self.minimum) - 1

    def minimum(self, exponent: int) -> int:
        """Its minimum fee at a base exponent."""
        return self.price.at(exponent)

    def charge(self, exponent: int) -> int:
        """The sparks that it is charged at a base exponent, never more than its cap."""
        return min(self.minimum(exponent) + self.tx.tip, self.tx.max_fee)

    @property
    def memory_bytes(self) -> int:
        return self.size_bytes + _OVERHEAD_BYTES


_Rank = tuple[int, int]


class Pool:
    """Waiting transactions, found by id, by sender and nonce, and by rate."""

    def __init__(self, limits: PoolLimits = PoolLimits()) -> None:  # frozen
        self.limits = limits
        self.exponent = 0
        """Base exponent of the next block, as the caller has set it last."""
        self.memory_bytes = 0
        self._entries: dict[Hash, PooledTx] = {}
        self._senders: dict[Address, SortedDict[int, PooledTx]] = {}
        self._by_rate: SortedKeyList[PooledTx, _Rank] = SortedKeyList(key=self._rank)
        self._by_bearable: SortedKeyList[PooledTx, tuple[int, int]] = SortedKeyList(
            key=lambda entry: (entry.bearable, -self._arrival[entry.txid])
        )
        self._arrival: dict[Hash, int] = {}
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def parked(self) -> int:
        """How many entries are parked."""
        return self._by_bearable.bisect_key_right((self.exponent - 1, 0))

    def __contains__(self, txid: Hash) -> bool:
        return txid in self._entries

    def __iter__(self) -> Iterator[PooledTx]:
        return iter(list(self._entries.values()))

    def get(self, txid: Hash) -> PooledTx | None:
        """The entry of a waiting transaction; None if it does not wait."""
        return self._entries.get(txid)

    def of_sender(self, sender: Address) -> list[PooledTx]:
        """The entries of a sender, by ascending nonce."""
        return list(self._own(sender).values())

    def senders(self) -> list[Address]:
        """Every account that has sent a waiting transaction."""
        return list(self._senders)

    def is_parked(self, entry: PooledTx) -> bool:
        """Whether the base has outgrown what the sender will pay."""
        return entry.bearable < self.exponent

    def check_place(self, entry: PooledTx, account_nonce: int, *, replace: bool = True) -> None:
        """Checks whether the pool may take an entry, apart from its size.

        Raises `AlreadyPooled`, `NonceMismatch`, `NonceGap`, `NonceOccupied` if it may not `replace` another,
        `ReplacementFee`.
        """
        tx, nonce = entry.tx, entry.tx.nonce
        if entry.txid in self._entries:
            raise AlreadyPooled(got=entry.txid)
        if nonce < account_nonce:
            raise NonceMismatch(expected=account_nonce, got=nonce)
        if nonce > account_nonce + self.limits.nonce_window and not entry.returned:
            raise NonceGap(expected=account_nonce, got=nonce)
        replaced = self._own(entry.sender).get(nonce)
        if replaced is not None:
            if not replace:
                raise NonceOccupied(expected="a nonce that no waiting transaction has", got=nonce)
            for name, old, new in (
                ("cap", replaced.tx.max_fee, tx.max_fee),
                ("tip", replaced.tx.tip, tx.tip),
            ):
                if new < (least := self._raised(old)):
                    raise ReplacementFee(f"the {name} is too low for a replacement", expected=least, got=new)

    def _raised(self, amount: int) -> int:
        return amount + max(1, -(-amount * self.limits.replacement_percent // 100))

    def add(self, entry: PooledTx, account_nonce: int, *, replace: bool = True) -> list[PooledTx]:
        """Adds an entry and returns the entries that were removed for it.

        Removed are the transaction that it replaces and, if the pool is full, parked entries, then those with
        the lowest rates. Raises `NonceMismatch` or a subclass of `Refused`; then the pool is unchanged.
        """
        nonce = entry.tx.nonce
        self.check_place(entry, account_nonce, replace=replace)
        own = self._own(entry.sender)
        replaced = own.get(nonce)
        if nonce > account_nonce:  # never refused for those that wait for it: nothing could free their places
            self._check_sender(entry, own, replaced)
        gone = self._victims(entry, replaced)
        for victim in gone:
            self.remove(victim.txid)
        self._insert(entry)
        return gone

    def remove(self, txid: Hash) -> PooledTx | None:
        """Removes and returns an entry; None if there is none."""
        entry = self._entries.get(txid)
        if entry is None:
            return None
        self._by_rate.remove(entry)
        self._by_bearable.remove(entry)
        del self._entries[txid], self._arrival[txid]
        own = self._senders[entry.sender]
        del own[entry.tx.nonce]
        if not own:
            del self._senders[entry.sender]
        self.memory_bytes -= entry.memory_bytes
        return entry

    def settle(self, sender: Address, account_nonce: int) -> list[PooledTx]:
        """Removes and returns the entries of a sender whose nonces are below the account's."""
        return self._take(entry for entry in self.of_sender(sender) if entry.tx.nonce < account_nonce)

    def cut(self, txid: Hash) -> list[PooledTx]:
        """Removes and returns an entry and its sender's later ones, which cannot be included without it."""
        entry = self._entries.get(txid)
        return [] if entry is None else self._take(self._tail(entry))

    def in_order(self, account_nonces: Mapping[Address, int]) -> Iterator[PooledTx]:
        """Entries in an order in which a block could hold them.

        The highest rate comes first. Each sender's entries come by ascending nonce and end at the first gap
        or parked entry.
        """
        heap: list[tuple[_Rank, PooledTx]] = []
        for sender, own in self._senders.items():
            first = own.get(account_nonces[sender])
            if first is not None and not self.is_parked(first):
                heap.append((_descending(self._rank(first)), first))
        heapq.heapify(heap)
        while heap:
            _, entry = heap[0]
            yield entry
            following = self._senders[entry.sender].get(entry.tx.nonce + 1)
            if following is None or self.is_parked(following):
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (_descending(self._rank(following)), following))

    def _own(self, sender: Address) -> Mapping[int, PooledTx]:
        own: Mapping[int, PooledTx] | None = self._senders.get(sender)
        return {} if own is None else own

    def _check_sender(
        self,
        entry: PooledTx,
        own: Mapping[int, PooledTx],
        replaced: PooledTx | None,
    ) -> None:
        if entry.returned:
            return
        others = [other for other in own.values() if other is not replaced and not other.returned]
        count = len(others) + 1
        size = entry.size_bytes + sum(other.size_bytes for other in others)
        if count > self.limits.sender_transactions:
            raise SenderLimit(expected=self.limits.sender_transactions, got=count)
        if size > self.limits.sender_bytes:
            raise SenderLimit(expected=self.limits.sender_bytes, got=size)

    def _victims(self, entry: PooledTx, replaced: PooledTx | None) -> list[PooledTx]:
        """The entries to remove so that the new one fits. Raises `PoolFull`.

        They are the entry that it replaces, then parked ones, the most outgrown first, then those with the
        lowest rates, each together with its sender's later entries, which cannot be included without it.
        Refused is a new entry that would push out one of the same or a higher standing, or an entry of its
        own sender that it follows.
        """
        gone: dict[Hash, PooledTx] = {} if replaced is None else {replaced.txid: replaced}
        excess = self.memory_bytes + entry.memory_bytes - self.limits.max_bytes
        excess -= sum(victim.memory_bytes for victim in gone.values())
        candidates = self._worst_first()
        while excess > 0:
            worst = next(candidates, None)
            if worst is None or self._standing(worst) >= self._standing(entry):
                most = worst.rate // RATE_UNIT if worst else self.limits.max_bytes
                raise PoolFull(expected=most, got=entry.rate // RATE_UNIT)
            for victim in self._tail(worst):
                if victim.sender == entry.sender and worst.tx.nonce < entry.tx.nonce:
                    raise PoolFull(expected=victim.rate // RATE_UNIT, got=entry.rate // RATE_UNIT)
                if victim.txid not in gone:
                    gone[victim.txid] = victim
                    excess -= victim.memory_bytes
        return list(gone.values())

    def _worst_first(self) -> Iterator[PooledTx]:
        parked = self._by_bearable.irange_key(None, (self.exponent - 1, 0))
        return chain(parked, (entry for entry in self._by_rate if not self.is_parked(entry)))

    def _standing(self, entry: PooledTx) -> tuple[bool, int]:
        parked = self.is_parked(entry)
        return not parked, entry.bearable if parked else entry.rate

    def _insert(self, entry: PooledTx) -> None:
        self._arrivals += 1
        self._arrival[entry.txid] = self._arrivals
        self._entries[entry.txid] = entry
        self._senders.setdefault(entry.sender, SortedDict())[entry.tx.nonce] = entry
        self._by_rate.add(entry)
        self._by_bearable.add(entry)
        self.memory_bytes += entry.memory_bytes

    def _tail(self, entry: PooledTx) -> list[PooledTx]:
        own = self._senders[entry.sender]
        return [own[nonce] for nonce in own.irange(entry.tx.nonce)]

    def _take(self, entries: Iterator[PooledTx] | list[PooledTx]) -> list[PooledTx]:
        taken = list(entries)
        for entry in taken:
            self.remove(entry.txid)
        return taken

    def _rank(self, entry: PooledTx) -> _Rank:
        """The sort key: the lowest rate comes first, and of equal rates the later arrival."""
        return entry.rate, -self._arrival[entry.txid]


def _descending(rank: _Rank) -> _Rank:
    return -rank[0], -rank[1]


def largest_share(rules: Rules, cost: Cost) -> Fraction:
    """What a transaction takes of a block: of its bytes, its multiply-accumulates or its number, the most."""
    return max(
        Fraction(cost.size_bytes, rules.max_body_bytes),
        Fraction(cost.macs, rules.max_block_macs),
        Fraction(1, rules.max_block_transactions),
    )


def hindrances(account: Account, waiting: Iterable[PooledTx], exponent: int) -> dict[Hash, str]:
    """Why entries of one sender cannot be included soon: txid -> error code. `waiting` is sorted by nonce.

    A nonce before the entry is missing (`NonceMismatch`), or the base has outgrown the cap of the entry or of
    one before it (`FeeTooLow`), or the balance does not pay for the entry and those before it
    (`InsufficientBalance`).
    """
    found: dict[Hash, str] = {}
    nonce, left, outgrown = account.nonce, account.balance, False
    for entry in waiting:
        if entry.tx.nonce != nonce:
            found[entry.txid] = NonceMismatch.code
            continue
        left += entry.brings - entry.charge(exponent) - entry.funds
        outgrown = outgrown or entry.bearable < exponent
        if outgrown:
            found[entry.txid] = FeeTooLow.code
        elif left < 0:
            found[entry.txid] = InsufficientBalance.code
        nonce += 1
    return found
