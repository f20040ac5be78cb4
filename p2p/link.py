"""The interface of a transport: links that carry frames in order, and peers' addresses. No sockets.

`transport` implements this over WebSockets, `memory` inside one process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, Self

from engram.p2p.errors import BadPeerAddress


@dataclass(frozen=True)
class PeerAddress:
    """Where a peer listens and, if it is known, the node key that must answer there."""

    host: str
    port: int
    node_key: bytes | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The address of `HOST:PORT` or `NODEKEY@HOST:PORT`; an IPv6 host stands in brackets.

        Raises `BadPeerAddress`.
        """
        key_text, at, endpoint = text.rpartition("@")
        host, colon, port_text = endpoint.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        host = host[1:-1] if bracketed else host
        port = int(port_text) if port_text.isascii() and port_text.isdigit() else 0
        plain = bool(colon and host) and all(letter.isalnum() or letter in "-._:" for letter in host)
        if not plain or not 0 < port < 2**16 or bracketed is not (":" in host):
            raise BadPeerAddress(got=text)
        return cls(host, port, _parse_key(key_text, text) if at else None)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        key = f"{self.node_key.hex()}@" if self.node_key is not None else ""
        return f"{key}{host}:{self.port}"


def _parse_key(key_text: str, text: str) -> bytes:
    try:
        key = bytes.fromhex(key_text)
    except ValueError as error:
        raise BadPeerAddress(got=text) from error
    if len(key) != 32:
        raise BadPeerAddress(got=text)
    return key


class Link(Protocol):
    """One connection: frames arrive whole and in order, or the link is closed."""

    @property
    def remote(self) -> PeerAddress:
        """The other end, as this end sees it."""
        ...

    @property
    def channel(self) -> bytes | None:
        """What marks this connection to both of its ends, and to no end of another one: the channel binding.

        It is the SHA-256 of the listening side's TLS certificate; None if the link is not encrypted.
        """
        ...

    @property
    def remote_host(self) -> str:
        """The IP address of the other end, also where `remote` has the name that was dialled."""
        ...

    async def send(self, frame: bytes) -> None:
        """Hands a frame to the network; waits while the other side does not read. Raises `LinkClosed`."""
        ...

    async def receive(self) -> bytes:
        """The next frame. Raises `LinkClosed`, `FrameTooLarge`, `MalformedFrame`."""
        ...

    def open_up(self) -> None:
        """Lifts the limit of `HANDSHAKE_FRAME_BYTES`; called when the handshake is complete."""
        ...

    async def close(self) -> None:
        """Closes once what was sent has arrived, if the other side cooperates. Never raises."""
        ...

    def abort(self) -> None:
        """Closes at once, without waiting for anything to arrive."""
        ...


class Listener(Protocol):
    """A place that others can dial."""

    @property
    def port(self) -> int:
        """The port on which it listens, also if the caller left the choice open."""
        ...

    def links(self) -> AsyncIterator[Link]:
        """The inbound links as they come; it never ends by itself."""
        ...


class Transport(Protocol):
    """Makes links. Used inside `async with`, which opens and closes what it needs."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    def listen(self, host: str, port: int) -> AbstractAsyncContextManager[Listener]:
        """Listens inside `async with`; port 0 chooses a free port. Raises `ListenFailed`."""
        ...

    async def dial(self, address: PeerAddress) -> Link:
        """A new link to `address`. Raises `DialFailed`."""
        ...
