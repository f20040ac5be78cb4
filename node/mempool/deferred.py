"""Transactions that the present state refuses and a later one may take: they are tried again on new heads.

Anybody can sign such transactions by the thousand, so the places are shared out by where they came from. When
all are taken, one goes of a stranger's, if there is any: of who has the most, the oldest. So whoever floods
this takes places from himself, and none from peers that this node has chosen.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from engram.primitives.types import Hash
from engram.statemachine.transaction import Transaction


@dataclass(frozen=True)
class Source:
    """Where a transaction came from."""

    owner: Hashable = None
    """Whose peers are one here: a network group, or a session within this machine."""
    is_stranger: bool = False
    """Whether the peer has dialled this node, and not the other way round."""


@dataclass
class _Waiting:
    tx: Transaction
    heads: int
    """On so many more new heads it is tried again."""
    code: str
    source: Source


class Deferred:
    """A bounded number of transactions, of bounded size together, each for a bounded number of heads."""

    def __init__(self, count: int, size_bytes: int, heads: int) -> None:
        self._count = count
        self._most_bytes = size_bytes
        self._heads = heads
        self._bytes = 0
        self._waiting: OrderedDict[Hash, _Waiting] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, name: object) -> bool:
        return name in self._waiting

    def code(self, name: Hash) -> str:
        """For which error a transaction is kept; empty if it is not here."""
        return self._waiting[name].code if name in self._waiting else ""

    def add(self, name: Hash, tx: Transaction, code: str, source: Source = Source()) -> list[Hash]:
        """Keeps a transaction, anew if it is here; the ids of those that had to go, which may be itself."""
        self.remove(name)
        self._waiting[name] = _Waiting(tx, self._heads, code, source)
        self._bytes += tx.size_bytes
        gone = []
        while len(self._waiting) > self._count or self._bytes > self._most_bytes:
            gone.append(self._least())
            self.remove(gone[-1])
        return gone

    def _least(self) -> Hash:
        held = Counter[Source]()
        for each in self._waiting.values():
            held[each.source] += each.tx.size_bytes
        of = max(held, key=lambda source: (source.is_stranger, held[source]))
        return next(name for name, each in self._waiting.items() if each.source == of)

    def clear(self) -> None:
        """Forgets all of them."""
        for name, _ in self.items():
            self.remove(name)

    def items(self) -> list[tuple[Hash, Transaction]]:
        """What is kept now, oldest first."""
        return [(name, each.tx) for name, each in self._waiting.items()]

    def remove(self, name: Hash) -> None:
        """Forgets a transaction; does nothing if it is not here."""
        if name in self._waiting:
            self._bytes -= self._waiting.pop(name).tx.size_bytes

    def failed(self, name: Hash) -> bool:
        """One more head has refused it; True if it is forgotten, because that was the last one."""
        self._waiting[name].heads -= 1
        if self._waiting[name].heads > 0:
            return False
        self.remove(name)
        return True
