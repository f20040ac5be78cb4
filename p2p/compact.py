"""Blocks as short ids: what a receiver has already is not sent to it again. No I/O, no clock.

Of a block whose transactions wait in the receiver's mempool, the header and eight bytes for each transaction
are enough. A short id is a keyed hash of the transaction's id, and the sender draws the key once the block is
there. So nobody can make two transactions beforehand whose short ids are the same. Two that are the same by
chance cost the transfer of the whole block and nothing else, because the header commits to the whole ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Final, Generic, TypeVar

from engram.p2p.errors import WrongReply
from engram.p2p.messages import SHORT_ID_BYTES, CompactForm

T = TypeVar("T")

PREFILL_BYTES: Final = 32 * 1024
"""How many bytes of transactions that a peer has probably not seen are sent to it unasked."""


def short_id(key: bytes, txid: bytes) -> bytes:
    """The short id of a transaction under this key."""
    return blake2b(txid, digest_size=SHORT_ID_BYTES, key=key).digest()


def short_ids(key: bytes, txids: Sequence[bytes]) -> bytes:
    """The short ids of these transactions, one after the other."""
    return b"".join(short_id(key, txid) for txid in txids)


def match(form: CompactForm, txids: Sequence[bytes]) -> dict[bytes, bytes]:
    """Which of these transactions a block seems to hold: short id -> id.

    If two of them have the same short id, neither is named. It is CPU work: call it in a worker thread.
    """
    wanted = frozenset(_split(form.short_ids))
    found: dict[bytes, bytes] = {}
    twice: set[bytes] = set()
    for txid in txids:
        short = short_id(form.key, txid)
        if short in wanted and found.setdefault(short, txid) != txid:
            twice.add(short)
    return {short: txid for short, txid in found.items() if short not in twice}


class PartialBody(Generic[T]):
    """The transactions of a block of which some are known; `T` is whatever the node makes of a transaction.

    Raises `WrongReply` for a form, or for transactions, that no honest peer sends.
    """

    def __init__(
        self,
        form: CompactForm,
        prefilled: Sequence[T],
        pooled: Mapping[bytes, T],
        txid_of: Callable[[T], bytes],
    ) -> None:
        """`pooled`: transactions of the mempool by their short ids, as `match` finds them."""
        self._key = form.key
        self._short_ids = _split(form.short_ids)
        self._txid_of = txid_of
        _check_prefilled(form.prefilled, len(prefilled), len(self._short_ids))
        self._known: list[T | None] = [pooled.get(short) for short in self._short_ids]
        self._put(form.prefilled, prefilled)

    @property
    def known(self) -> tuple[T, ...]:
        """The transactions that are here; a short id may name another one than the block's, by chance."""
        return tuple(known for known in self._known if known is not None)

    @property
    def missing(self) -> tuple[int, ...]:
        """Places of the transactions that have to be asked for, in order."""
        return tuple(index for index, known in enumerate(self._known) if known is None)

    def fill(self, transactions: Sequence[T]) -> tuple[T, ...]:
        """All transactions, once these have taken the places of the missing ones."""
        missing = self.missing
        if len(transactions) != len(missing):
            raise WrongReply(
                "another number of transactions than was asked for",
                expected=len(missing),
                got=len(transactions),
            )
        self._put(missing, transactions)
        return self.known

    def agrees_with(self, txids: Sequence[bytes]) -> bool:
        """Whether the short ids are those of a block with these transactions."""
        return self._short_ids == [short_id(self._key, txid) for txid in txids]

    def _put(self, places: Sequence[int], transactions: Sequence[T]) -> None:
        for index, tx in zip(places, transactions, strict=True):
            expected = self._short_ids[index]
            if (got := short_id(self._key, self._txid_of(tx))) != expected:
                raise WrongReply("a transaction has another short id", expected=expected, got=got)
            self._known[index] = tx


def _check_prefilled(places: Sequence[int], given: int, count: int) -> None:
    if len(places) != given:
        raise WrongReply("not one transaction for each place", expected=len(places), got=given)
    if not is_ascending(places, count):
        raise WrongReply("the places of the transactions do not ascend within the block", expected=count)


def is_ascending(places: Sequence[int], count: int) -> bool:
    """Whether each place is higher than the one before it, and all are below `count`."""
    return all(low < high for low, high in pairwise((*places, count)))


def _split(joined: bytes) -> list[bytes]:
    if len(joined) % SHORT_ID_BYTES:
        raise WrongReply("a short id is cut off", expected=SHORT_ID_BYTES, got=len(joined) % SHORT_ID_BYTES)
    return [joined[at : at + SHORT_ID_BYTES] for at in range(0, len(joined), SHORT_ID_BYTES)]
