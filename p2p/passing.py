"""A protocol of asyncio that stands between a transport and another protocol, and passes everything on."""

from __future__ import annotations

import asyncio


class PassingProtocol(asyncio.Protocol):
    """Passes what comes from a transport on to `inner`; subclasses change or notice some of it.

    What `connection_made` does is left to the subclass: `inner` may be connected already.
    """

    def __init__(self, inner: asyncio.Protocol) -> None:
        self._inner = inner

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._inner.connection_lost(error)
