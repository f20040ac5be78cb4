"""Signature checks on several threads, each transaction once: OpenSSL releases the GIL while it verifies."""

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
    """Verifies transactions and remembers the ids of the good ones; an id covers the signature.
    Thread-safe.
    """

    def __init__(self, threads: int = 2, remembered: int = REMEMBERED) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="engram-verify")
        self._remembered = remembered
        self._known: OrderedDict[Hash, None] = OrderedDict()
        self._lock = threading.Lock()

    def verify(self, transactions: Sequence[Transaction]) -> None:
        """Returns if every sender signed. Raises `BadPublicKey` or `BadSignature` for the first that did
        not.
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
        """Ends the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _verify_slice(pairs: Sequence[tuple[Transaction, Hash]]) -> None:
    for tx, _ in pairs:
        verify_transaction(tx)
