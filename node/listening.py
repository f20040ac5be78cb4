"""Begins to listen on an address, with errors that name the remedy."""

from __future__ import annotations

import errno

from engram.node.errors import AddressUnusable, PortTaken
from engram.p2p.acceptor import Acceptor


async def listen(acceptor: Acceptor, host: str, port: int, remedy: str) -> int:
    """Begins to accept, and returns the port; 0 takes a free one. `remedy` says what to do if it is taken.

    Raises `PortTaken`, `AddressUnusable`.
    """
    place = f"{host}:{port}"
    try:
        await acceptor.listen(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"{place} is in use: {remedy}", got=place) from error
        raise AddressUnusable(f"cannot listen on {place}: {error.strerror}", got=place) from error
    return acceptor.port
