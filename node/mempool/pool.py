"""The set of waiting transactions: nonce windows, replacement, fee order, bounds. No state, no signatures,
no clock.

A transaction's rate is its fee per spark of its minimum fee, which weighs bytes, MACs and records as the
chain's own prices do. An account's transactions are taken in the order of nonces, whatever they pay.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sortedcontainers import SortedDict, SortedKeyList

from engram.node.errors import AlreadyPooled, NonceGap, PoolFull, ReplacementFee, SenderLimit
from engram.primitives.types import Address, Hash
from engram.statemachine.errors import InsufficientBalance, NonceMismatch
from engram.statemachine.records import Account
from engram.statemachine.transaction import Transaction

RATE_UNIT: Final = 1_000_000
_OVERHEAD_BYTES: Final = 1_000
"""Memory that an entry takes besides its bytes, roughly."""


@dataclass(frozen=True)
class PoolLimits:
    """How much may wait."""

    max_bytes: int = 64 << 20
    sender_transactions: int = 64
    sender_bytes: int = 8 << 20
    nonce_window: int = 64
    """How far a nonce may lie above the account's."""
    replacement_percent: int = 10
    """What a replacement must pay above the transaction it replaces."""


@dataclass(frozen=True, eq=False)
class PooledTx:
    """A waiting transaction."""

    tx: Transaction
    txid: Hash
    sender: Address
    size_bytes: int
    price: int
    """Its minimum fee when it was admitted."""
    funds: int = 0
    """Sparks it needs besides its fee."""
    brings: int = 0
    """Sparks it is sure to add to its sender's balance; they may pay its own fee, and what follows it."""
    tentative: bool = False
    """Priced by bytes alone: the transactions before it must be included before more can be said."""
    admitted_s: float = 0.0

    @property
    def rate(self) -> int:
        """Millionths of the minimum fee that it pays."""
        return self.tx.fee * RATE_UNIT // self.price

    @property
    def memory_bytes(self) -> int:
        return self.size_bytes + _OVERHEAD_BYTES


