"""Nodes for p2p's tests: a manager over sockets or a memory network, and a policy that keeps its reports."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from engram.node.clock import FakeClock, SystemClock
from engram.p2p.addressbook import AddressBook
from engram.p2p.clock import MonotonicClock, WallClock
from engram.p2p.errors import PeerBanned, PeerRefused, PeerUnavailable
from engram.p2p.link import PeerAddress, Transport
from engram.p2p.manager import PeerConfig, PeerManager
from engram.p2p.memory import MemoryNetwork
from engram.p2p.outbound import Resolve
from engram.p2p.protocol import Peer
from engram.p2p.scores import REFUSE_S, PeerRefusal, PeerScores
from engram.p2p.seeds import addresses_of
from engram.p2p.targets import RedialLimits
from engram.p2p.transport import WebSocketTransport
from engram.primitives.errors import ChainError
from engram.primitives.keys import PrivateKey
from tests.support.p2p_chain import WAIT_S, LittleChain
from tests.support.until import until

QUICK = PeerConfig(redial=RedialLimits(first_retry_s=0.01, last_retry_s=0.05))
"""Redials at once, so that no test waits for a back-off."""


def node_key(number: int) -> PrivateKey:
    """Keys, of which the first eight are in the order of their public halves: a lower number, a lower key."""
    if number >= 8:
        return PrivateKey.from_seed(bytes([number + 1]) * 32)
    keys = sorted(
        (PrivateKey.from_seed(bytes([seed]) * 32) for seed in range(1, 9)), key=lambda k: k.public_key
    )
    return keys[number]


class Reports(PeerScores):
    """The scores, and every report in order."""

    def __init__(self, clock: MonotonicClock) -> None:
        super().__init__(clock)
        self.reports: list[tuple[bytes | None, str]] = []
        self.failed: list[PeerUnavailable] = []
        """Why dials have failed."""
        self.refused_hosts: set[str] = set()
        self.banned: set[bytes] = set()
        """Node keys that the operator has banned for good."""
        self.crowded: set[str] = set()
        """Hosts of which many nodes have misbehaved."""
        self._changed = asyncio.Event()

    def report(self, host: str, node_key: bytes | None, error: ChainError) -> None:
        super().report(host, node_key, error)
        self.reports.append((node_key, error.code))
        self._changed.set()
        self._changed = asyncio.Event()

    def not_reached(self, address: PeerAddress, error: PeerUnavailable) -> None:
        super().not_reached(address, error)
        self.failed.append(error)

    def refusal(self, host: str, node_key: bytes | None) -> PeerRefusal | None:
        if host in self.refused_hosts or node_key in self.banned:
            return PeerRefusal(PeerBanned(), 10 * REFUSE_S)
        own = super().refusal(host, node_key)
        crowd = PeerRefusal(PeerRefused(), REFUSE_S, for_others=True)
        return crowd if own is None and host in self.crowded else own

    def forgive(self) -> None:
        """Forgets every score and report."""
        self.reports.clear()
        self._scores.clear()

    async def wait_for(self, code: str) -> bytes | None:
        """Returns the key that was reported for this once it was."""
        async with asyncio.timeout(WAIT_S):
            while not any(code == reported for _, reported in self.reports):
                await self._changed.wait()
        return next(key for key, reported in self.reports if reported == code)


class Node:
    """A chain and its manager."""

    def __init__(
        self,
        number: int,
        *,
        config: PeerConfig = QUICK,
        chain: LittleChain | None = None,
        clock: WallClock | None = None,
        transport: Transport | None = None,
        book: AddressBook | None = None,
        resolve: Resolve = addresses_of,
    ) -> None:
        self.key = node_key(number)
        self.clock = clock or SystemClock()
        self.chain = chain or LittleChain()
        self.policy = Reports(self.clock)
        self.book = book or AddressBook(
            self.key.seed, lambda: self.clock.now_ms() // 1000, random.Random(number)
        )
        self.config = config
        self.manager = PeerManager(
            config,
            self.chain,
            transport or WebSocketTransport(),
            self.key,
            clock=self.clock,
            rng=random.Random(number),
            policy=self.policy,
            book=self.book,
            resolve=resolve,
        )
        self.chain.gossip = self.manager.gossip

    @property
    def address(self) -> PeerAddress:
        return PeerAddress(self.config.host, self.manager.port)

    def peer(self, other: "Node") -> Peer:
        """The session with another node."""
        return next(peer for peer in self.chain.peers if peer.node_key == other.key.public_key)

    async def connect(self, other: "Node") -> None:
        """Dials another node and returns once both have the session."""
        self.manager.add_peer(other.address)
        await self.chain.wait_for(lambda: self.knows(other))
        await other.chain.wait_for(lambda: other.knows(self))

    def knows(self, other: "Node") -> bool:
        """Whether a session with another node is open."""
        return any(peer.node_key == other.key.public_key for peer in self.chain.peers)


RUNNING = "running node"


@asynccontextmanager
async def running(*nodes: Node) -> AsyncIterator[None]:
    """The nodes run inside `async with`; what ends one early fails the test.

    So does a task that is left behind once the last node has stopped.
    """
    before = asyncio.all_tasks()
    tasks = [asyncio.create_task(node.manager.run(), name=RUNNING) for node in nodes]
    try:
        async with asyncio.timeout(WAIT_S):
            for node in nodes:
                await node.manager.ready.wait()
        yield
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    failures = [result for result in results if not isinstance(result, asyncio.CancelledError)]
    assert failures == [], failures
    if all(task.get_name() != RUNNING for task in before):
        await until(lambda: asyncio.all_tasks() - {asyncio.current_task()} <= before)


class MemoryNodes:
    """Nodes in one memory network under a clock that only `pass_time` turns."""

    def __init__(self, count: int, config: PeerConfig = PeerConfig()) -> None:  # noqa: B008 (frozen)
        self.clock = FakeClock(1_700_000_000_000)
        self.network = MemoryNetwork(self.clock, random.Random(0))
        self.nodes = [
            Node(
                number,
                config=replace(config, host=f"host{number}"),
                clock=self.clock,
                transport=self.network.transport(f"host{number}"),
            )
            for number in range(count)
        ]

    async def settle(self) -> None:
        """Lets everything happen that can happen without time passing."""
        for _ in range(200):
            await asyncio.sleep(0)

    async def pass_time(self, seconds: float) -> None:
        """Turns the clock by tenths of a second."""
        for _ in range(round(seconds * 10)):
            self.clock.advance(100)
            await self.settle()
