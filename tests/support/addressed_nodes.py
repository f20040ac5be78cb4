"""Nodes with IP addresses in one memory network, under a clock that only the test turns."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from engram.node.clock import FakeClock
from engram.p2p.addressmessages import NodeAddress
from engram.p2p.link import PeerAddress
from engram.p2p.manager import PeerConfig
from engram.p2p.memory import MemoryNetwork
from engram.p2p.messages import (
    PROTOCOL_VERSION,
)
from engram.p2p.netgroup import packed_host
from engram.p2p.outbound import OutboundLimits
from engram.primitives.keys import PrivateKey
from tests.support.p2p_nodes import Node
from tests.support.p2p_scripted import ScriptedPeer
from tests.support.until import until

PORT = 8646
FIRST_SCRIPTED = 100


class AddressedNodes:
    """The network, its clock, and the nodes by host."""

    def __init__(self) -> None:
        self.clock = FakeClock(1_700_000_000_000)
        self.network = MemoryNetwork(self.clock, random.Random(0))
        self._scripted = FIRST_SCRIPTED

    def node(self, number: int, host: str, *, announced: bool = True, **changes: Any) -> Node:
        """A node at this host; it tells others of itself if `announced`."""
        own = PeerAddress(host, PORT) if announced else None
        config = PeerConfig(host, PORT, own_address=own, outbound=OutboundLimits(places=8))
        return Node(
            number,
            config=replace(config, **changes),
            clock=self.clock,
            transport=self.network.transport(host),
        )

    @asynccontextmanager
    async def scripted(
        self, node: Node, host: str, version: int = PROTOCOL_VERSION, at: str = ""
    ) -> AsyncIterator[ScriptedPeer]:
        """A peer of a key of its own that has dialled from this host; `at` says where the node listens."""
        self._scripted += 1
        key = PrivateKey.from_seed(self._scripted.to_bytes(32, "big"))
        link = await self.network.transport(host).dial(PeerAddress(at or node.config.host, PORT))
        try:
            yield await ScriptedPeer(link, key, version).open()
        finally:
            link.abort()

    async def pass_time(self, seconds: float) -> None:
        """Turns the clock by seconds, one after the other."""
        for _ in range(round(seconds)):
            self.clock.advance(1_000)
            for _ in range(40):
                await asyncio.sleep(0)

    def known(self, node: Node) -> set[str]:
        """The hosts in a node's book."""
        return {entry.address.host for entry in node.book}

    async def joined(self, node: Node, *others: Node) -> None:
        """Returns once the node has a session with each of the others."""
        await until(lambda: all(node.knows(other) for other in others))


def told(host: str, port: int = PORT, hours: int = 0) -> NodeAddress:
    """An address on the wire."""
    raw = packed_host(host)
    assert raw is not None, "tests tell IP addresses"
    return NodeAddress(raw, port, hours)
