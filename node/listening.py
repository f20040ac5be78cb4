"""Begins to listen on an address, with errors that name the remedy."""

from __future__ import annotations

import errno
import socket

from engram.node.errors import AddressUnusable, PortForbidden, PortTaken
from engram.p2p.acceptor import Acceptor
from engram.primitives.errors import InvalidInput


async def listen(acceptor: Acceptor, host: str, port: int, remedy: str) -> int:
    """Begins to accept, and returns the port; 0 takes a free one. `remedy` says what to do if it is taken.

    Raises `PortTaken`, `PortForbidden`, `AddressUnusable`.
    """
    try:
        await acceptor.listen(host, port)
    except OSError as error:
        raise why_not(error, f"{host}:{port}", remedy) from error
    return acceptor.port


def free_or_any(host: str, port: int) -> int:
    """The port if nobody listens on it now, else 0, with which `listen` takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return 0
    return port


def why_not(error: OSError, place: str, remedy: str) -> InvalidInput:
    """The error that says what to do, for what the system said. Only the second needs a person: the port may
    come free, and the address may come with the network.
    """
    if error.errno == errno.EADDRINUSE:
        return PortTaken(f"{place} is in use: {remedy}", got=place)
    if error.errno in (errno.EACCES, errno.EPERM):
        said = "take a port of 1024 or above, or grant the right (CAP_NET_BIND_SERVICE)"
        return PortForbidden(f"this user may not listen on {place}: {said}", got=place)
    return AddressUnusable(f"cannot listen on {place}: {error.strerror}", got=place)
