"""The addresses behind a seed's name."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from engram.p2p.link import PeerAddress
from engram.p2p.netgroup import scope_of

MAX_RESOLVED: Final = 64
"""So many addresses are taken from one name."""


async def addresses_of(seed: PeerAddress) -> list[PeerAddress]:
    """Every address of a seed: itself if it is one, else what its name stands for; none if nothing does."""
    if scope_of(seed.host) is not None:
        return [seed]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(seed.host, seed.port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    hosts = dict.fromkeys(str(address[0]) for _, _, _, _, address in found)
    return [PeerAddress(host, seed.port, seed.node_key) for host in list(hosts)[:MAX_RESOLVED]]
