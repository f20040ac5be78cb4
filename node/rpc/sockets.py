"""The WebSockets that are open: how many may be, in all and of one host."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from engram.node.rpc.limits import RpcLimits
from engram.node.rpc.outlets import MessageSocket
from engram.node.rpc.refusals import HttpRefusal

GOING_AWAY: Final = 1001
"""Status with which a WebSocket is closed when the server ends."""


class OpenSockets:
    """Counts WebSockets. Who has the token has some of his own, whatever others do."""

    def __init__(self, limits: RpcLimits) -> None:
        self._limits = limits
        self._open: dict[MessageSocket, str] = {}
        """Those that stand, with their hosts."""

    @contextmanager
    def open(self, socket: MessageSocket, host: str, *, admin: bool) -> Iterator[None]:
        """Counts a WebSocket while it is open. Raises `HttpRefusal`."""
        limits = self._limits
        most = limits.sockets + (limits.own_sockets if admin else 0)
        if len(self._open) >= most:
            raise HttpRefusal(503, "too many WebSockets are open; close one", expected=f"at most {most}")
        exempt = admin or limits.is_exempt(host)
        if not exempt and Counter(self._open.values())[host] >= limits.sockets_per_host:
            raise HttpRefusal(
                503,
                "this host has too many WebSockets open; close one, or use one for several topics",
                expected=f"at most {limits.sockets_per_host} of one host",
            )
        self._open[socket] = host
        try:
            yield
        finally:
            del self._open[socket]

    async def dismiss(self, reason: bytes) -> None:
        """Closes them all, and tells each the reason."""
        await asyncio.gather(*(self._close(socket, reason) for socket in self._open))

    async def _close(self, socket: MessageSocket, reason: bytes) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.close_s):
                await socket.close(code=GOING_AWAY, message=reason)
