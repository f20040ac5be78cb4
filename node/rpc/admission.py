"""How many requests and large bodies the node has in hand at once, and how many bytes of replies.

A request waits for its turn, first come, first served, and is refused if that takes too long. Requests with
the data directory's token have places of their own, so that no flood of strangers keeps the operator out, and
the probes need none. Blobs have places of their own, too, because peers can make a node wait for them.
Replies that nobody reads hold memory; when they hold too much, the reader goes who has been slow for the
longest time. Thus a client that reads can only lose its reply to clients that read, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from engram.node.rpc.limits import RpcLimits
from engram.node.rpc.refusals import HttpRefusal


class RpcPlaces:
    """Gives requests their places."""

    def __init__(self, limits: RpcLimits) -> None:
        self._wait_s = limits.place_s
        self._requests = _Kind(limits.requests, limits.own_requests)
        self._large = _Kind(limits.large_bodies, limits.own_large_bodies)
        self._blobs = _Kind(limits.blobs, limits.own_blobs)

    @asynccontextmanager
    async def request(self, *, admin: bool, patient: bool = False) -> AsyncIterator[None]:
        """A place for one request until its reply is made; one that is `patient` waits without end.

        Raises `HttpRefusal`.
        """
        async with self._requests.one(admin, None if patient else self._wait_s):
            yield

    @asynccontextmanager
    async def large_body(self, *, admin: bool) -> AsyncIterator[None]:
        """A place for one large body until its request is answered. Raises `HttpRefusal`."""
        async with self._large.one(admin, self._wait_s):
            yield

    @asynccontextmanager
    async def blob(self, *, admin: bool) -> AsyncIterator[None]:
        """A place for a request of a blob, which can take long: peers may have to be asked for it.

        Raises `HttpRefusal`.
        """
        async with self._blobs.one(admin, self._wait_s):
            yield


class _Kind:
    """Places of one kind: those for everybody, and those for who has the token."""

    def __init__(self, everybody: int, own: int) -> None:
        self._most = {False: everybody, True: own}
        self._free = {admin: asyncio.Semaphore(most) for admin, most in self._most.items()}

    @asynccontextmanager
    async def one(self, admin: bool, wait_s: float | None) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(wait_s):
                await self._free[admin].acquire()
        except TimeoutError:
            raise HttpRefusal(
                503,
                "the node has too many requests in hand; ask again later, and fewer things at once",
                expected=f"at most {self._most[admin]} at once",
                headers={"Retry-After": "5"},
            ) from None
        try:
            yield
        finally:
            self._free[admin].release()


class Unsent:
    """The replies that are being sent."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._open: dict[object, tuple[int, Callable[[], None]]] = {}
        """In the order in which they began."""

    @contextmanager
    def sending(self, size_bytes: int, cut: Callable[[], None]) -> Iterator[None]:
        """Counts a reply until it has been sent; `cut` ends the connection of a reader who is too slow."""
        key = object()
        self._open[key] = (size_bytes, cut)
        self._bytes += size_bytes
        while self._bytes > self._most_bytes and (slowest := next(iter(self._open))) is not key:
            cut_it = self._open[slowest][1]
            self._forget(slowest)
            cut_it()
        try:
            yield
        finally:
            self._forget(key)

    def _forget(self, key: object) -> None:
        size_bytes, _ = self._open.pop(key, (0, None))
        self._bytes -= size_bytes
