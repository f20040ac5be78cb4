"""Verifies signatures in several threads, and each transaction only once.

Threads help because OpenSSL releases Python's global lock while it verifies.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from engram.primitives.types import Hash
from engram.statemachine.transaction import Transaction, verify_transaction

REMEMBERED: Final = 50_000
_SLICE: Final = 64


class SignatureVerifier:
    """Verifies signatures and remembers the ids of transactions whose signature is good. Thread-safe.

    The id of a transaction covers its signature, so a transaction with a known id need not be verified again.
    """

    def __init__(self, threads: int = 2, remembered: int = REMEMBERED) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="engram-verify")
        self._remembered = remembered
        self._known: OrderedDict[Hash, None] = OrderedDict()
        self._lock = threading.Lock()

    def verify(self, transactions: Sequence[Transaction]) -> None:
        """Returns if every transaction carries a good signature of its sender.

        Raises `BadPublicKey` or `BadSignature` for the first that does not.
        """
        with self._lock:
            fresh = [(tx, name) for tx in transactions if (name := tx.id) not in self._known]
        slices = [fresh[start : start + _SLICE] for start in range(0, len(fresh), _SLICE)]
        if len(slices) == 1:
            _verify_slice(slices[0])
        else:
            list(self._pool.map(_verify_slice, slices))
        with self._lock:
            for _, name in fresh:
                self._known[name] = None
            while len(self._known) > self._remembered:
                self._known.popitem(last=False)

    def close(self) -> None:
        """Ends the threads, after the work that they have begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _verify_slice(pairs: Sequence[tuple[Transaction, Hash]]) -> None:
    for tx, _ in pairs:
        verify_transaction(tx)
