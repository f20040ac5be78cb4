"""The body of a JSON-RPC request by HTTP: what its headers may say; its bytes, unpacked within a bound."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from engram.node.rpc.refusals import HttpRefusal

MAX_BODY_BYTES: Final = 2 * 1024 * 1024
"""Enough for the largest transaction as hexadecimal text, and the JSON around it."""
SMALL_BODY_BYTES: Final = 64 * 1024
"""Bodies up to this size are received without a place of their own."""
_CHARSETS: Final = ("utf-8", "utf8", "us-ascii")
"""Those whose bytes mean the same as UTF-8."""
_WINDOWS: Final = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_ZLIB_METHOD: Final = 8
"""Low half of the first byte of a zlib stream; many clients call a stream without this head deflate, too."""


@dataclass(frozen=True)
class BodyForm:
    """What the headers of a request say of its body."""

    content_type: str
    charset: str | None
    encoding: str
    """The content encoding, lower case; empty where there is none."""
    length: int | None
    expect: str = ""
    """The header `Expect`, lower case; empty where there is none."""

    @property
    def is_asking(self) -> bool:
        """Whether the client waits for permission before it sends the body."""
        return self.expect == "100-continue"

    @property
    def is_large(self) -> bool:
        """Whether the body is known to be large, or what is packed in it may be."""
        return self.encoding in _WINDOWS or (self.length is not None and self.length > SMALL_BODY_BYTES)

    def check(self) -> None:
        """Raises `HttpRefusal` for a body that is not worth receiving."""
        if self.content_type != "application/json":
            raise HttpRefusal(
                415,
                "the header Content-Type must be application/json",
                expected="application/json",
                got=self.content_type,
            )
        if self.charset is not None and self.charset.lower() not in _CHARSETS:
            raise HttpRefusal(
                415,
                "the body must be UTF-8; leave the charset out of Content-Type",
                expected="utf-8",
                got=self.charset[:40],
            )
        if self.encoding not in ("", "identity", *_WINDOWS):
            raise HttpRefusal(
                415,
                "the body must be packed with gzip or deflate, or not at all; leave Content-Encoding out",
                expected=["identity", *_WINDOWS],
                got=self.encoding[:40],
            )
        if self.length is not None and self.length > MAX_BODY_BYTES:
            raise _too_large()
        if self.expect and not self.is_asking:
            raise HttpRefusal(
                417,
                "this server has no such Expect; leave it out",
                expected="100-continue",
                got=self.expect[:40],
            )

    def unpacked(self, raw: bytes) -> bytes:
        """The body's bytes, of what was received. Raises `HttpRefusal`."""
        if self.encoding not in _WINDOWS or not raw:
            return raw
        window = _WINDOWS[self.encoding]
        if self.encoding == "deflate" and raw[0] & 15 != _ZLIB_METHOD:
            window = -zlib.MAX_WBITS
        unpacking = zlib.decompressobj(window)
        try:
            body = unpacking.decompress(raw, MAX_BODY_BYTES + 1)
        except zlib.error:
            raise self._broken("the body is not what Content-Encoding says") from None
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
        if not unpacking.eof:
            raise self._broken("the body ends before what is packed in it does")
        if unpacking.unused_data:
            raise self._broken("further bytes follow what is packed in the body")
        return body

    def _broken(self, message: str) -> HttpRefusal:
        return HttpRefusal(
            400, f"{message}; pack it anew, or send it without Content-Encoding", expected=self.encoding
        )


async def receive(
    chunks: AsyncIterator[bytes],
    body: bytearray,
    most_bytes: int,
    time_s: float,
    holds: Callable[[int], None],
) -> bool:
    """Adds what arrives to the body until it ends or has more than so many bytes; whether it has ended.

    `holds` is told how many bytes are here. Raises `HttpRefusal` for a body that is too large or too slow.
    """
    try:
        async with asyncio.timeout(time_s):
            return await _receive(chunks, body, most_bytes, holds)
    except TimeoutError:
        raise HttpRefusal(
            408, "the body did not arrive in time; send it at once", expected=f"{time_s} s"
        ) from None


async def _receive(
    chunks: AsyncIterator[bytes], body: bytearray, most_bytes: int, holds: Callable[[int], None]
) -> bool:
    holds(len(body))
    async for chunk in chunks:
        body += chunk
        holds(len(body))
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
        if len(body) > most_bytes:
            return False
    return True


def _too_large() -> HttpRefusal:
    return HttpRefusal(
        413, "the body is too large; send smaller batches", expected=f"at most {MAX_BODY_BYTES} bytes"
    )