class Pool:
    """Entries by id, by sender and nonce, and by rate. The caller says what each account's nonce is."""

    def __init__(self, limits: PoolLimits = PoolLimits()) -> None:  # frozen
        self.limits = limits
        self.memory_bytes = 0
        self._entries: dict[Hash, PooledTx] = {}
        self._senders: dict[Address, SortedDict[int, PooledTx]] = {}
        self._by_rate: SortedKeyList[PooledTx, tuple[int, int]] = SortedKeyList(key=self._rank)
        self._arrival: dict[Hash, int] = {}
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, txid: Hash) -> bool:
        return txid in self._entries

    def __iter__(self) -> Iterator[PooledTx]:
        return iter(list(self._entries.values()))

    def get(self, txid: Hash) -> PooledTx | None:
        """The entry of a transaction that waits."""
        return self._entries.get(txid)

    def of_sender(self, sender: Address) -> list[PooledTx]:
        """What a sender has waiting, by nonce."""
        return list(self._own(sender).values())

    def senders(self) -> list[Address]:
        """Everyone who has something waiting."""
        return list(self._senders)

    def check_place(self, txid: Hash, sender: Address, nonce: int, fee: int, account_nonce: int) -> None:
        """The refusals that need neither price nor signature.

        Raises `AlreadyPooled`, `NonceMismatch`, `NonceGap`, `ReplacementFee`.
        """
        if txid in self._entries:
            raise AlreadyPooled(got=txid)
        if nonce < account_nonce:
            raise NonceMismatch(expected=account_nonce, got=nonce)
        if nonce > account_nonce + self.limits.nonce_window:
            raise NonceGap(expected=account_nonce, got=nonce)
        replaced = self._own(sender).get(nonce)
        if replaced is not None:
            least = replaced.tx.fee + -(-replaced.tx.fee * self.limits.replacement_percent // 100)
            if fee < least:
                raise ReplacementFee(expected=least, got=fee)

    def add(self, entry: PooledTx, account_nonce: int) -> list[PooledTx]:
        """Takes an entry in; returns those that had to go for it. Raises `Refused` leaves and changes
        nothing then.
        """
        nonce = entry.tx.nonce
        self.check_place(entry.txid, entry.sender, nonce, entry.tx.fee, account_nonce)
        own = self._own(entry.sender)
        replaced = own.get(nonce)
        self._check_sender(entry, own, replaced)
        gone = self._victims(entry, replaced)
        for victim in gone:
            self.remove(victim.txid)
        self._insert(entry)
        return gone

    def remove(self, txid: Hash) -> PooledTx | None:
        """Takes an entry out; None if it was not here."""
        entry = self._entries.get(txid)
        if entry is None:
            return None
        self._by_rate.remove(entry)
        del self._entries[txid], self._arrival[txid]
        own = self._senders[entry.sender]
        del own[entry.tx.nonce]
        if not own:
            del self._senders[entry.sender]
        self.memory_bytes -= entry.memory_bytes
        return entry

    def settle(self, sender: Address, account_nonce: int) -> list[PooledTx]:
        """Takes out and returns a sender's entries below the account's nonce."""
        return self._take(entry for entry in self.of_sender(sender) if entry.tx.nonce < account_nonce)

    def cut(self, txid: Hash) -> list[PooledTx]:
        """Takes out and returns an entry and those of its sender behind it, which cannot be included
        without it.
        """
        entry = self._entries.get(txid)
        return [] if entry is None else self._take(self._tail(entry))

    def in_order(self, account_nonces: Mapping[Address, int]) -> Iterator[PooledTx]:
        """Entries that can follow one another in a block: highest rate first, each sender's by nonce, no
        gaps.
        """
        heap: list[tuple[tuple[int, int], PooledTx]] = []
        for sender, own in self._senders.items():
            first = own.get(account_nonces[sender])
            if first is not None:
                heap.append((_descending(self._rank(first)), first))
        heapq.heapify(heap)
        while heap:
            _, entry = heap[0]
            yield entry
            following = self._senders[entry.sender].get(entry.tx.nonce + 1)
            if following is None:
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
        count = len(own) + (replaced is None)
        size = entry.size_bytes + sum(other.size_bytes for other in own.values() if other is not replaced)
        if count > self.limits.sender_transactions:
            raise SenderLimit(expected=self.limits.sender_transactions, got=count)
        if size > self.limits.sender_bytes:
            raise SenderLimit(expected=self.limits.sender_bytes, got=size)

    def _victims(self, entry: PooledTx, replaced: PooledTx | None) -> list[PooledTx]:
        """What must go so that the entry fits: the one it replaces, then the worst payers with what follows
        them.
        """
        gone: dict[Hash, PooledTx] = {} if replaced is None else {replaced.txid: replaced}
        excess = self.memory_bytes + entry.memory_bytes - self.limits.max_bytes
        excess -= sum(victim.memory_bytes for victim in gone.values())
        candidates = iter(self._by_rate)
        while excess > 0:
            worst = next(candidates, None)
            if worst is None or worst.rate >= entry.rate:
                raise PoolFull(expected=worst.rate if worst else self.limits.max_bytes, got=entry.rate)
            for victim in self._tail(worst):
                if victim.sender == entry.sender and worst.tx.nonce < entry.tx.nonce:
                    raise PoolFull(expected=victim.rate, got=entry.rate)
                if victim.txid not in gone:
                    gone[victim.txid] = victim
                    excess -= victim.memory_bytes
        return list(gone.values())

    def _insert(self, entry: PooledTx) -> None:
        self._arrivals += 1
        self._arrival[entry.txid] = self._arrivals
        self._entries[entry.txid] = entry
        self._senders.setdefault(entry.sender, SortedDict())[entry.tx.nonce] = entry
        self._by_rate.add(entry)
        self.memory_bytes += entry.memory_bytes

    def _tail(self, entry: PooledTx) -> list[PooledTx]:
        own = self._senders[entry.sender]
        return [own[nonce] for nonce in own.irange(entry.tx.nonce)]

    def _take(self, entries: Iterator[PooledTx] | list[PooledTx]) -> list[PooledTx]:
        taken = list(entries)
        for entry in taken:
            self.remove(entry.txid)
        return taken

    def _rank(self, entry: PooledTx) -> tuple[int, int]:
        """Ascending: worst first; of equal rates the later arrival is worse."""
        return entry.rate, -self._arrival[entry.txid]


def _descending(rank: tuple[int, int]) -> tuple[int, int]:
    return -rank[0], -rank[1]


def hindrances(account: Account, waiting: Iterable[PooledTx]) -> dict[Hash, str]:
    """Codes of what keeps entries of one sender, given by nonce, out of the next blocks.

    A nonce that is missing before them, or a balance that does not cover them and what stands before them.
    """
    found: dict[Hash, str] = {}
    nonce, left = account.nonce, account.balance
    for entry in waiting:
        if entry.tx.nonce != nonce:
            found[entry.txid] = NonceMismatch.code
            continue
        left += entry.brings - entry.tx.fee - entry.funds
        if left < 0:
            found[entry.txid] = InsufficientBalance.code
        nonce += 1
    return found
