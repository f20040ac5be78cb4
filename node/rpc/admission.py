"""How many requests and large bodies the node has in hand at once, and how many bytes of replies.

A request waits for its turn and is refused if that takes too long. The next turn goes to the host that has
the fewest requests in hand, and none has more than half of the places, so that whoever asks for everything at
once only waits for himself. Requests with the data directory's token have places of their own, so that no
flood of strangers keeps the operator out, and the probes need none. Blobs have places of their own, too,
because peers can make a node wait for them. Nobody holds a place while a body arrives: see `arriving`.
Replies that nobody reads hold memory; when they hold too much, the reader goes who has been slow for the
longest time. Thus a client that reads can only lose its reply to clients that read, too.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from engram.node.rpc.limits import RpcLimits
from engram.node.rpc.refusals import HttpRefusal


class RpcPlaces:
    """Gives requests their places."""

    def __init__(self, limits: RpcLimits) -> None:
        self._wait_s = limits.place_s
        self._requests = _Kind(limits, limits.requests, limits.own_requests)
        self._large = _Kind(limits, limits.large_bodies, limits.own_large_bodies)
        self._blobs = _Kind(limits, limits.blobs, limits.own_blobs)

    @asynccontextmanager
    async def request(self, host: str, *, admin: bool, patient: bool = False) -> AsyncIterator[None]:
        """A place for one request until its reply is made; one that is `patient` waits without end.

        Raises `HttpRefusal`.
        """
        async with self._requests.one(host, admin, None if patient else self._wait_s):
            yield

    @asynccontextmanager
    async def large_body(self, host: str, *, admin: bool) -> AsyncIterator[None]:
        """A place for one large body, which is here, until its request is answered. Raises `HttpRefusal`."""
        async with self._large.one(host, admin, self._wait_s):
            yield

    @asynccontextmanager
    async def blob(self, host: str, *, admin: bool) -> AsyncIterator[None]:
        """A place for a request of a blob, which can take long: peers may have to be asked for it.

        Raises `HttpRefusal`.
        """
        async with self._blobs.one(host, admin, self._wait_s):
            yield


class _Kind:
    """Places of one kind: those for everybody, and those for who has the token."""

    def __init__(self, limits: RpcLimits, everybody: int, own: int) -> None:
        self._everybody = _Turns(everybody, limits)
        self._own = _Turns(own, None)

    @asynccontextmanager
    async def one(self, host: str, admin: bool, wait_s: float | None) -> AsyncIterator[None]:
        turns = self._own if admin else self._everybody
        try:
            async with asyncio.timeout(wait_s):
                await turns.take(host)
        except TimeoutError:
            raise HttpRefusal(
                503,
                "the node has too many requests in hand; ask again later, and fewer things at once",
                expected=f"at most {turns.share(host)} at once",
                headers={"Retry-After": "5"},
            ) from None
        try:
            yield
        finally:
            turns.give_back(host)


class _Turns:
    """So many places, and who waits for one."""

    def __init__(self, most: int, limits: RpcLimits | None) -> None:
        """Without limits, a host may have them all."""
        self._most = most
        self._limits = limits
        self._in_hand: Counter[str] = Counter()
        self._waiting: dict[asyncio.Future[None], str] = {}
        """In the order in which they came, with their hosts."""

    def share(self, host: str) -> int:
        """How many of the places this host may have at once."""
        exempt = self._limits is None or self._limits.is_exempt(host)
        return self._most if exempt else max(1, self._most // 2)

    async def take(self, host: str) -> None:
        """Returns once the host has one place more."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = host
        self._give()
        try:
            await turn
        except asyncio.CancelledError:
            if self._waiting.pop(turn, None) is None:  # it was given a place just before
                self.give_back(host)
            raise

    def give_back(self, host: str) -> None:
        """The host has one place less, and somebody else has it now."""
        self._in_hand[host] -= 1
        if not self._in_hand[host]:
            del self._in_hand[host]
        self._give()

    def _give(self) -> None:
        while self._in_hand.total() < self._most:
            due = [each for each, host in self._waiting.items() if self._in_hand[host] < self.share(host)]
            if not due:
                return
            turn = min(due, key=lambda each: self._in_hand[self._waiting[each]])  # the first of equals
            self._in_hand[self._waiting.pop(turn)] += 1
            turn.set_result(None)


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
