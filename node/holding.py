"""The connection by which a program holds the blocks of a test network: see `mining/pacing.py`."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import aiohttp

from engram.node.unreachable import unreachable

HOLD_REFUSED_STATUS: Final = 403
"""HTTP status of `/hold` at a node whose blocks wait for nobody."""
FINISHED: Final = "finished"
"""The message with which a program ends its hold because it has done its part."""


class HoldSocket:
    """The connection that holds a node's blocks. It is opened again if it has broken."""

    def __init__(self, session: aiohttp.ClientSession, url: str, timeout_s: float) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._session = session
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._refused = False

    async def allow(self, height: int) -> None:
        """Sends the height and waits until the node has noted it. Raises `NodeUnreachable`."""
        if self._refused:
            return
        try:
            if self._socket is None:
                self._socket = await self._session.ws_connect(self.url + "/hold")
            await self._socket.send_str(str(height))
            answer = await self._socket.receive(timeout=self._timeout_s)
            if answer.type is not aiohttp.WSMsgType.TEXT:
                raise ConnectionError("the node has ended the connection")
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            self._refused = getattr(error, "status", None) == HOLD_REFUSED_STATUS
            await self.close()  # the next call connects anew
            if not self._refused:
                raise unreachable(self.url, error, self._timeout_s) from error

    @property
    def stands(self) -> bool:
        """Whether the connection is open."""
        return self._socket is not None

    async def finish(self) -> None:
        """Says that the program has done its part, and ends the hold."""
        with suppress(aiohttp.ClientError, ConnectionError):  # a node that has ended waits for nobody
            if self._socket is not None:
                await self._socket.send_str(FINISHED)
        await self.close()

    async def close(self) -> None:
        """Ends the hold."""
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()
