"""Links inside one process, on a clock that the caller passes in; frames can be delayed, slowed and lost.

It lets tests run many nodes in one event loop, and nothing depends on the speed of the machine. Links over
sockets are in `transport`.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final, Self

from engram.p2p.clock import MonotonicClock
from engram.p2p.errors import DialFailed, FrameTooLarge, LinkClosed, ListenFailed
from engram.p2p.link import Link, Listener, PeerAddress
from engram.p2p.messages import HANDSHAKE_FRAME_BYTES, MAX_FRAME_BYTES

PIPE_BYTES: Final = 256 * 1024
"""If more bytes than this are under way in one direction, a sender waits; a larger frame travels alone."""
ACCEPT_QUEUE: Final = 64
"""How many inbound links may wait until they are accepted; further dials fail."""
_FIRST_FREE_PORT: Final = 40_000


class MemoryNetwork:
    """The hosts of a process and the faults between them."""

    def __init__(self, clock: MonotonicClock, rng: random.Random) -> None:
        self.clock = clock
        self._rng = rng
        self._listeners: dict[tuple[str, int], MemoryListener] = {}
        self._links: dict[MemoryLink, None] = {}
        self._group: dict[str, int] = {}
        self._delay_s: dict[tuple[str, str], float] = {}
        self._loss: dict[tuple[str, str], float] = {}
        self._speed: dict[tuple[str, str], float] = {}
        self._next_port = _FIRST_FREE_PORT

    def transport(self, host: str) -> MemoryTransport:
        """The transport of one host. Any name will do; hosts are not registered."""
        return MemoryTransport(self, host)

    def partition(self, *groups: Collection[str]) -> None:
        """Splits the network until `heal`: links between groups break, and no new ones can be made.

        The hosts that are in no group form one group together.
        """
        self._group = {host: number for number, group in enumerate(groups) for host in group}
        for link in [link for link in self._links if not self.connects(link.host, link.remote.host)]:
            link.abort()

    def heal(self) -> None:
        """Ends partition, delays, limits of speed and losses."""
        self._group.clear()
        self._delay_s.clear()
        self._speed.clear()
        self._loss.clear()

    def delay(self, source: str, target: str, seconds: float) -> None:
        """Frames from `source` reach `target` this much later."""
        self._delay_s[source, target] = seconds

    def throttle(self, source: str, target: str, bytes_per_s: float) -> None:
        """Each link from `source` to `target` carries so many bytes a second, one frame after the other."""
        self._speed[source, target] = bytes_per_s

    def lose(self, source: str, target: str, share: float = 1.0) -> None:
        """This share of the frames from `source` never reaches `target`; 1.0 makes `source` silent.

        Closing a link counts as a frame, so if a silent host closes a link, the other side does not learn of
        it.
        """
        self._loss[source, target] = share

    def connects(self, source: str, target: str) -> bool:
        """Whether the two hosts are on the same side of the partition."""
        return self._group.get(source) == self._group.get(target)

    def latency_s(self, source: str, target: str) -> float:
        """Seconds that a frame takes from `source` to `target`."""
        return self._delay_s.get((source, target), 0.0)

    def carrying_s(self, source: str, target: str, size_bytes: int) -> float:
        """Seconds for which so many bytes occupy a link from `source` to `target`."""
        speed = self._speed.get((source, target))
        return size_bytes / speed if speed is not None else 0.0

    def loses_frame(self, source: str, target: str) -> bool:
        """Whether the next frame is lost; drawn at random by the share that `lose` set."""
        share = self._loss.get((source, target), 0.0)
        return share > 0.0 and self._rng.random() < share

    def bind(self, listener: MemoryListener, host: str, port: int) -> None:
        """Makes a listener reachable and gives it its port. Raises `ListenFailed`."""
        if port == 0:
            self._next_port += 1
            port = self._next_port
        if (host, port) in self._listeners:
            raise ListenFailed(f"cannot listen on {host}:{port}: in use")
        listener.port = port
        self._listeners[host, port] = listener

    def unbind(self, listener: MemoryListener, host: str) -> None:
        """Takes the listener off the network."""
        del self._listeners[host, listener.port]

    def connect(self, source: str, address: PeerAddress) -> MemoryLink:
        """The dialling end of a new link. Raises `DialFailed`."""
        listener = self._listeners.get((address.host, address.port))
        if listener is None or not self.connects(source, address.host):
            raise DialFailed(f"cannot connect to {address}")
        there, back = _Pipe(self, source, address.host), _Pipe(self, address.host, source)
        self._next_port += 1
        near = MemoryLink(self, source, PeerAddress(address.host, address.port), there, back)
        far = MemoryLink(self, address.host, PeerAddress(source, self._next_port), back, there)
        try:
            listener.accepted.put_nowait(far)
        except asyncio.QueueFull as error:
            raise DialFailed(f"{address} takes no more connections now") from error
        self._links[near] = self._links[far] = None
        return near

    def forget(self, link: MemoryLink) -> None:
        """Drops a closed link: a partition no longer has to cut it."""
        self._links.pop(link, None)


class _Pipe:
    """Frames under way in one direction."""

    def __init__(self, network: MemoryNetwork, source: str, target: str) -> None:
        self._network = network
        self._source = source
        self._target = target
        self._frames: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._free_s = 0.0
        """When the last frame has left; the next one begins then."""
        self._closed = False
        self._changed = asyncio.Event()

    async def put(self, frame: bytes) -> None:
        while not self._closed and self._frames and self._bytes + len(frame) > PIPE_BYTES:
            await self._changed.wait()
        if self._closed:
            raise LinkClosed
        if self._network.loses_frame(self._source, self._target):
            return
        begins_s = max(self._network.clock.monotonic(), self._free_s)
        self._free_s = begins_s + self._network.carrying_s(self._source, self._target, len(frame))
        due = self._free_s + self._network.latency_s(self._source, self._target)
        if self._frames:
            due = max(due, self._frames[-1][0])
        self._frames.append((due, frame))
        self._bytes += len(frame)
        self._notify()

    async def take(self) -> bytes:
        while True:
            wait_s = self._frames[0][0] - self._network.clock.monotonic() if self._frames else 0.0
            if self._frames and wait_s <= 0.0:
                return self._pop()
            if self._closed and not self._frames:
                raise LinkClosed
            timer = self._network.clock.call_later(wait_s, self._notify) if self._frames else None
            try:
                await self._changed.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    def close(self, *, discard: bool) -> None:
        self._closed = True
        if discard:
            self._frames.clear()
        self._notify()

    def _pop(self) -> bytes:
        _, frame = self._frames.popleft()
        self._bytes -= len(frame)
        self._notify()
        return frame

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class MemoryLink:
    """One end of a pair of pipes."""

    def __init__(
        self, network: MemoryNetwork, host: str, remote: PeerAddress, outgoing: _Pipe, incoming: _Pipe
    ) -> None:
        self.host = host
        self._network = network
        self._remote = remote
        self._outgoing = outgoing
        self._incoming = incoming
        self._max_bytes = HANDSHAKE_FRAME_BYTES
        self._closed = False

    @property
    def remote(self) -> PeerAddress:
        return self._remote

    @property
    def channel(self) -> bytes | None:
        return None

    @property
    def remote_host(self) -> str:
        return self._remote.host

    async def send(self, frame: bytes) -> None:
        if self._closed:
            raise LinkClosed
        await self._outgoing.put(frame)

    async def receive(self) -> bytes:
        if self._closed:
            raise LinkClosed
        frame = await self._incoming.take()
        if len(frame) > self._max_bytes:
            raise FrameTooLarge(expected=self._max_bytes, got=len(frame))
        return frame

    def open_up(self) -> None:
        self._max_bytes = MAX_FRAME_BYTES

    async def close(self) -> None:
        self._shut(discard=False)

    def abort(self) -> None:
        self._shut(discard=True)

    def _shut(self, *, discard: bool) -> None:
        self._closed = True
        self._network.forget(self)
        if not self._network.loses_frame(self.host, self._remote.host):
            self._outgoing.close(discard=discard)
            self._incoming.close(discard=True)


class MemoryListener:
    """The inbound links of one port."""

    def __init__(self) -> None:
        self.port = 0
        self.accepted: asyncio.Queue[Link] = asyncio.Queue(ACCEPT_QUEUE)

    async def links(self) -> AsyncIterator[Link]:
        while True:
            yield await self.accepted.get()


class MemoryTransport:
    """Dials and listens as one host of a `MemoryNetwork`."""

    def __init__(self, network: MemoryNetwork, host: str) -> None:
        self._network = network
        self._host = host

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    @asynccontextmanager
    async def listen(self, host: str, port: int) -> AsyncIterator[Listener]:
        """See `Transport.listen`; `host` must be this transport's host."""
        if host != self._host:
            raise ListenFailed("a transport listens at its own host only", expected=self._host, got=host)
        listener = MemoryListener()
        self._network.bind(listener, host, port)
        try:
            yield listener
        finally:
            self._network.unbind(listener, host)
            while not listener.accepted.empty():
                listener.accepted.get_nowait().abort()

    async def dial(self, address: PeerAddress) -> Link:
        return self._network.connect(self._host, address)
