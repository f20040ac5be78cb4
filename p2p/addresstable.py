"""Where an address may stand in the address book: bounded tables of buckets, keyed by a secret of the node.

The place follows from the secret and from network groups, so that a stranger can neither choose what he
pushes out nor fill more than a few buckets: what he tells stands in the buckets of his own network, whatever
he tells, and addresses that answered stand in the buckets of theirs.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from engram.p2p.link import PeerAddress
from engram.p2p.netgroup import Scope, group_of

BUCKET_SIZE: Final = 64
NEW_BUCKETS: Final = 1_024
NEW_BUCKETS_PER_SOURCE: Final = 32
"""What comes from one network group stands in so many of the buckets."""
TRIED_BUCKETS: Final = 256
TRIED_BUCKETS_PER_GROUP: Final = 4
"""The addresses of one network group that have answered stand in so many of the buckets."""
MAX_SOURCES: Final = 8

Place = tuple[int, int]
"""Bucket, and position in it."""


@dataclass(slots=True)
class BookEntry:
    """What is known of one address. Times are whole seconds since 1970, 0 for never."""

    address: PeerAddress
    """Host and port, without a key."""
    scope: Scope
    sources: list[str] = field(default_factory=list)
    """Network groups of those who told; each gives it one place in the table of new addresses."""
    seen_s: int = 0
    """When somebody last heard of the node there, as far as this node knows."""
    dialled_s: int = 0
    first_s: int = 0
    """When it first answered this node."""
    reached_s: int = 0
    """When it last did."""
    failures: int = 0
    """Dials since then that did not lead to a session."""
    counted_s: int = 0
    """When a failure was last counted."""
    is_tried: bool = False


class AddressTable:
    """A bounded number of buckets, each of a bounded number of entries."""

    def __init__(self) -> None:
        self._buckets: dict[int, dict[int, BookEntry]] = {}

    def at(self, place: Place) -> BookEntry | None:
        """The entry that stands there."""
        return self._buckets.get(place[0], {}).get(place[1])

    def put(self, place: Place, entry: BookEntry) -> None:
        """Puts an entry to a free place."""
        assert self.at(place) is None, "the caller has looked, and cleared the place if need be"
        self._buckets.setdefault(place[0], {})[place[1]] = entry

    def clear(self, place: Place) -> None:
        """Frees a place that is taken."""
        bucket = self._buckets[place[0]]
        del bucket[place[1]]
        if not bucket:
            del self._buckets[place[0]]

    def draw(self, rng: random.Random) -> BookEntry | None:
        """An entry at random: each bucket in use is as likely as another, however full it is.

        Whoever fills his buckets to the brim gains nothing by it.
        """
        if not self._buckets:
            return None
        bucket = self._buckets[rng.choice(list(self._buckets))]
        return rng.choice(list(bucket.values()))

    def __iter__(self) -> Iterator[BookEntry]:
        return (entry for bucket in self._buckets.values() for entry in bucket.values())


class Placing:
    """The place of each address, known to whoever knows the secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def new(self, address: PeerAddress, source: str) -> Place:
        """The place of an address that somebody of the network group `source` has told."""
        spread = self._number("new", group_of(address.host), source) % NEW_BUCKETS_PER_SOURCE
        bucket = self._number("new bucket", source, spread) % NEW_BUCKETS
        return bucket, self._number("new place", bucket, address) % BUCKET_SIZE

    def tried(self, address: PeerAddress) -> Place:
        """The place of an address that has answered."""
        spread = self._number("tried", address) % TRIED_BUCKETS_PER_GROUP
        bucket = self._number("tried bucket", group_of(address.host), spread) % TRIED_BUCKETS
        return bucket, self._number("tried place", bucket, address) % BUCKET_SIZE

    def _number(self, *parts: object) -> int:
        text = "\n".join(map(str, parts)).encode()
        return int.from_bytes(blake2b(text, digest_size=8, key=self._secret).digest(), "big")
