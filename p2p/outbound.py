"""Which addresses of the book this node dials: places for sessions, feelers, anchors, seeds.

All rules here serve one end: whoever tells this node addresses, and has a thousand of them that answer, shall
not have all of its outbound sessions. No two places go to one network group. Two places, the anchors, go to
those that this node has known for longest of all that still answer, and stay with them over restarts. The
others are drawn at random, half of them from what has answered before.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from engram.p2p.addressbook import AddressBook
from engram.p2p.addresses import AddressGossip
from engram.p2p.clock import Deadline, MonotonicClock
from engram.p2p.dialling import Dial
from engram.p2p.errors import SelfConnection
from engram.p2p.link import PeerAddress
from engram.p2p.netgroup import group_of, is_loopback
from engram.p2p.protocol import PeerOrigin
from engram.primitives.errors import ChainError

ANCHORS: Final = 2
MAX_OWN: Final = 64

Resolve = Callable[[PeerAddress], Awaitable[list[PeerAddress]]]


@dataclass(frozen=True)
class OutboundLimits:
    """How many addresses of the book are dialled, and when."""

    places: int = 0
    """So many outbound sessions there shall be, with named addresses or others; 0 dials none of the book."""
    seeds: tuple[PeerAddress, ...] = ()
    """Names or addresses that are asked while nobody else answers."""
    pace_s: float = 0.5
    """Between the beginnings of two dials there are so many seconds."""
    idle_s: float = 10.0
    """If the book has nobody to dial, it is asked again after so many seconds."""
    feeler_s: float = 120.0
    """About so often an address is dialled only to learn whether it answers."""
    seed_after: int = 8
    """Seeds are asked after so many dials in a row without an answer, or if there is nobody to dial."""
    seed_every_s: float = 60.0


class Choice:
    """Chooses who gets the next outbound place; knows who has the others."""

    def __init__(self, book: AddressBook) -> None:
        self._book = book
        self._own: dict[PeerAddress, None] = {}
        self.held: set[Dial] = set()
        """The attempts that have a place, whether they have a session yet or not."""

    def next(self, avoid: Callable[[PeerAddress], bool], saved: list[PeerAddress]) -> Dial | None:
        """The next attempt, which has its place now; None if nobody in the book may be dialled.

        Addresses in `saved` come first and are taken out. Nothing that `avoid` is true for is chosen.
        """
        taken = {attempt.address for attempt in self.held}
        groups = {group_of(address.host) for address in taken if not is_loopback(address.host)}

        def fits(address: PeerAddress) -> bool:
            alone = group_of(address.host) not in groups
            return alone and address not in taken and address not in self._own and not avoid(address)

        attempt = self._anchor(fits, saved) or self._drawn(fits)
        if attempt is not None:
            self.held.add(attempt)
        return attempt

    def is_this_node(self, address: PeerAddress) -> None:
        """A dial of this address has led back to this node."""
        self._own[address] = None
        if len(self._own) > MAX_OWN:
            del self._own[next(iter(self._own))]

    def keep_anchors(self) -> None:
        """Notes who is dialled first at the next start: of those with a session, the longest known."""
        entries = [self._book.find(attempt.address) for attempt in self.held if attempt.session is not None]
        known = [entry for entry in entries if entry is not None and entry.first_s]
        known.sort(key=lambda entry: entry.first_s)
        if known:
            self._book.anchors = tuple(entry.address for entry in known[:ANCHORS])

    def _anchor(self, fits: Callable[[PeerAddress], bool], saved: list[PeerAddress]) -> Dial | None:
        if sum(attempt.origin is PeerOrigin.ANCHOR for attempt in self.held) >= ANCHORS:
            return None
        while saved:
            address = saved.pop(0)
            if fits(address):
                return Dial(address, PeerOrigin.ANCHOR)
        known = self._book.longest_known(fits)
        return None if known is None else Dial(known, PeerOrigin.ANCHOR)

    def _drawn(self, fits: Callable[[PeerAddress], bool]) -> Dial | None:
        address = self._book.to_dial(fits)
        return None if address is None else Dial(address, PeerOrigin.BOOK)


class Outbound:
    """Keeps the outbound places taken."""

    def __init__(
        self,
        limits: OutboundLimits,
        book: AddressBook,
        dial: Callable[[Dial], Awaitable[ChainError]],
        named: Callable[[], int],
        avoid: Callable[[PeerAddress], bool],
        resolve: Resolve,
        addresses: AddressGossip,
        clock: MonotonicClock,
        rng: random.Random,
    ) -> None:
        """`named` counts the sessions with named addresses. `avoid` says which addresses need no dial.
        `addresses` says where this node itself may be, which a dial can prove.
        """
        self._addresses = addresses
        self._limits = limits
        self._book = book
        self._dial = dial
        self._named = named
        self._avoid = avoid
        self._resolve = resolve
        self._clock = clock
        self._rng = rng
        self._choice = Choice(book)
        self._saved = list(book.anchors)
        self._unanswered = 0
        self._seeds_s: float | None = None
        """When seeds were asked last."""
        self._freed = asyncio.Event()

    async def run(self) -> None:
        """Dials until it is cancelled; returns at once if there are no places."""
        if self._limits.places == 0:
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fill(group))
            group.create_task(self._feel())

    def answered(self) -> None:
        """An outbound session is open."""
        self._unanswered = 0
        self._choice.keep_anchors()

    async def _fill(self, group: asyncio.TaskGroup) -> None:
        while True:
            started = False
            if len(self._choice.held) + self._named() < self._limits.places:
                started = self._start(group, self._next()) or await self._ask_seeds(group)
            await self._wait(self._limits.pace_s if started else self._limits.idle_s, freed=not started)

    def _next(self) -> Dial | None:
        if self._is_alone() and self._unanswered >= self._limits.seed_after and self._seeds_are_due():
            return None
        return self._choice.next(self._avoid, self._saved)

    def _start(self, group: asyncio.TaskGroup, attempt: Dial | None) -> bool:
        if attempt is not None:
            group.create_task(self._hold(attempt))
        return attempt is not None

    async def _hold(self, attempt: Dial) -> None:
        """Dials once; the place is free when the session has ended."""
        try:
            error = await self._dial(attempt)
            if isinstance(error, SelfConnection):
                self._choice.is_this_node(attempt.address)
            self._unanswered += not attempt.answered
        finally:
            self._choice.held.discard(attempt)
            self._freed.set()

    async def _ask_seeds(self, group: asyncio.TaskGroup) -> bool:
        """Dials every seed that has not been dialled lately, unless there is a session; whether it did."""
        if not self._is_alone() or not self._seeds_are_due():
            return False
        self._seeds_s = self._clock.monotonic()
        self._unanswered = 0
        found = [address for seed in self._limits.seeds for address in await self._resolve(seed)]
        self._rng.shuffle(found)
        for address in found:
            self._book.add(address, address.host, self._book.now_s())
        free = self._limits.places - len(self._choice.held) - self._named()
        for address in [address for address in found if not self._avoid(address)][: max(0, free)]:
            attempt = Dial(address, PeerOrigin.SEED)
            self._choice.held.add(attempt)
            self._start(group, attempt)
        return bool(found)

    def _is_alone(self) -> bool:
        """Whether this node has no outbound session."""
        return self._named() == 0 and all(attempt.session is None for attempt in self._choice.held)

    def _seeds_are_due(self) -> bool:
        if not self._limits.seeds:
            return False
        return self._seeds_s is None or self._clock.monotonic() - self._seeds_s >= self._limits.seed_every_s

    async def _feel(self) -> None:
        """From time to time dials an address only to learn whether it answers."""
        while True:
            await self._clock.sleep(self._limits.feeler_s * self._rng.uniform(0.5, 1.5))
            if self._is_alone():
                continue  # a dial would tell nothing: this node's own network may be down
            own = self._addresses.own.to_dial()
            address = own or self._book.feeler(lambda address: not self._avoid(address))
            if address is not None:
                attempt = Dial(address, PeerOrigin.FEELER)
                if isinstance(await self._dial(attempt), SelfConnection):
                    self._choice.is_this_node(address)
                    self._addresses.led_back(address)

    async def _wait(self, seconds: float, *, freed: bool) -> None:
        """Returns after so many seconds, with `freed` also once a place is free."""
        if not freed:
            await self._clock.sleep(seconds)
            return
        self._freed.clear()
        with suppress(TimeoutError):
            async with Deadline(self._clock, seconds):
                await self._freed.wait()
