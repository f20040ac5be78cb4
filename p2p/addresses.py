"""Nodes tell each other where nodes are: questions, answers, news, and what is believed of them.

Hearsay costs nothing, so it is taken at a bounded rate from each session, stands in the book among the new
addresses only, and is never asked of those who dialled this node. An address is told to peers of its own
scope only: a loopback or private address means nothing elsewhere, and betrays what stands there.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final

from engram.p2p.addressbook import DAY_S, AddressBook
from engram.p2p.addressmessages import (
    MAX_ADDRESSES,
    MAX_ANNOUNCED_ADDRESSES,
    MAX_HOURS,
    Addresses,
    AnnounceAddresses,
    GetAddresses,
    NodeAddress,
)
from engram.p2p.clock import MonotonicClock
from engram.p2p.errors import PeerTimeout
from engram.p2p.limits import TokenBucket
from engram.p2p.link import PeerAddress
from engram.p2p.messages import (
    ADDRESS_VERSION,
)
from engram.p2p.netgroup import Scope, group_of, packed_host, plain_host, scope_of, unpacked_host
from engram.p2p.session import Session

TAKEN_PER_S: Final = 0.1
"""Addresses that are taken unasked from one session in the long run."""
TAKEN_BURST: Final = 30
TAKEN_AT_ONCE: Final = 50
"""So many addresses of an answer are put into the book in one step of the loop; a thousand take 0.1 s."""
PASSED_ON: Final = 2
"""To so many sessions an address that is new to the book is passed on."""
KNOWN: Final = 2_048
"""So many addresses are remembered as known to one peer."""
WAITING: Final = 256
"""So many addresses wait to be announced to one peer; further ones are dropped."""
LOWEST_PORT: Final = 1_024
"""Lower ports belong to services of other kinds, which nobody may be made to dial by hearsay."""
ANSWER_S: Final = 3_600.0
"""For so long everybody is given the same answer, so that the book cannot be read out by asking often."""
EMPTY_ANSWER_S: Final = 60.0
"""For so long, if it is empty; to draw it means to look at the whole book."""
AGREEING: Final = 2
"""If so many network groups of dialled peers, and more than half, see this node at one host, it dials that;
it is this node's own if the dial leads back.
"""
AGREEING_UNPROVED: Final = 4
"""If so many agree, that is enough: many routers lead no dial back into their own network."""
OWN_DIALS: Final = 3
"""So often one host that peers agree on is dialled."""
MAX_CLAIMS: Final = 32
"""What so many network groups said last is remembered."""
_HOUR_S: Final = 3_600


class _Talk:
    """What is remembered of one session."""

    def __init__(self, scope: Scope | None, clock: MonotonicClock) -> None:
        self.scope = scope
        self.answered = False
        self.taken = TokenBucket(TAKEN_PER_S, TAKEN_BURST, clock)
        self.known: OrderedDict[PeerAddress, None] = OrderedDict()
        self.waiting: dict[PeerAddress, NodeAddress] = {}
        self.has_news = asyncio.Event()

    def knows(self, address: PeerAddress) -> None:
        """The peer knows this address now."""
        self.known[address] = None
        if len(self.known) > KNOWN:
            self.known.popitem(last=False)

    def tell(self, address: PeerAddress, hours: int) -> None:
        """Queues an address unless the peer knows it."""
        if address not in self.known and len(self.waiting) < WAITING:
            self.knows(address)
            self.waiting[address] = _on_wire(address, hours)
            self.has_news.set()

    def take(self) -> AnnounceAddresses:
        """The next announcement; what does not fit stays queued."""
        now = list(islice(self.waiting, MAX_ANNOUNCED_ADDRESSES))
        news = AnnounceAddresses(tuple(self.waiting.pop(address) for address in now))
        if not self.waiting:
            self.has_news.clear()
        return news


class OwnAddress:
    """Where this node can be reached: what the operator says, or else what peers agree on."""

    def __init__(self, named: PeerAddress | None, listens_at: str) -> None:
        """`named` is what the operator has set; `listens_at` the host at which this node listens."""
        self.port = 0
        """Set once the node listens."""
        self._named = named
        self._listens_at = listens_at
        self._claims: OrderedDict[str, str] = OrderedDict()
        """What each network group said last, of each version of IP."""
        self._dials: OrderedDict[PeerAddress, int] = OrderedDict()
        self._led_back: set[PeerAddress] = set()
        """Of those that were dialled."""

    @property
    def known(self) -> tuple[PeerAddress, ...]:
        """The addresses to tell others."""
        if self._named is not None:
            return (self._named,)
        return tuple(
            address
            for address, agreeing in self._agreed().items()
            if agreeing >= AGREEING_UNPROVED or address in self._led_back
        )

    def to_dial(self) -> PeerAddress | None:
        """An address that is probably this node's, and that a dial has to prove; counts the dial."""
        if self._named is not None:
            return None
        for address in self._agreed():
            dials = self._dials.get(address, 0)
            if address not in self._led_back and dials < OWN_DIALS:
                self._dials[address] = dials + 1
                if len(self._dials) > MAX_CLAIMS:
                    forgotten, _ = self._dials.popitem(last=False)
                    self._led_back.discard(forgotten)
                return address
        return None

    def led_back(self, address: PeerAddress) -> None:
        """A dial of an address from `to_dial` has led to this node itself."""
        if address in self._dials:
            self._led_back.add(address)

    def _agreed(self) -> dict[PeerAddress, int]:
        """Where enough peers see this node, and how many network groups do."""
        if self.port == 0 or scope_of(self._listens_at) is not None:  # it listens at this host only
            return {}
        votes = (Counter(self._claims_of(version)) for version in ("4", "6"))
        return {
            PeerAddress(host, self.port): agreeing
            for heard in votes
            for host, agreeing in heard.items()
            if agreeing >= AGREEING and 2 * agreeing > heard.total()
        }

    def seen_as(self, host: str, by: str) -> None:
        """A peer at `by`, which this node has dialled, sees this node as `host`."""
        if scope_of(host) is not Scope.PUBLIC or scope_of(by) is not Scope.PUBLIC:
            return
        key = f"{_version(host)} {group_of(by)}"
        self._claims.pop(key, None)
        self._claims[key] = host
        if len(self._claims) > MAX_CLAIMS:
            self._claims.popitem(last=False)

    def _claims_of(self, version: str) -> list[str]:
        return [host for host in self._claims.values() if _version(host) == version]


