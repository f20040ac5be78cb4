"""Decides with which peers this node speaks: dials, accepts, refuses, ends and lists sessions.

All tasks of p2p run inside `run`. When it is cancelled, every peer is told and every link is closed.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Final, Generic

from engram.p2p.addressbook import AddressBook
from engram.p2p.addresses import AddressGossip, OwnAddress
from engram.p2p.clock import Deadline, WallClock
from engram.p2p.dialling import Dial, Dialler, for_dial
from engram.p2p.errors import (
    DisconnectReason,
    DuplicatePeer,
    PeerTimeout,
    SessionEnded,
    reason_of,
)
from engram.p2p.eviction import to_cut
from engram.p2p.gossip import Gossip, GossipLimits
from engram.p2p.handshake import PeerIdentity, Role, own_hello, part, shake_hands
from engram.p2p.limits import SessionLimits
from engram.p2p.link import Link, Listener, PeerAddress, Transport
from engram.p2p.messages import PROTOCOL_VERSION, Hello
from engram.p2p.outbound import Outbound, OutboundLimits, Resolve
from engram.p2p.places import InboundPlaces, PlaceLimits
from engram.p2p.protocol import ChainProtocol, PeerInfo, PeerOrigin
from engram.p2p.relayed import B
from engram.p2p.scores import PeerPolicy
from engram.p2p.seeds import addresses_of
from engram.p2p.session import Session
from engram.p2p.targets import RedialLimits, TargetInfo, Targets
from engram.p2p.traffic import Traffic
from engram.primitives.errors import ChainError, Invalid, NotReady
from engram.primitives.keys import PrivateKey

BEGINNING_AT_ONCE: Final = 16
"""So many connections beyond the places may be in their handshake; for further ones the oldest is cut."""


@dataclass(frozen=True)
class PeerConfig:
    """Where to listen, whom to dial, and every limit of p2p."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 chooses a free port."""
    peers: tuple[PeerAddress, ...] = ()
    """Addresses that are dialled again and again, so that there is always a session."""
    version: int = PROTOCOL_VERSION
    """The newest version to speak. With an older one, a node is to its peers what it was before."""
    inbound: PlaceLimits = field(default_factory=PlaceLimits)
    own_address: PeerAddress | None = None
    """Where others reach this node, an IP address and a port; None if they have to tell."""
    asks_for_addresses: bool = True
    dial_s: float = 5.0
    """Seconds in which a connection must be made."""
    redial: RedialLimits = field(default_factory=RedialLimits)
    outbound: OutboundLimits = field(default_factory=OutboundLimits)
    session: SessionLimits = field(default_factory=SessionLimits)
    gossip: GossipLimits = field(default_factory=GossipLimits)


