"""The requests to one peer that wait for their answers. No I/O, no clock."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from engram.p2p.errors import DisconnectReason, SessionEnded, UnsolicitedReply, WrongReply
from engram.p2p.messages import SPECS, Message, Reply, Request

MAX_ABANDONED: Final = 256
"""How many abandoned requests are remembered, so that their late answers are not held against the peer."""
_REQUEST_IDS: Final = 2**32


class PendingRequests:
    """Every answer must belong to an open request, have the type that the registry names, and come once."""

    def __init__(self) -> None:
        self._next_id = 0
        self._open: dict[int, tuple[type[Message], asyncio.Future[Reply]]] = {}
        self._abandoned: OrderedDict[int, type[Message]] = OrderedDict()
        self._ended: DisconnectReason | None = None

    def new_id(self) -> int:
        """The number of the next request."""
        self._next_id = (self._next_id + 1) % _REQUEST_IDS
        return self._next_id

    def expect(self, request: Request) -> asyncio.Future[Reply]:
        """Registers a request; the future gets its answer. Raises `SessionEnded`."""
        if self._ended is not None:
            raise SessionEnded(self._ended)
        reply = SPECS[type(request)].reply
        assert reply is not None, "the registry names an answer for every type of request"
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._open[request.request] = (reply, future)
        return future

    def settle(self, reply: Reply) -> None:
        """Hands an answer to its request; the answer to an abandoned request is dropped.

        Raises `UnsolicitedReply`, `WrongReply`.
        """
        number = reply.request
        if number not in self._open:
            if self._abandoned.pop(number, None) is not type(reply):
                raise UnsolicitedReply(got=type(reply).__name__)
            return
        expected, future = self._open[number]
        if type(reply) is not expected:
            raise WrongReply(expected=expected.__name__, got=type(reply).__name__)
        del self._open[number]
        if not future.done():
            future.set_result(reply)

    def abandon(self, request: Request) -> None:
        """Stops waiting for an answer. If it comes later, it is dropped without blame."""
        opened = self._open.pop(request.request, None)
        if opened is None:
            return
        self._abandoned[request.request] = opened[0]
        if len(self._abandoned) > MAX_ABANDONED:
            self._abandoned.popitem(last=False)

    def end(self, reason: DisconnectReason) -> None:
        """Makes every open request, and every later one, fail with `SessionEnded`."""
        self._ended = reason
        for _, future in self._open.values():
            if not future.done():
                future.set_exception(SessionEnded(reason))
        self._open.clear()