class AddressGossip:
    """The exchange of addresses with all sessions."""

    def __init__(
        self,
        book: AddressBook,
        own: OwnAddress,
        clock: MonotonicClock,
        rng: random.Random,
        *,
        asks: bool,
    ) -> None:
        """Without `asks`, no peer is asked for addresses."""
        self.book = book
        self.own = own
        self._clock = clock
        self._rng = rng
        self._asks = asks
        self._talks: dict[Session, _Talk] = {}
        self._answers: dict[Scope, tuple[float, int, tuple[NodeAddress, ...]]] = {}
        """By scope: when the answer was drawn, how large the book was then, and the answer."""

    @contextmanager
    def joined(self, session: Session) -> Iterator[None]:
        """The session takes part inside `with`."""
        self._talks[session] = _Talk(scope_of(session.remote_host), self._clock)
        try:
            yield
        finally:
            del self._talks[session]

    async def follow(self, session: Session) -> None:
        """Asks one peer, and tells it news, until it is cancelled. A peer of an old version hears nothing."""
        talk = self._talks[session]
        if session.identity.version < ADDRESS_VERSION or talk.scope is None:
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._announce(session, talk))
            group.create_task(self._introduce(talk))
            if self._asks and not session.inbound:
                group.create_task(self._ask(session, talk))

    def answer(self, session: Session, request: GetAddresses) -> Addresses:
        """The answer to one request; all but the first of a session are empty."""
        talk = self._talks[session]
        asker = packed_host(session.remote_host)
        if talk.answered or talk.scope is None:
            return Addresses(request.request, asker, ())
        talk.answered = True
        told = self._drawn(talk.scope)
        for each in told:
            talk.knows(_off_wire(each))
        return Addresses(request.request, asker, told)

    def announced(self, session: Session, news: AnnounceAddresses) -> None:
        """The peer has told addresses unasked. What is new is passed on to a few others."""
        talk = self._talks[session]
        for address, hours in self._take(session, talk, news.addresses, limited=True):
            others = [
                other
                for other, each in self._talks.items()
                if each is not talk
                and each.scope is talk.scope
                and other.identity.version >= ADDRESS_VERSION
                and address not in each.known
            ]
            for other in self._rng.sample(others, min(PASSED_ON, len(others))):
                self._talks[other].tell(address, hours)

    def _take(
        self, session: Session, talk: _Talk, told: Iterable[NodeAddress], *, limited: bool
    ) -> list[tuple[PeerAddress, int]]:
        """Puts into the book what may be believed; returns what it did not have."""
        fresh, own = [], self.own.known
        for each in told:
            address = _off_wire(each)
            talk.knows(address)
            if talk.scope is None or scope_of(address.host) is not talk.scope:
                continue
            if address.port < LOWEST_PORT or address in own:
                continue
            if limited and not talk.taken.spend():
                break
            if self.book.add(address, session.remote_host, self.book.now_s() - each.hours * _HOUR_S):
                fresh.append((address, each.hours))
        return fresh

    def led_back(self, address: PeerAddress) -> None:
        """A dial of an address that peers say is this node's has led back to it."""
        with self._telling_own():
            self.own.led_back(address)

    @contextmanager
    def _telling_own(self) -> Iterator[None]:
        """If something inside `with` shows where this node is, everybody is told at once."""
        before = self.own.known
        yield
        if self.own.known != before:
            for talk in self._talks.values():
                self._tell_own(talk)

    def _tell_own(self, talk: _Talk) -> None:
        for address in self.own.known:
            if scope_of(address.host) is talk.scope:
                talk.known.pop(address, None)
                talk.tell(address, 0)

    async def _announce(self, session: Session, talk: _Talk) -> None:
        while True:
            await talk.has_news.wait()
            await session.announce(talk.take())

    async def _introduce(self, talk: _Talk) -> None:
        """Tells the peer where this node is, and again about once a day: others forget."""
        while True:
            self._tell_own(talk)
            await self._clock.sleep(DAY_S * self._rng.uniform(0.5, 1.0))

    async def _ask(self, session: Session, talk: _Talk) -> None:
        try:
            answer = await session.get_addresses()
        except PeerTimeout:
            return
        if answer.asker is not None:
            with self._telling_own():
                self.own.seen_as(unpacked_host(answer.asker), session.remote_host)
        for start in range(0, len(answer.addresses), TAKEN_AT_ONCE):
            told = answer.addresses[start : start + TAKEN_AT_ONCE]
            self._take(session, talk, told, limited=False)
            await asyncio.sleep(0)

    def _drawn(self, scope: Scope) -> tuple[NodeAddress, ...]:
        """The answer of this hour for askers of one scope; sooner another one if the book has doubled."""
        drawn_s, size, told = self._answers.get(scope, (-ANSWER_S, 0, ()))
        now_s = self._clock.monotonic()
        if now_s - drawn_s >= (ANSWER_S if told else EMPTY_ANSWER_S) or len(self.book) >= max(1, 2 * size):
            wall_s = self.book.now_s()
            told = tuple(
                _on_wire(entry.address, (wall_s - entry.seen_s) // _HOUR_S)
                for entry in self.book.sample(scope, MAX_ADDRESSES)
            )
            self._answers[scope] = (now_s, len(self.book), told)
        return told


def _version(host: str) -> str:
    """The version of IP of a host."""
    return "6" if ":" in host else "4"


def _on_wire(address: PeerAddress, hours: int) -> NodeAddress:
    host = packed_host(address.host)
    assert host is not None, "the book and the own address hold IP addresses only"
    return NodeAddress(host, address.port, min(max(hours, 0), MAX_HOURS))


def _off_wire(told: NodeAddress) -> PeerAddress:
    return PeerAddress(plain_host(unpacked_host(told.host)), told.port)
