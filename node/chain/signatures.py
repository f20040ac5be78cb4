"""Verifies signatures in several threads, and each transaction only once.

Threads help because OpenSSL releases Python's global lock while it verifies. They help little while another
thread runs Python code: it gives the lock back after five milliseconds only, and each signature needs the
lock once in a tenth of a millisecond. A block that is executed meanwhile waits for it, too: each of its many
reads of the database gives the lock away. On two cores, that takes as long as one after the other, and a
third more processor time. So those of several blocks are verified together, before the first is executed.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import Final

from engram.primitives.errors import Invalid
from engram.primitives.types import Hash
from engram.statemachine.transaction import Transaction, verify_transaction

Pairs = list[tuple[Transaction, Hash]]

REMEMBERED: Final = 50_000
_SLICE: Final = 64
THREADS: Final = min(8, max(2, os.cpu_count() or 1))
"""A tenth of the time goes to Python code that needs the lock, so more threads would wait for each other."""
AHEAD: Final = 1_024
"""So many transactions, at most, are verified before the first of their blocks is judged."""


class SignatureVerifier:
    """Verifies signatures and remembers the ids of transactions whose signature is good. Thread-safe.

    The id of a transaction covers its signature, so a transaction with a known id need not be verified again.
    """

    def __init__(self, threads: int = THREADS, remembered: int = REMEMBERED) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="engram-verify")
        self._remembered = remembered
        self._known: OrderedDict[Hash, None] = OrderedDict()
        self._lock = threading.Lock()

    def verify(self, transactions: Sequence[Transaction]) -> None:
        """Returns if every transaction carries a good signature of its sender.

        Raises `BadPublicKey` or `BadSignature` for the first that does not.
        """
        slices = self._fresh(transactions)
        if len(slices) == 1:
            _verify_slice(slices[0])
        else:
            list(self._pool.map(_verify_slice, slices))
        self._remember(slices)

    def ahead(self, transactions: Iterable[Transaction]) -> None:
        """Verifies the first `AHEAD` of transactions whose blocks are judged next, if they are many.

        A signature that is not good is passed over: `verify` finds it again, in the turn of its block.
        """
        slices = self._fresh(islice(transactions, AHEAD))
        if len(slices) > 1:
            good = self._pool.map(_is_good, slices)
            self._remember([part for part, is_good in zip(slices, good, strict=True) if is_good])

    def _fresh(self, transactions: Iterable[Transaction]) -> list[Pairs]:
        """The transactions that are not known, with their ids, in parts for one thread each."""
        with self._lock:
            fresh = [(tx, name) for tx in transactions if (name := tx.id) not in self._known]
        return [fresh[start : start + _SLICE] for start in range(0, len(fresh), _SLICE)]

    def _remember(self, slices: Iterable[Pairs]) -> None:
        with self._lock:
            for _, name in chain.from_iterable(slices):
                self._known[name] = None
            while len(self._known) > self._remembered:
                self._known.popitem(last=False)

    def close(self) -> None:
        """Ends the threads, after the work that they have begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _verify_slice(pairs: Pairs) -> None:
    for tx, _ in pairs:
        verify_transaction(tx)


def _is_good(pairs: Pairs) -> bool:
    try:
        _verify_slice(pairs)
    except Invalid:
        return False
    return True
