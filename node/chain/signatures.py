"""Verifies signatures in several threads, and each transaction only once.

Threads help because OpenSSL releases Python's global lock while it verifies. They help beside a thread that
executes a block, too: it gives the lock back whenever it reads the database, some ten times a transaction.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final

from engram.primitives.errors import Invalid
from engram.primitives.types import Hash
from engram.statemachine.transaction import Transaction, verify_transaction

Pairs = list[tuple[Transaction, Hash]]

REMEMBERED: Final = 50_000
_SLICE: Final = 32
"""So many transactions are handed to a thread at a time."""
_FEW: Final = 8
"""So many are verified sooner by the thread that asks than by others."""
THREADS: Final = min(8, max(2, os.cpu_count() or 1))
"""A tenth of the time goes to Python code that needs the lock, so more threads would wait for each other."""
AHEAD: Final = 4_096
"""So many transactions, at most, are verified before it is their blocks' turn."""


class SignatureVerifier:
    """Verifies signatures and remembers the ids of transactions whose signature is good. Thread-safe.

    The id of a transaction covers its signature, so a transaction with a known id need not be verified again.
    """

    def __init__(self, threads: int = THREADS, remembered: int = REMEMBERED) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="engram-verify")
        self._remembered = remembered
        self._known: OrderedDict[Hash, None] = OrderedDict()
        self._coming: dict[Hash, Future[None]] = {}
        """The transactions that a thread has been given."""
        self._lock = threading.Lock()

    def verify(self, transactions: Sequence[Transaction]) -> None:
        """Returns if every transaction carries a good signature of its sender.

        Raises `BadPublicKey` or `BadSignature` for the first that does not.
        """
        self.begin(transactions).wait()

    def begin(self, transactions: Sequence[Transaction]) -> Verification:
        """Has other threads verify these transactions, and returns at once; `wait` is for their end."""
        self._submit([(tx, tx.id) for tx in transactions], least=_FEW + 1)
        with self._lock:
            coming = {self._coming[tx.id] for tx in transactions if tx.id in self._coming}
        return Verification(self, transactions, coming)

    def ahead(self, transactions: Iterable[Transaction]) -> None:
        """Begins with the first `AHEAD` of transactions whose blocks are judged next.

        A signature that is not good is passed over: `verify` finds it again, in the turn of its block.
        """
        self._submit([(tx, tx.id) for tx in islice(transactions, AHEAD)], least=1)

    def _submit(self, pairs: Pairs, least: int) -> None:
        """Gives what nobody has verified to the threads, in slices, unless it is less than `least`."""
        with self._lock:
            fresh = [pair for pair in pairs if pair[1] not in self._known and pair[1] not in self._coming]
            if len(fresh) < least:
                return
            for start in range(0, len(fresh), _SLICE):
                part = fresh[start : start + _SLICE]
                future = self._pool.submit(self._verify_slice, part)
                self._coming.update((name, future) for _, name in part)

    def _verify_slice(self, pairs: Pairs) -> None:
        """Verifies transactions up to the first that is not good, and remembers those before it."""
        good: list[Hash] = []
        try:
            for tx, name in pairs:
                verify_transaction(tx)
                good.append(name)
        except Invalid:
            pass  # whoever waits for it verifies it again, and raises
        finally:
            with self._lock:
                self._remember(good)
                for _, name in pairs:
                    self._coming.pop(name, None)

    def check(self, transactions: Iterable[Transaction]) -> None:
        """Verifies on this thread those that are not known to be good; raises for the first that is bad."""
        good: list[Hash] = []
        try:
            for tx in transactions:
                if tx.id not in self._known:
                    verify_transaction(tx)
                    good.append(tx.id)
        finally:
            with self._lock:
                self._remember(good)

    def _remember(self, names: Iterable[Hash]) -> None:
        for name in names:
            self._known[name] = None
        while len(self._known) > self._remembered:
            self._known.popitem(last=False)

    def close(self) -> None:
        """Ends the threads, after the work that they have begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class Verification:
    """The signatures of some transactions, which other threads verify meanwhile."""

    def __init__(
        self, verifier: SignatureVerifier, transactions: Sequence[Transaction], coming: set[Future[None]]
    ) -> None:
        self._verifier = verifier
        self._transactions = transactions
        self._coming = coming

    def wait(self) -> None:
        """Returns once every transaction is known to carry a good signature of its sender.

        Raises `BadPublicKey` or `BadSignature` for the first that does not.
        """
        for future in self._coming:
            future.result()
        self._verifier.check(self._transactions)
