"""The addresses of nodes that this node has heard of, and which of them it tries next.

There are two tables. What others tell is *new*: hearsay, and free for whoever tells it. What has answered a
dial of this node is *tried*. An address in the way of one that has answered is dialled first, and gives way
only if it does not answer. So a stranger can neither push out what has worked, nor, as the places follow from
network groups and a secret, fill more of the book than the networks that are his.

The book reads no clock and no file: `node` keeps it on disk.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from engram.p2p.addresstable import MAX_SOURCES, AddressTable, BookEntry, Place, Placing
from engram.p2p.link import PeerAddress
from engram.p2p.netgroup import Scope, group_of, plain_host, scope_of

DAY_S: Final = 86_400
FORGET_S: Final = 30 * DAY_S
"""An address of which nothing was heard for so long falls out."""
NEVER_REACHED: Final = 3
"""An address that never answered falls out after so many failures."""
LOST: Final = 10
"""One that did answer falls out after so many, if it has not answered for `LOST_S`."""
LOST_S: Final = 7 * DAY_S
RETRY_S: Final = 60
"""Seconds after a dial until the next one of the same address; doubled with each failure."""
LONGEST_RETRY_S: Final = 12 * 3_600
FRESH_S: Final = 4 * 3_600
"""Who has answered so lately gives way to nobody."""
MAX_RIVALS: Final = 16
"""So many addresses that have answered wait until who stands in their way has been dialled."""
SHARE_PERCENT: Final = 23
"""No answer tells more of the book than this, if that is more than `SMALL_SHARE`."""
SMALL_SHARE: Final = 8
"""So many addresses are told of a small book, whose nodes could not find each other else."""
DRAWS: Final = 200
"""After so many entries that do not fit, the book has none to dial now."""


@dataclass(frozen=True)
class BookCounts:
    """How many addresses the book holds."""

    new: int
    tried: int


class AddressBook:
    """The two tables. `secret` stays the same for the life of a data directory."""

    def __init__(self, secret: bytes, now_s: Callable[[], int], rng: random.Random) -> None:
        self.secret = secret
        self.anchors: tuple[PeerAddress, ...] = ()
        """Those that are dialled first at the next start."""
        self.now_s = now_s
        """Seconds since 1970."""
        self._rng = rng
        self._placing = Placing(secret)
        self._entries: dict[PeerAddress, BookEntry] = {}
        self._new = AddressTable()
        self._tried = AddressTable()
        self._rivals: dict[PeerAddress, PeerAddress] = {}
        """Addresses that have answered, and who stands in the way of each in the table of tried ones."""
        self._elders: dict[PeerAddress, BookEntry] = {}
        """All that ever answered, in the order in which they first did."""
        self._elders_sorted = True
        self._reached_s = 1
        """When any address answered last. While none does, failures say nothing about the addresses."""

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[BookEntry]:
        """Every entry, oldest first."""
        return iter(self._entries.values())

    @property
    def rivals(self) -> int:
        """How many that have answered wait for a place."""
        return len(self._rivals)

    def standing(self) -> tuple[set[PeerAddress], set[PeerAddress]]:
        """The addresses that stand in the table of new ones, and those in that of tried ones."""
        new, tried = ({entry.address for entry in table} for table in (self._new, self._tried))
        return new, tried

    def tried_place(self, address: PeerAddress) -> Place:
        """Where the address stands, or would stand, among the tried ones."""
        return self._placing.tried(_bare(address))

    def find(self, address: PeerAddress) -> BookEntry | None:
        """What is known of an address."""
        return self._entries.get(_bare(address))

    def counts(self) -> BookCounts:
        """How many addresses stand in each table."""
        tried = sum(entry.is_tried for entry in self._entries.values())
        return BookCounts(len(self._entries) - tried, tried)

    def add(self, address: PeerAddress, source: str, seen_s: int) -> bool:
        """Takes what somebody at the host `source` has told; whether the book did not have it.

        Names and addresses of no single host are not taken, nor what is too old.
        """
        bare, now_s = _bare(address), self.now_s()
        seen_s = min(seen_s, now_s)
        scope = scope_of(bare.host)
        if scope is None or seen_s < now_s - FORGET_S:
            return False
        entry = self._entries.get(bare)
        if entry is None:
            entry = BookEntry(bare, scope, seen_s=seen_s)
            if self._place_new(entry, group_of(source)):
                self._entries[bare] = entry
                return True
            return False
        entry.seen_s = max(entry.seen_s, seen_s)
        if not entry.is_tried and self._rng.randrange(2 ** len(entry.sources)) == 0:
            self._place_new(entry, group_of(source))
        return False

    def dialled(self, address: PeerAddress) -> None:
        """The address is being dialled."""
        entry = self.find(address)
        if entry is not None:
            entry.dialled_s = self.now_s()

    def reached(self, address: PeerAddress) -> None:
        """The address has answered as a node of this chain; one that the book lacked is taken."""
        bare, now_s = _bare(address), self.now_s()
        self.add(bare, bare.host, now_s)
        self._reached_s = now_s
        entry = self._entries.get(bare)
        if entry is None:
            return
        if not entry.first_s:
            entry.first_s = now_s
            self._elders[bare] = entry
        entry.reached_s = entry.seen_s = entry.dialled_s = now_s
        entry.failures = 0
        for rival in [rival for rival, standing in self._rivals.items() if standing == bare]:
            del self._rivals[rival]
        if not entry.is_tried:
            self._make_tried(entry)

    def failed(self, address: PeerAddress) -> None:
        """A dial of the address led to no session.

        It counts only if another address has answered since the last failure of this one, because else this
        node's own network may be down.
        """
        entry = self.find(address)
        if entry is None:
            return
        if entry.counted_s >= self._reached_s:
            return
        entry.failures += 1
        entry.counted_s = self.now_s()
        rival = next((new for new, standing in self._rivals.items() if standing == entry.address), None)
        if rival is not None:
            self._give_way(entry, rival)
        if self._is_hopeless(entry):
            self.forget(entry.address)

    def forget(self, address: PeerAddress) -> None:
        """Drops an address."""
        entry = self._entries.pop(_bare(address), None)
        if entry is None:
            return
        self._leave(entry)
        self._elders.pop(entry.address, None)
        self._rivals.pop(entry.address, None)
        for rival in [rival for rival, standing in self._rivals.items() if standing == entry.address]:
            del self._rivals[rival]

    def sweep(self) -> None:
        """Drops what has fallen out by age."""
        for entry in [entry for entry in self._entries.values() if self._is_hopeless(entry)]:
            self.forget(entry.address)

    def to_dial(self, fits: Callable[[PeerAddress], bool]) -> PeerAddress | None:
        """An address for a session, as often a tried as a new one; None if none fits now."""
        tables = [self._tried, self._new]
        self._rng.shuffle(tables)
        return self._draw(tables[0], fits) or self._draw(tables[1], fits)

    def feeler(self, fits: Callable[[PeerAddress], bool]) -> PeerAddress | None:
        """An address to be dialled only to learn whether it answers; None if none fits now.

        First one that stands in the way of another, else a new one.
        """
        now_s = self.now_s()
        for rival, standing in list(self._rivals.items()):
            if self._entries[standing].reached_s > now_s - FRESH_S:
                del self._rivals[rival]
            elif self._may_dial(self._entries[standing]):
                return standing
        return self._draw(self._new, fits)

    def longest_known(self, fits: Callable[[PeerAddress], bool]) -> PeerAddress | None:
        """The address that answered first, of all that fit and may be dialled now.

        One that fails now and then keeps its rank: it is dialled later, as any other.
        """
        if not self._elders_sorted:
            self._elders = dict(sorted(self._elders.items(), key=lambda item: item[1].first_s))
            self._elders_sorted = True
        elders = (entry for entry in self._elders.values() if entry.is_tried and self._may_dial(entry))
        return next((entry.address for entry in elders if fits(entry.address)), None)

    def sample(self, scope: Scope, most: int) -> list[BookEntry]:
        """Entries of one scope for another node: a random part of the book, at most `most`."""
        good = [
            entry for entry in self._entries.values() if entry.scope is scope and not self._is_hopeless(entry)
        ]
        share = max(SMALL_SHARE, len(good) * SHARE_PERCENT // 100)
        return self._rng.sample(good, min(most, share, len(good)))

    def restore(self, entry: BookEntry) -> None:
        """Puts an entry back that another book of the same secret had; one without a place is dropped."""
        if entry.address in self._entries:
            return
        sources, entry.sources = entry.sources, []
        entry.seen_s, entry.reached_s = (min(each, self.now_s()) for each in (entry.seen_s, entry.reached_s))
        tried = self._placing.tried(entry.address)
        if entry.is_tried and self._tried.at(tried) is None:
            self._tried.put(tried, entry)
        else:
            entry.is_tried = False
            for source in sources[:MAX_SOURCES] or [group_of(entry.address.host)]:
                self._place_new(entry, source)
        if entry.is_tried or entry.sources:
            self._entries[entry.address] = entry
            if entry.first_s:
                self._elders[entry.address] = entry
                self._elders_sorted = False

    def _draw(self, table: AddressTable, fits: Callable[[PeerAddress], bool]) -> PeerAddress | None:
        for _ in range(DRAWS):
            entry = table.draw(self._rng)
            if entry is None:
                return None
            if self._may_dial(entry) and fits(entry.address):
                return entry.address
        return None

    def _may_dial(self, entry: BookEntry) -> bool:
        wait_s = min(LONGEST_RETRY_S, RETRY_S * 2 ** min(entry.failures, 16))
        return not 0 <= self.now_s() - entry.dialled_s < wait_s  # a clock may have been set back

    def _is_hopeless(self, entry: BookEntry) -> bool:
        now_s = self.now_s()
        if max(entry.seen_s, entry.reached_s) < now_s - FORGET_S:
            return True
        if entry.reached_s == 0:
            return entry.failures >= NEVER_REACHED
        return entry.failures >= LOST and entry.reached_s < now_s - LOST_S

    def _place_new(self, entry: BookEntry, source: str) -> bool:
        """Gives an entry the place of this source; False if another one stands there and stays."""
        if source in entry.sources or len(entry.sources) >= MAX_SOURCES:
            return False
        place = self._placing.new(entry.address, source)
        standing = self._new.at(place)
        if standing is entry:
            return False
        if standing is not None:
            if self._is_hopeless(standing):
                self.forget(standing.address)
            elif len(standing.sources) > 1 and not entry.sources:
                self._leave_place(standing, place)
            else:
                return False
        self._new.put(place, entry)
        entry.sources.append(source)
        return True

    def _make_tried(self, entry: BookEntry) -> None:
        """Moves an entry that has answered to the tried ones, or lets it wait for who stands there."""
        place = self._placing.tried(entry.address)
        standing = self._tried.at(place)
        if standing is not None:
            if len(self._rivals) < MAX_RIVALS:
                self._rivals[entry.address] = standing.address
            return
        self._leave(entry)
        entry.is_tried = True
        self._tried.put(place, entry)

    def _give_way(self, standing: BookEntry, rival: PeerAddress) -> None:
        """A tried entry that did not answer becomes a new one, and one that has answered takes its place."""
        for each in [each for each, in_way in self._rivals.items() if in_way == standing.address]:
            del self._rivals[each]
        self._leave(standing)
        standing.is_tried = False
        if not self._place_new(standing, group_of(standing.address.host)):
            self.forget(standing.address)
        if rival in self._entries:
            self._make_tried(self._entries[rival])

    def _leave(self, entry: BookEntry) -> None:
        """Frees every place of an entry."""
        if entry.is_tried:
            self._tried.clear(self._placing.tried(entry.address))
        for source in entry.sources:
            self._new.clear(self._placing.new(entry.address, source))
        entry.sources.clear()

    def _leave_place(self, entry: BookEntry, place: tuple[int, int]) -> None:
        """Frees one of several places of an entry."""
        source = next(each for each in entry.sources if self._placing.new(entry.address, each) == place)
        entry.sources.remove(source)
        self._new.clear(place)


def _bare(address: PeerAddress) -> PeerAddress:
    return PeerAddress(plain_host(address.host), address.port)
