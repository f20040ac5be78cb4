"""Transactions that the present state refuses and a later one may take: they are tried again on new heads."""

from __future__ import annotations

from collections import OrderedDict

from engram.primitives.types import Hash
from engram.statemachine.transaction import Transaction


class Deferred:
    """A bounded number of transactions, of bounded size together, each for a bounded number of heads."""

    def __init__(self, count: int, size_bytes: int, heads: int) -> None:
        self._count = count
        self._most_bytes = size_bytes
        self._heads = heads
        self._bytes = 0
        self._waiting: OrderedDict[Hash, tuple[Transaction, int, str]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, name: object) -> bool:
        return name in self._waiting

    def code(self, name: Hash) -> str:
        """For which error a transaction is kept; empty if it is not here."""
        return self._waiting[name][2] if name in self._waiting else ""

    def add(self, name: Hash, tx: Transaction, code: str) -> list[Hash]:
        """Keeps a transaction, anew if it is here; the ids of those that had to go for it."""
        self.remove(name)
        self._waiting[name] = (tx, self._heads, code)
        self._bytes += tx.size_bytes
        gone = []
        while len(self._waiting) > self._count or self._bytes > self._most_bytes:
            gone.append(next(iter(self._waiting)))
            self.remove(gone[-1])
        return gone

    def items(self) -> list[tuple[Hash, Transaction]]:
        """What is kept now, oldest first."""
        return [(name, tx) for name, (tx, _, _) in self._waiting.items()]

    def remove(self, name: Hash) -> None:
        """Forgets a transaction; does nothing if it is not here."""
        if name in self._waiting:
            self._bytes -= self._waiting.pop(name)[0].size_bytes

    def failed(self, name: Hash) -> bool:
        """One more head has refused it; True if it is forgotten, because that was the last one."""
        tx, heads, code = self._waiting[name]
        self._waiting[name] = (tx, heads - 1, code)
        if heads > 1:
            return False
        self.remove(name)
        return True
