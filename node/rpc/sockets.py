"""The WebSockets that are open: how many may be, in all and of one host.

An open WebSocket costs a client next to nothing, for as long as it likes. So when there are too many, the
oldest of the host that has most goes for the first few of another host.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from engram.node.rpc.limits import RpcLimits
from engram.node.rpc.outlets import MessageSocket
from engram.node.rpc.refusals import HttpRefusal

GOING_AWAY: Final = 1001
"""Status with which a WebSocket is closed when the server ends."""


@dataclass(frozen=True)
class _Place:
    host: str
    admin: bool
    cut: Callable[[], None]


class OpenSockets:
    """Counts WebSockets. Who has the token has some of his own, whatever others do."""

    def __init__(self, limits: RpcLimits) -> None:
        self._limits = limits
        self._open: dict[MessageSocket, _Place] = {}
        """Those that stand, oldest first."""

    @contextmanager
    def open(
        self, socket: MessageSocket, host: str, cut: Callable[[], None], *, admin: bool
    ) -> Iterator[None]:
        """Counts a WebSocket while it is open; `cut` ends it if it has to go. Raises `HttpRefusal`."""
        limits = self._limits
        hosts = Counter(place.host for place in self._open.values())
        exempt = admin or limits.is_exempt(host)
        if not exempt and hosts[host] >= limits.sockets_per_host:
            raise HttpRefusal(
                503,
                "this host has too many WebSockets open; close one, or use one for several topics",
                expected=f"at most {limits.sockets_per_host} of one host",
            )
        most = limits.sockets + (limits.own_sockets if admin else 0)
        if len(self._open) >= most and not self._make_place(host):
            raise HttpRefusal(503, "too many WebSockets are open; close one", expected=f"at most {most}")
        self._open[socket] = _Place(host, admin, cut)
        try:
            yield
        finally:
            self._open.pop(socket, None)

    def _make_place(self, host: str) -> bool:
        """Whether one of another host has gone, which has more than this host will have."""
        crowd = Counter(place.host for place in self._open.values() if not place.admin)
        most, count = max(crowd.items(), key=itemgetter(1), default=("", 0))
        if count <= crowd[host] + 1:
            return False
        out = next(each for each, place in self._open.items() if place.host == most and not place.admin)
        self._open.pop(out).cut()
        return True

    async def dismiss(self, reason: bytes) -> None:
        """Closes them all, and tells each the reason."""
        await asyncio.gather(*(self._close(socket, reason) for socket in self._open))

    async def _close(self, socket: MessageSocket, reason: bytes) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.close_s):
                await socket.close(code=GOING_AWAY, message=reason)
