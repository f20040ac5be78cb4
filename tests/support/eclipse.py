"""A node that strangers try to surround: the real address book and choice of places, without sockets.

The node has lived among honest nodes for a while. Then strangers tell it of addresses without end, by inbound
sessions and in answers; their addresses always answer, of the honest nodes one in ten is away at any time.
Honest nodes, too, tell of strangers, because they are poisoned as well. Between two restarts pass hours, in
which the node sends out feelers and fills places that became free.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from engram.node.addressfile import book_bytes, read_book
from engram.p2p.addressbook import RETRY_S, AddressBook
from engram.p2p.link import PeerAddress
from engram.p2p.outbound import ANCHORS, Choice
from tests.support.address_book import HOUR_S, BookClock, address, empty_book

PLACES = 8
HONEST = 500
KNOWN_BEFORE = 80
"""So many honest nodes have answered this node before the strangers come."""
AWAY = 0.1
FEELERS = 30
TOLD_BY_STRANGERS = 200
"""Addresses that come by inbound sessions between two restarts; half of them do not even exist."""
ANSWERED = 100
LOST_BETWEEN = 2
"""Outbound sessions that end between two restarts."""
MOST_DIALS = 300


@dataclass
class Siege:
    """The node, who is besieging it, and what came of it."""

    strangers: Sequence[PeerAddress]
    folder: Path
    seed: int
    shares: list[float] = field(default_factory=list)
    """The strangers' part of the outbound places, after each restart."""
    honest_at_worst: int = PLACES

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._clock = BookClock()
        self._honest = [address(number) for number in range(HONEST)]
        self._enemies = set(self.strangers)
        self._up: set[PeerAddress] = set()
        self._book = empty_book(self._clock, self.seed)
        self._saved: list[PeerAddress] = []
        self._choice = Choice(self._book)

    def live_in_peace(self) -> None:
        """Learns of honest nodes, and has sessions with some."""
        self._wake()
        for honest in self._rng.sample(self._honest, KNOWN_BEFORE):
            self._book.dialled(honest)
            self._book.reached(honest)
            self._clock.now_s += RETRY_S
        self._fill()

    def restart(self) -> None:
        """Hours under siege, then a restart with the book that was saved."""
        for _ in range(LOST_BETWEEN):
            self._choice.held.discard(self._rng.choice(list(self._choice.held)))
            self._fill()
        self._hear()
        self._feel()
        path = self.folder / "addresses.json"
        path.write_bytes(book_bytes(self._book))
        self._book = read_book(path, self._clock, self._rng)
        self._choice, self._saved = Choice(self._book), list(self._book.anchors)
        self._clock.now_s += HOUR_S
        self._wake()
        self._fill()
        held = Counter(dial.address in self._enemies for dial in self._choice.held)
        assert held.total() == PLACES, "every place is taken"
        self.shares.append(held[True] / PLACES)
        self.honest_at_worst = min(self.honest_at_worst, held[False])

    @property
    def book(self) -> AddressBook:
        return self._book

    @property
    def has_honest_anchors(self) -> bool:
        """Whether all who are dialled first at the next start are honest."""
        return len(self._book.anchors) == ANCHORS and self._enemies.isdisjoint(self._book.anchors)

    def tried_places(self) -> int:
        """How many places of the tried addresses strangers have."""
        return sum(entry.is_tried and entry.address in self._enemies for entry in self._book)

    def tried_draws(self) -> float:
        """The strangers' part of the draws from the tried addresses: each bucket is as likely as another."""
        buckets: dict[int, list[bool]] = {}
        for entry in self._book:
            if entry.is_tried:
                bucket, _ = self._book.tried_place(entry.address)
                buckets.setdefault(bucket, []).append(entry.address in self._enemies)
        return sum(sum(each) / len(each) for each in buckets.values()) / len(buckets)

    def _wake(self) -> None:
        self._up = {each for each in self._honest if self._rng.random() >= AWAY} | self._enemies

    def _fill(self) -> None:
        """Dials until every place is taken."""
        for _ in range(MOST_DIALS):
            if len(self._choice.held) == PLACES:
                break
            self._clock.now_s += 1
            dial = self._choice.next(lambda _: False, self._saved)
            if dial is None:
                self._clock.now_s += RETRY_S
            elif self._answers(dial.address):
                dial.session = cast(Any, object())
                self._choice.keep_anchors()
                self._ask(dial.address)
            else:
                self._choice.held.discard(dial)

    def _feel(self) -> None:
        for _ in range(FEELERS):
            self._clock.now_s += 120
            found = self._book.feeler(lambda _: True)
            if found is not None:
                self._answers(found)

    def _answers(self, target: PeerAddress) -> bool:
        self._book.dialled(target)
        if target in self._up:
            self._book.reached(target)
        else:
            self._book.failed(target)
        return target in self._up

    def _ask(self, peer: PeerAddress) -> None:
        """Takes the answer of a peer: of strangers only strangers, of the honest two in five."""
        enemy = peer in self._enemies
        for _ in range(ANSWERED):
            stranger = enemy or self._rng.random() < 0.4
            told = self._rng.choice(self.strangers if stranger else self._honest)
            self._book.add(told, peer.host, self._clock() - self._rng.randrange(24 * HOUR_S))

    def _hear(self) -> None:
        """Takes what strangers tell in inbound sessions."""
        for number in range(TOLD_BY_STRANGERS):
            source = self._rng.choice(self.strangers).host
            told = self._rng.choice(self.strangers)
            if number % 2:
                told = address(self._rng.randrange(200), group=self._rng.randrange(2_000, 12_000))
            self._book.add(told, source, self._clock())
