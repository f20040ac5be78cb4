"""Decides with which peers this node speaks: dials, accepts, refuses, ends and lists sessions.

All tasks of p2p run inside `run`. When it is cancelled, every peer is told and every link is closed.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Final, Generic

from engram.p2p.clock import Deadline, WallClock
from engram.p2p.errors import (
    DialFailed,
    DisconnectReason,
    DuplicatePeer,
    PeerRefused,
    PeerTimeout,
    SelfConnection,
    TooManyPeers,
    reason_of,
)
from engram.p2p.eviction import SessionMerits, to_cut, to_evict
from engram.p2p.gossip import Gossip, GossipLimits
from engram.p2p.handshake import Role, own_hello, part, shake_hands
from engram.p2p.limits import SessionLimits
from engram.p2p.link import Link, Listener, PeerAddress, Transport
from engram.p2p.messages import PROTOCOL_VERSION
from engram.p2p.protocol import B, ChainProtocol, PeerInfo
from engram.p2p.scores import PeerPolicy
from engram.p2p.session import Session
from engram.primitives.errors import ChainError, Invalid, NotReady
from engram.primitives.keys import PrivateKey

BEGINNING_AT_ONCE: Final = 16
"""So many connections beyond `max_inbound` may be in their handshake; for further ones the oldest is cut."""


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
    max_inbound: int = 32
    dial_s: float = 5.0
    """Seconds in which a connection must be made."""
    first_retry_s: float = 0.5
    """Seconds to wait after the first failure; doubled with each further one, up to `last_retry_s`."""
    last_retry_s: float = 30.0
    steady_s: float = 30.0
    """After a session that lasted so many seconds, the next wait is the shortest again."""
    session: SessionLimits = field(default_factory=SessionLimits)
    gossip: GossipLimits = field(default_factory=GossipLimits)


@dataclass(frozen=True)
class TargetInfo:
    """The facts about an address that is dialled, for lists."""

    address: PeerAddress
    node_key: bytes | None
    """The peer, if there is a session with it, no matter who dialled; otherwise None."""
    error: ChainError | None
    """Why the last session or dial ended; None before the first one has ended."""
    retry_s: float | None
    """Seconds until it is dialled again; None while it is being dialled or a session is open."""


class _Target:
    """An address that is dialled again and again, and the result of the last attempt."""

    def __init__(self, address: PeerAddress) -> None:
        self.address = address
        self.task: asyncio.Task[None] | None = None
        self.node_key: bytes | None = None
        """The key of the node that answered there last."""
        self.session: Session | None = None
        self.error: ChainError | None = None
        self.retry_at_s: float | None = None
        """Time of the next attempt by the manager's clock; None while none is planned."""


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
    ) -> None:
        """`rng` also draws the nonces of handshakes, so outside of tests pass `random.SystemRandom()`."""
        self.gossip = Gossip(chain, clock, config.gossip)
        self.ready = asyncio.Event()
        """Set once the node listens on `port` and the first dials have begun."""
        self.port = 0
        self._config = config
        self._chain = chain
        self._transport = transport
        self._key = key
        self._clock = clock
        self._rng = rng
        self._policy = policy
        self._sessions: dict[bytes, Session] = {}
        self._targets = {address: _Target(address) for address in config.peers}
        self._inbound = 0
        self._shaking: dict[Link, None] = {}
        """Inbound links that have not proved a key yet, oldest first."""
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Runs until it is cancelled. Raises `ListenFailed`, and errors that no peer has caused."""
        host, port = self._config.host, self._config.port
        async with self._transport, self._transport.listen(host, port) as listener:
            self.port = listener.port
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self._accept(listener, self._group))
                for target in self._targets.values():
                    target.task = self._group.create_task(self._keep(target))
                self.ready.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    self._group = None  # a task started while the group ends would not be cancelled with it

    def peers(self) -> list[PeerInfo]:
        """The open sessions, oldest first."""
        return [session.info for session in self._sessions.values()]

    def targets(self) -> list[TargetInfo]:
        """The addresses that are dialled, each with the result so far."""
        now_s = self._clock.monotonic()
        return [
            TargetInfo(
                target.address,
                target.node_key if target.node_key in self._sessions else None,
                target.error,
                None if target.retry_at_s is None else max(0.0, target.retry_at_s - now_s),
            )
            for target in self._targets.values()
        ]

    def add_peer(self, address: PeerAddress) -> None:
        """Dials this address from now on, again and again, so that there is always a session."""
        if address in self._targets:
            return
        self._targets[address] = target = _Target(address)
        if self._group is not None:
            target.task = self._group.create_task(self._keep(target))

    def remove_peer(self, address: PeerAddress) -> bool:
        """Stops dialling this address and ends the session with it. False if it was not being dialled."""
        target = self._targets.pop(address, None)
        if target is None:
            return False
        if target.session is not None:
            target.session.disconnect()
        elif target.task is not None:
            target.task.cancel()
        return True

    def disconnect(self, node_key: bytes) -> bool:
        """Ends the session with this peer; False if there is none. A target is dialled again."""
        session = self._sessions.get(node_key)
        if session is not None:
            session.disconnect()
        return session is not None

    async def _accept(self, listener: Listener, group: asyncio.TaskGroup) -> None:
        async for link in listener.links():
            full = self._inbound >= self._config.max_inbound + BEGINNING_AT_ONCE
            if full and not self._cut_a_silent_one():
                link.abort()
            else:
                self._inbound += 1
                group.create_task(self._receive(link))

    async def _receive(self, link: Link) -> None:
        try:
            await self._converse(link, Role.ACCEPTOR, None)
        finally:
            self._inbound -= 1

    async def _keep(self, target: _Target) -> None:
        """Dials again and again, until the target is removed or turns out to be this node itself."""
        failures = 0
        while self._targets.get(target.address) is target:
            started_s = self._clock.monotonic()
            error = target.error = await self._dial(target)
            if isinstance(error, SelfConnection):
                self._targets.pop(target.address, None)
            if reason_of(error) is DisconnectReason.DUPLICATE:
                await self._until_gone(target.node_key)
            steady = self._clock.monotonic() - started_s >= self._config.steady_s
            failures = 0 if steady else failures + 1
            if self._targets.get(target.address) is target:
                wait_s = self._retry_s(failures)
                target.retry_at_s = self._clock.monotonic() + wait_s
                await self._clock.sleep(wait_s)
                target.retry_at_s = None

    def _retry_s(self, failures: int) -> float:
        """Seconds to wait: they double with each failure.

        A random part, up to a half, is left out, so that two nodes do not go on dialling each other in step.
        """
        longest = min(self._config.last_retry_s, self._config.first_retry_s * 2.0 ** min(failures, 32))
        return longest * self._rng.uniform(0.5, 1.0)

    async def _until_gone(self, node_key: bytes | None) -> None:
        """Returns once no session with this peer is left."""
        while node_key is not None and (session := self._sessions.get(node_key)) is not None:
            await session.closed.wait()

    async def _dial(self, target: _Target) -> ChainError:
        try:
            link = await self._connect(target.address)
        except DialFailed as error:
            self._policy.not_reached(target.address, error)
            return error
        try:
            return await self._converse(link, Role.DIALER, target)
        finally:
            target.session = None

    async def _connect(self, address: PeerAddress) -> Link:
        try:
            async with Deadline(self._clock, self._config.dial_s):
                return await self._transport.dial(address)
        except TimeoutError:
            raise DialFailed(f"no connection to {address} in {self._config.dial_s:g} s") from None

    async def _converse(self, link: Link, role: Role, target: _Target | None) -> ChainError:
        """Runs one link from handshake to end; returns why it ended."""
        error: ChainError | None = None
        node_key: bytes | None = None
        try:
            session = await self._open(link, role, target)
            node_key = session.node_key
            error = await self._hold(session)
        except (Invalid, NotReady) as refused:
            error = refused
        finally:
            if error is not None:
                self._policy.report(link.remote.host, node_key, error)
            await part(link, error, self._clock, self._config.session.close_s)
        return error

    async def _open(self, link: Link, role: Role, target: _Target | None) -> Session:
        """Makes a session by the handshake; raises if this node does not want to speak with the peer."""
        host = link.remote.host
        if not self._policy.allows(host, None):
            raise PeerRefused
        if role is Role.ACCEPTOR and self._is_full() and self._to_evict() is None:
            raise TooManyPeers(expected=self._config.max_inbound)
        chain, version = self._chain, self._config.version
        own = own_hello(chain.identity, chain.head, self._key.public_key, self._rng, version)
        expected_key = target.address.node_key if target is not None else None
        try:
            async with Deadline(self._clock, self._config.session.handshake_s):
                if role is Role.ACCEPTOR:
                    self._shaking[link] = None
                identity = await shake_hands(link, role, own, self._key, expected_key)
        except TimeoutError:
            raise PeerTimeout("no handshake in time", expected=self._config.session.handshake_s) from None
        finally:
            self._shaking.pop(link, None)
        session = Session(
            link,
            identity,
            own.head,
            inbound=role is Role.ACCEPTOR,
            handler=self.gossip,
            clock=self._clock,
            limits=self._config.session,
        )
        if target is not None:
            target.node_key = identity.node_key
            target.session = session
        if not self._policy.allows(host, identity.node_key):
            raise PeerRefused
        return session

    async def _hold(self, session: Session) -> ChainError:
        """Registers the session and runs it; returns why it ended. Raises `DuplicatePeer`."""
        try:
            await self._take_place(session)
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
            other = self._make_place(session)
        elif other is not None and not _replaces(session, other):
            raise DuplicatePeer
        self._sessions[session.node_key] = session
        if other is not None:
            same = other.node_key == session.node_key
            other.disconnect(DisconnectReason.DUPLICATE if same else DisconnectReason.TOO_MANY_PEERS)
            await other.closed.wait()

    def _make_place(self, session: Session) -> Session | None:
        """The session that has to end for a new inbound one; None if there is room. Raises `TooManyPeers`."""
        if not self._is_full():
            return None
        out = self._to_evict()
        if out is None:
            raise TooManyPeers(expected=self._config.max_inbound)
        return self._sessions[out.node_key]

    def _to_evict(self) -> SessionMerits | None:
        """The inbound session that could end for another."""
        return to_evict([each.merits for each in self._standing()])

    def _is_full(self) -> bool:
        return len(self._standing()) >= self._config.max_inbound

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
