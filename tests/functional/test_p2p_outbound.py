"""Whom a node dials by itself: named peers, then anchors, then the book; feelers and seeds."""

from collections.abc import Sequence

import pytest

from engram.p2p.addressbook import RETRY_S
from engram.p2p.link import Link, PeerAddress
from engram.p2p.memory import MemoryNetwork, MemoryTransport
from engram.p2p.netgroup import group_of
from engram.p2p.outbound import OutboundLimits
from tests.support.address_book import address
from tests.support.addressed_nodes import PORT, AddressedNodes
from tests.support.p2p_nodes import Node, running
from tests.support.until import until

HOME = "21.1.1.1"


class Dials(MemoryTransport):
    """The transport of one host, and what it has dialled, in order."""

    def __init__(self, network: MemoryNetwork, host: str) -> None:
        super().__init__(network, host)
        self.dialled: list[PeerAddress] = []

    async def dial(self, address: PeerAddress) -> Link:
        self.dialled.append(address)
        return await super().dial(address)


def origins(node: Node) -> list[str]:
    return sorted(info.origin.value for info in node.manager.peers())


def tell(node: Node, *addresses: PeerAddress) -> None:
    for each in addresses:
        node.book.add(each, each.host, node.clock.now_ms() // 1000)


def others(world: AddressedNodes, hosts: Sequence[str]) -> list[Node]:
    """Nodes that dial nobody."""
    return [
        world.node(number, host, outbound=OutboundLimits(), announced=False)
        for number, host in enumerate(hosts, 1)
    ]


async def test_places_go_to_different_networks() -> None:
    world = AddressedNodes()
    hosts = [f"31.1.1.{number}" for number in range(1, 7)] + ["32.1.1.1", "33.1.1.1"]
    peers, node = others(world, hosts), world.node(0, HOME)
    tell(node, *(PeerAddress(host, PORT) for host in hosts))
    async with running(*peers, node):
        await until(lambda: len(node.manager.peers()) == 1)
        await world.pass_time(60)
        groups = [group_of(info.address.host) for info in node.manager.peers()]
        assert sorted(groups) == ["31.1.0.0/16", "32.1.0.0/16", "33.1.0.0/16"]
        assert origins(node) == ["book"] * 3


async def test_named_peers_come_first_and_have_places_of_the_same_number() -> None:
    world = AddressedNodes()
    hosts = [f"3{number}.1.1.1" for number in range(6)]
    peers = others(world, hosts)
    named = tuple(PeerAddress(host, PORT) for host in (*hosts[:2], "31.1.1.1"))
    node = world.node(0, HOME, peers=named[:2], outbound=OutboundLimits(places=3))
    tell(node, *(PeerAddress(host, PORT) for host in hosts))
    async with running(*peers), running(node):
        await world.joined(node, *peers[:2])
        await world.pass_time(60)
        assert origins(node) == ["book", "named", "named"]


async def test_without_places_nobody_but_named_peers_is_dialled() -> None:
    world = AddressedNodes()
    peers = others(world, ["31.1.1.1", "32.1.1.1"])
    transport = Dials(world.network, HOME)
    named = (PeerAddress("31.1.1.1", PORT),)
    nobody = OutboundLimits()
    config = world.node(0, HOME, peers=named, outbound=nobody, asks_for_addresses=False).config
    node = Node(0, config=config, clock=world.clock, transport=transport)
    tell(node, PeerAddress("32.1.1.1", PORT))
    async with running(*peers, node):
        await world.joined(node, peers[0])
        await world.pass_time(300)
        assert transport.dialled == [PeerAddress("31.1.1.1", PORT)]


async def test_after_a_restart_the_longest_known_are_dialled_first() -> None:
    world = AddressedNodes()
    hosts = [f"{30 + number}.1.1.1" for number in range(12)]
    peers, node = others(world, hosts[:8]), world.node(0, HOME)
    for host in hosts[:8]:
        tell(node, PeerAddress(host, PORT))
    async with running(*peers):
        async with running(node):
            await until(lambda: len(node.manager.peers()) > 0)
            await world.pass_time(90)
            assert len(node.manager.peers()) == 8
        kept = node.book.anchors
        assert len(kept) == 2
        first_s = sorted(entry.first_s for entry in node.book)
        assert sorted(node.book.find(each).first_s for each in kept) == first_s[:2]  # type: ignore[union-attr]
        tell(node, *(PeerAddress(host, PORT) for host in hosts))
        transport = Dials(world.network, HOME)
        again = Node(0, config=node.config, clock=world.clock, transport=transport, book=node.book)
        await world.pass_time(2 * RETRY_S)
        async with running(again):
            await until(lambda: len(transport.dialled) == 1)
            await world.pass_time(5)
            assert tuple(transport.dialled[:2]) == kept
            assert origins(again).count("anchor") == 2


async def test_a_feeler_learns_who_answers_and_leaves() -> None:
    world = AddressedNodes()
    peers = others(world, ["31.1.1.1", "32.1.1.1"])
    node = world.node(0, HOME, outbound=OutboundLimits(places=1, feeler_s=30.0))
    tell(node, *(PeerAddress(peer.config.host, PORT) for peer in peers))
    async with running(*peers, node):
        await until(lambda: len(node.manager.peers()) == 1)
        assert (node.book.counts().new, node.book.counts().tried) == (1, 1)
        await world.pass_time(100)
        assert (node.book.counts().new, node.book.counts().tried) == (0, 2)
        assert len(node.manager.peers()) == 1
        assert sum(len(peer.manager.peers()) for peer in peers) == 1


async def test_no_feeler_while_nobody_answers() -> None:
    world = AddressedNodes()
    transport = Dials(world.network, HOME)
    config = world.node(0, HOME, outbound=OutboundLimits(places=1, feeler_s=30.0)).config
    node = Node(0, config=config, clock=world.clock, transport=transport)
    tell(node, *(address(number) for number in range(5)))
    async with running(node):
        await world.pass_time(600)
        assert 5 <= len(transport.dialled) <= 5 * (1 + 600 // RETRY_S)
        assert len(node.book) == 5, "a network that is down costs no address"


SEED = PeerAddress("seed.example", PORT)


class Names:
    """What seeds' names stand for, and how often that was asked."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts
        self.asked = 0

    async def __call__(self, seed: PeerAddress) -> list[PeerAddress]:
        self.asked += 1
        return [PeerAddress(host, seed.port) for host in self.hosts]


async def test_seeds_are_asked_if_the_book_is_empty() -> None:
    world = AddressedNodes()
    seed, *peers = others(world, ["31.1.1.1", "32.1.1.1", "33.1.1.1"])
    names = Names("31.1.1.1")
    now_s = world.clock.now_ms() // 1000
    for peer in peers:
        for source in range(8):
            seed.book.add(PeerAddress(peer.config.host, PORT), address(source).host, now_s)
    outbound = OutboundLimits(places=8, seeds=(SEED,))
    config = world.node(0, HOME, outbound=outbound).config
    node = Node(0, config=config, clock=world.clock, transport=world.network.transport(HOME), resolve=names)
    async with running(seed, *peers, node):
        await world.joined(node, seed)
        await until(lambda: len(world.known(node)) > 1)
        await world.pass_time(30)
        assert origins(node)[-1] == "seed"
        assert "book" in origins(node)
        assert names.asked == 1


@pytest.mark.parametrize("somebody_answers", [True, False])
async def test_seeds_are_asked_if_nobody_answers_only(somebody_answers: bool) -> None:
    world = AddressedNodes()
    seed, peer = others(world, ["31.1.1.1", "32.1.1.1"])
    names = Names("31.1.1.1")
    outbound = OutboundLimits(places=4, seeds=(SEED,))
    config = world.node(0, HOME, outbound=outbound).config
    node = Node(0, config=config, clock=world.clock, transport=world.network.transport(HOME), resolve=names)
    tell(node, *(address(number) for number in range(20)))
    if somebody_answers:
        node.book.reached(PeerAddress("32.1.1.1", PORT))
    await world.pass_time(RETRY_S)
    async with running(seed, peer, node):
        await world.pass_time(120)
        assert node.knows(seed) is not somebody_answers
        assert (names.asked > 0) is not somebody_answers


async def test_a_node_does_not_go_on_dialling_itself() -> None:
    world = AddressedNodes()
    transport = Dials(world.network, HOME)
    config = world.node(0, HOME, announced=False).config
    node = Node(0, config=config, clock=world.clock, transport=transport)
    async with running(node):
        for _ in range(10):
            tell(node, PeerAddress(HOME, PORT))
            await world.pass_time(2 * RETRY_S)
        assert transport.dialled == [PeerAddress(HOME, PORT)]