class PeerManager(Generic[B]):
    """Every session of this node, at most one with each peer."""

    def __init__(
        self,
        config: PeerConfig,
        chain: ChainProtocol[B],
        transport: Transport,
        key: PrivateKey,
        *,
        clock: WallClock,
        rng: random.Random,
        policy: PeerPolicy,
        book: AddressBook,
        resolve: Resolve = addresses_of,
    ) -> None:
        """`rng` also draws the nonces of handshakes, so outside of tests pass `random.SystemRandom()`."""
        self.book = book
        self._own = OwnAddress(config.own_address, config.host)
        addresses = AddressGossip(book, self._own, clock, rng, asks=config.asks_for_addresses)
        self.gossip = Gossip(chain, clock, config.gossip, addresses)
        self.ready = asyncio.Event()
        """Set once the node listens on `port` and the first dials have begun."""
        self.port = 0
        self.traffic = Traffic()
        """Of all sessions so far."""
        self._config = config
        self._chain = chain
        self._transport = transport
        self._key = key
        self._clock = clock
        self._rng = rng
        self._policy = policy
        self._sessions: dict[bytes, Session] = {}
        self._dialler = Dialler(transport, book, policy, clock, config.dial_s, self._converse)
        self._targets = Targets(config.redial, config.peers, self._dialler, self._sessions.get, clock, rng)
        self._outbound = Outbound(
            config.outbound,
            book,
            self._dialler.dial,
            self._targets.sessions,
            self._needs_no_dial,
            resolve,
            addresses,
            clock,
            rng,
        )
        self._inbound = 0
        self._places = InboundPlaces(config.inbound, clock)
        self._shaking: dict[Link, None] = {}
        """Inbound links that have not proved a key yet, oldest first."""

    async def run(self) -> None:
        """Runs until it is cancelled. Raises `ListenFailed`, and errors that no peer has caused."""
        host, port = self._config.host, self._config.port
        async with self._transport, self._transport.listen(host, port) as listener:
            self.port = self._own.port = listener.port
            async with asyncio.TaskGroup() as group:
                group.create_task(self._accept(listener, group))
                self._targets.start(group)
                group.create_task(self._outbound.run())
                self.ready.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    self._targets.stop()

    def peers(self) -> list[PeerInfo]:
        """The open sessions, oldest first."""
        return [session.info for session in self._sessions.values()]

    def targets(self) -> list[TargetInfo]:
        """The addresses that the operator has named, each with the result so far."""
        return self._targets.list()

    @property
    def addresses_to_dial(self) -> int:
        """How many addresses there are to dial: named ones, seeds, and those that were heard of."""
        known = len(self.book) + len(self._config.outbound.seeds) if self._config.outbound.places else 0
        return len(self._targets.list()) + known

    def add_peer(self, address: PeerAddress) -> None:
        """Dials this address from now on, again and again, so that there is always a session."""
        self._targets.add(address)

    def remove_peer(self, address: PeerAddress) -> bool:
        """Stops dialling this address and ends the session with it. False if it was not being dialled."""
        return self._targets.remove(address)

    def disconnect(self, node_key: bytes) -> bool:
        """Ends the session with this peer; False if there is none. A target is dialled again."""
        session = self._sessions.get(node_key)
        if session is not None:
            session.disconnect()
        return session is not None

    async def _accept(self, listener: Listener, group: asyncio.TaskGroup) -> None:
        async for link in listener.links():
            full = self._inbound >= self._config.inbound.sessions + BEGINNING_AT_ONCE
            if full and not self._cut_a_silent_one():
                link.abort()
            else:
                self._inbound += 1
                group.create_task(self._receive(link))

    async def _receive(self, link: Link) -> None:
        try:
            await self._converse(link, None)
        finally:
            self._inbound -= 1

    def _needs_no_dial(self, address: PeerAddress) -> bool:
        """Whether the address is refused, named, this node's own, or one that a session was made to."""
        if address in self._own.known or self._targets.names(address):
            return True
        if self._policy.refusal(address.host, None) is not None:
            return True
        return any(
            (session.remote_host, session.info.address.port) == (address.host, address.port)
            for session in self._sessions.values()
            if not session.inbound
        )

    async def _converse(self, link: Link, attempt: Dial | None) -> ChainError:
        """Runs one link from handshake to end; returns why it ended. An inbound one has no attempt."""
        error: ChainError | None = None
        node_key: bytes | None = None
        try:
            own, identity = await self._shake(link, attempt)
            if attempt is None:
                node_key = identity.node_key  # whoever is refused by the key has come by itself
            session = self._open(link, attempt, own, identity)
            node_key = session.node_key
            if session.origin is PeerOrigin.FEELER:
                error = SessionEnded(DisconnectReason.REQUESTED)
            else:
                error = await self._hold(session)
        except (Invalid, NotReady) as refused:
            error = refused
        finally:
            if error is not None:
                self._policy.report(link.remote_host, node_key, error)
            await part(link, error, self._clock, self._config.session.close_s)
        return error

    async def _shake(self, link: Link, attempt: Dial | None) -> tuple[Hello, PeerIdentity]:
        """The handshake: what this node has said of itself, and who the peer is. Raises if its host is
        refused.
        """
        role = Role.DIALER if attempt is not None else Role.ACCEPTOR
        host = link.remote_host
        if attempt is not None:
            attempt.host, attempt.node_key = host, None
        self._check_allowed(host, None, attempt)
        if role is Role.ACCEPTOR:
            self._places.check(host, self._standing())
        chain, version = self._chain, self._config.version
        own = own_hello(chain.identity, chain.head, self._key.public_key, self._rng, version)
        expected_key = attempt.address.node_key if attempt is not None else None
        try:
            async with Deadline(self._clock, self._config.session.handshake_s):
                if role is Role.ACCEPTOR:
                    self._shaking[link] = None
                return own, await shake_hands(link, role, own, self._key, expected_key)
        except TimeoutError:
            raise PeerTimeout("no handshake in time", expected=self._config.session.handshake_s) from None
        finally:
            self._shaking.pop(link, None)

    def _open(self, link: Link, attempt: Dial | None, own: Hello, identity: PeerIdentity) -> Session:
        """Makes a session after the handshake; raises if this node does not want to speak with the peer."""
        session = Session(
            link,
            identity,
            own.head,
            origin=attempt.origin if attempt is not None else PeerOrigin.INBOUND,
            handler=self.gossip,
            clock=self._clock,
            limits=self._config.session,
            traffic=self.traffic,
        )
        if attempt is not None:
            attempt.node_key = identity.node_key
        self._check_allowed(link.remote_host, identity.node_key, attempt)
        if attempt is not None:
            self._dialler.met(attempt, session)
        return session

    def _check_allowed(self, host: str, node_key: bytes | None, attempt: Dial | None) -> None:
        """Raises `PeerRefused`, `PeerBanned`."""
        refusal = for_dial(self._policy.refusal(host, node_key), attempt)
        if refusal is not None:
            raise refusal.error

    async def _hold(self, session: Session) -> ChainError:
        """Registers the session and runs it; returns why it ended. Raises `DuplicatePeer`."""
        try:
            await self._take_place(session)
            if not session.inbound:
                self._outbound.answered()
            return await self._run(session)
        finally:
            if self._sessions.get(session.node_key) is session:
                del self._sessions[session.node_key]
            session.closed.set()

    async def _take_place(self, session: Session) -> None:
        """Registers the session, unless another one with the same peer stays. Raises `DuplicatePeer`.

        The session is registered before anything is awaited, so that no third one can come in between.
        """
        other = self._sessions.get(session.node_key)
        if other is None and session.inbound:
            other = self._places.make(session.remote_host, self._standing())
        elif other is not None and not _replaces(session, other):
            raise DuplicatePeer
        self._sessions[session.node_key] = session
        if other is not None:
            same = other.node_key == session.node_key
            other.disconnect(DisconnectReason.DUPLICATE if same else DisconnectReason.TOO_MANY_PEERS)
            await other.closed.wait()

    def _standing(self) -> list[Session]:
        """The inbound sessions that go on."""
        return [each for each in self._sessions.values() if each.inbound and not each.ending]

    def _cut_a_silent_one(self) -> bool:
        """Cuts the connection in its handshake that goes first; False if there is none."""
        link = to_cut(self._shaking)
        if link is not None:
            del self._shaking[link]
            link.abort()
        return link is not None

    async def _run(self, session: Session) -> ChainError:
        error: ChainError | None = None
        self._chain.on_peer_connected(session)
        try:
            with self.gossip.joined(session):
                error = await session.run(self.gossip.follow)
        finally:
            self._chain.on_peer_disconnected(session, reason_of(error))
        return error


def _replaces(new: Session, old: Session) -> bool:
    """Whether `new` takes the place of `old`, a session with the same peer.

    If two nodes dial each other at the same time, both must keep the same session: the one that was dialled
    by the node with the lower key. Of two sessions with the same dialler the newer stays, because the dialler
    would not have dialled again if the older one still worked.
    """
    return new.identity.dialer_key <= old.identity.dialer_key
