"""Sends to clients, and cuts those that do not take what is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from engram.node.rpc.admission import Unsent

POLICY_VIOLATION = 1008
"""Status with which a WebSocket is closed that has broken a rule of the server."""


class MessageSocket(Protocol):
    """A WebSocket, as far as it is needed here."""

    @property
    def closed(self) -> bool: ...

    async def send_str(self, data: str) -> None: ...

    async def close(self, *, code: int, message: bytes) -> object: ...


class ClientLine:
    """Sends to one connection, and cuts it if the client does not take in time what is sent."""

    def __init__(self, tcp: asyncio.WriteTransport | None, send_s: float, unsent: Unsent) -> None:
        self._tcp = tcp
        self._send_s = send_s
        self._unsent = unsent

    async def deliver(self, size_bytes: int, sending: Coroutine[Any, Any, None]) -> None:
        """Waits until this has been sent, or cuts the connection; does nothing if the client has gone."""
        try:
            async with asyncio.timeout(self._send_s):
                with self._unsent.sending(size_bytes, self.cut):
                    await sending
        except TimeoutError:
            self.cut()
        except ConnectionError:
            pass  # whoever reads from the client notices it

    def cut(self) -> None:
        """Breaks the connection at once, without a closing handshake."""
        if self._tcp is not None:
            self._tcp.abort()


class SocketOutlet:
    """Sends messages to one WebSocket, one after the other."""

    def __init__(self, socket: MessageSocket, line: ClientLine) -> None:
        self._socket = socket
        self._line = line
        self._lock = asyncio.Lock()

    async def send(self, text: str) -> None:
        """Sends one message, after those that came before it; does nothing if the connection is closed."""

        async def send() -> None:
            async with self._lock:
                if not self._socket.closed:
                    await self._socket.send_str(text)

        await self._line.deliver(len(text), send())

    async def close(self, reason: bytes) -> None:
        """Closes the connection and tells the client the reason."""
        await self._socket.close(code=POLICY_VIOLATION, message=reason)
