"""Whole nodes in one event loop, on LevelDB and a memory network; and peers that serve any blocks.

What nodes say to each other is recorded frame by frame. Nothing is faked but the network: every node has its
store, mempool, miner and RPC.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from engram.consensus.block import Block
from engram.consensus.chainspec import ChainSpec
from engram.node.chain.chain import Chain
from engram.node.clock import Clock, FakeClock, SystemClock
from engram.node.config import Config
from engram.node.datadir import load_token
from engram.node.node import Node
from engram.node.services import Services
from engram.p2p.addressbook import AddressBook
from engram.p2p.blockmessages import GetBlocks
from engram.p2p.link import PeerAddress
from engram.p2p.manager import PeerConfig, PeerManager
from engram.p2p.memory import MemoryNetwork
from engram.p2p.messages import GetBlock, Message
from engram.p2p.relayed import RelayedBlock
from engram.p2p.scores import PeerScores
from engram.primitives.keys import PrivateKey, format_address
from engram.primitives.types import Hash
from engram.statemachine.transaction import Transaction
from tests.support.node_chain import CAROL, SPEC, reach
from tests.support.p2p_chain import WAIT_S
from tests.support.recorded_links import RecordedTransport, Said
from tests.support.served_chain import ServedChain
from tests.support.until import until

PORT: Final = 8646


class Member:
    """A running node of the network."""

    def __init__(self, name: str, node: Node, task: asyncio.Task[None]) -> None:
        self.name = name
        self.node = node
        self.task = task

    @property
    def services(self) -> Services:
        assert self.node.services is not None, "the node does not run"
        return self.node.services

    @property
    def chain(self) -> Chain:
        return self.services.chain

    @property
    def url(self) -> str:
        """Where its RPC answers."""
        assert self.node.info is not None
        return self.node.info.rpc_url

    @property
    def token(self) -> str:
        """What opens its RPC's admin methods."""
        return load_token(self.node.config.data_dir)

    @property
    def key(self) -> bytes:
        """The key that names it to peers."""
        return self.services.node_id

    @property
    def peers(self) -> list[bytes]:
        """Keys of the nodes it has a session with."""
        return [info.node_key for info in self.services.peers.peers()]

    def waits(self, tx: Transaction) -> bool:
        """Whether the transaction is in its mempool."""
        return self.services.mempool.get(tx.id) is not None

    async def admit(self, tx: Transaction) -> None:
        """Takes a transaction in as from RPC."""
        outcome = await self.services.mempool.admit(tx)
        assert outcome.accepted, outcome.error

    async def mine(self, blocks: int = 1) -> list[Hash]:
        """Mines so many blocks now; their ids."""
        async with asyncio.timeout(WAIT_S):
            return await self.services.mining.mine(blocks)

    async def take(self, blocks: Sequence[Block]) -> None:
        """Imports blocks that extend its best chain or are meant to."""
        for block in blocks:
            await self.chain.import_block(block)

    async def reach(self, height: int) -> None:
        """Returns once its head has at least this height."""
        async with asyncio.timeout(WAIT_S):
            await reach(self.chain, height)

    async def follow(self, other: Member) -> None:
        """Returns once its head is the other's."""
        async with asyncio.timeout(WAIT_S):
            while self.chain.head.id != other.chain.head.id:
                await self.chain.moved_from(self.chain.head)


class NodeNetwork:
    """Nodes by name; the name is also the host."""

    def __init__(self, directory: Path, spec: ChainSpec = SPEC, clock: Clock | None = None) -> None:
        self.spec = spec
        self.clock = clock or SystemClock()
        self.network = MemoryNetwork(self.clock, random.Random(0))
        self.said: list[Said] = []
        self._directory = directory
        self._members: dict[str, Member] = {}
        self._served: list[asyncio.Task[None]] = []

    async def start(self, name: str, *peers: str, mine: bool = False, clock: Clock | None = None) -> Member:
        """A node that keeps sessions with these peers; ready, though not yet connected.

        It goes by the network's clock if it is given none.
        """
        config = Config(
            data_dir=self._directory / name,
            rpc_port=0,
            p2p_host=name,
            p2p_port=PORT,
            peers=tuple(f"{peer}:{PORT}" for peer in peers),
            mine=mine,
            miner_address=format_address(CAROL.address, self.spec.hrp),
        )
        transport = RecordedTransport(self.network, name, self.said)
        node = Node(config, self.spec, clock=clock or self.clock, transport=transport, mine_on_demand=True)
        task = asyncio.create_task(node.run(), name=f"node {name}")
        ready = asyncio.create_task(node.ready.wait())
        async with asyncio.timeout(WAIT_S):
            await asyncio.wait((task, ready), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if task.done():
            await task
        self._members[name] = member = Member(name, node, task)
        return member

    async def line(self, *names: str) -> list[Member]:
        """Nodes of which each has a session with the one before it."""
        members: list[Member] = []
        for name in names:
            members.append(await self.start(name, *(member.name for member in members[-1:])))
        for member in members[1:]:
            await self.connected(member)
        return members

    async def stop(self, name: str) -> None:
        """Ends a node; its directory stays. Raises what ended it before."""
        member = self._members.pop(name)
        member.node.stop()
        async with asyncio.timeout(WAIT_S):
            await member.task

    def address(self, name: str) -> PeerAddress:
        """Where a node or peer is dialled."""
        return PeerAddress(name, PORT)

    async def connected(self, member: Member, sessions: int = 1) -> None:
        """Returns once the node has so many sessions."""
        await until(lambda: len(member.peers) >= sessions)

    async def serve(self, name: str, chain: ServedChain, *peers: str) -> PeerManager[RelayedBlock]:
        """A peer that serves blocks of its own to those it dials or is dialled by."""
        manager: PeerManager[RelayedBlock] = PeerManager(
            PeerConfig(name, PORT, tuple(PeerAddress(peer, PORT) for peer in peers)),
            chain,
            RecordedTransport(self.network, name, self.said),
            PrivateKey.from_seed(name.encode().ljust(32, b"\0")),
            clock=self.clock,
            rng=random.Random(name),
            policy=PeerScores(self.clock),
            book=AddressBook(bytes(32), lambda: self.clock.now_ms() // 1000, random.Random(name)),
        )
        self._served.append(asyncio.create_task(manager.run(), name=f"peer {name}"))
        await manager.ready.wait()
        return manager

    async def close(self) -> None:
        """Ends everything; raises what ended a node early."""
        for task in self._served:
            task.cancel()
        for name in list(self._members):
            await self.stop(name)

    def count(self, source: str, target: str, kind: type[Message]) -> int:
        """How many messages of a kind one host has sent another."""
        return len(
            [said for said in self.said if said[:2] == (source, target) and isinstance(said.message, kind)]
        )

    def bodies_asked(self, source: str, target: str) -> int:
        """How many blocks one host has asked another for."""
        kinds = (GetBlock, GetBlocks)
        return len(
            {
                name
                for said in self.said
                if said[:2] == (source, target) and isinstance(said.message, kinds)
                for name in said.wanted
            }
        )

    def asked(self, name: str, wanted: Hash) -> int:
        """How often a host has asked for a block or a transaction."""
        return len([said for said in self.said if said.source == name and wanted in said.wanted])


@asynccontextmanager
async def node_network(
    directory: Path, spec: ChainSpec = SPEC, clock: FakeClock | None = None
) -> AsyncIterator[NodeNetwork]:
    """A network whose nodes all end well when the block does."""
    network = NodeNetwork(directory, spec, clock)
    try:
        yield network
    finally:
        await network.close()
