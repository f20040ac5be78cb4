"""Nodes tell each other of nodes: who learns what from whom, and how little a stranger can make of it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from engram.p2p.addressbook import SHARE_PERCENT
from engram.p2p.addresses import ANSWER_S, PASSED_ON, TAKEN_BURST, TAKEN_PER_S
from engram.p2p.addressmessages import MAX_ADDRESSES, Addresses, AnnounceAddresses, GetAddresses
from engram.p2p.link import Listener, PeerAddress
from engram.p2p.manager import PeerConfig
from engram.p2p.memory import MemoryNetwork, MemoryTransport
from engram.p2p.messages import (
    ADDRESS_VERSION,
    Ping,
    Pong,
)
from engram.p2p.netgroup import packed_host
from engram.p2p.outbound import OutboundLimits
from tests.support.address_book import address
from tests.support.addressed_nodes import PORT, AddressedNodes, told
from tests.support.p2p_nodes import Node, running
from tests.support.until import until

SEED, FIRST, SECOND, STRANGER = "21.1.1.1", "22.1.1.1", "23.1.1.1", "24.1.1.1"


class Anywhere(MemoryTransport):
    """The transport of a host at which a node listens without naming it."""

    def __init__(self, network: MemoryNetwork, host: str) -> None:
        super().__init__(network, host)
        self._at = host

    @asynccontextmanager
    async def listen(self, host: str, port: int) -> AsyncIterator[Listener]:
        assert host == "0.0.0.0"
        async with super().listen(self._at, port) as listener:
            yield listener


async def test_a_newcomer_hears_of_the_others_and_dials_them() -> None:
    world = AddressedNodes()
    seed, first = world.node(0, SEED), world.node(1, FIRST, peers=(PeerAddress(SEED, PORT),))
    second = world.node(2, SECOND, peers=(PeerAddress(SEED, PORT),))
    async with running(seed, first):
        await world.joined(first, seed)
        await until(lambda: FIRST in world.known(seed))
        async with running(second):
            await world.joined(second, seed)
            await until(lambda: FIRST in world.known(second) or SECOND in world.known(first))
            await world.pass_time(15)
            await world.joined(second, first)


async def test_an_old_peer_is_asked_nothing_and_told_nothing_unasked() -> None:
    world = AddressedNodes()
    node = world.node(0, FIRST)
    async with running(node), world.scripted(node, STRANGER, ADDRESS_VERSION - 1) as old:
        async with world.scripted(node, SECOND) as other:
            await other.send(AnnounceAddresses((told("31.1.1.1"),)))
            await other.barrier()
        await world.pass_time(1)
        await old.send(Ping(9))
        assert isinstance(await old.expect(object), Pong), "it would have come before"


async def test_one_answer_a_session_and_the_same_for_everybody_for_an_hour() -> None:
    world = AddressedNodes()
    node = world.node(0, FIRST)
    now_s = world.clock.now_ms() // 1000
    for number in range(2_000):
        node.book.add(address(number % 200, group=number // 200), address(number % 50).host, now_s - 7_300)
    async with running(node):
        answers = []
        for _ in range(2):
            async with world.scripted(node, STRANGER) as peer:
                await peer.send(GetAddresses(1), GetAddresses(2))
                first, second = await peer.expect(Addresses), await peer.expect(Addresses)
                assert first.asker == packed_host(STRANGER)
                assert second.addresses == ()
                answers.append(first.addresses)
        assert answers[0] == answers[1]
        assert 0 < len(answers[0]) <= len(node.book) * SHARE_PERCENT // 100 <= MAX_ADDRESSES
        assert {each.hours for each in answers[0]} == {2}
        world.clock.advance(int(ANSWER_S * 1000))
        async with world.scripted(node, STRANGER) as peer:
            await peer.send(GetAddresses(1))
            assert set((await peer.expect(Addresses)).addresses) != set(answers[0])


async def test_a_flood_of_addresses_is_taken_slowly() -> None:
    world = AddressedNodes()
    node = world.node(0, FIRST)
    async with running(node), world.scripted(node, STRANGER) as peer:
        await peer.expect(AnnounceAddresses)
        for start in range(0, 100, 10):
            await peer.send(AnnounceAddresses(tuple(told(address(start + n).host) for n in range(10))))
        await peer.barrier()
        taken = len(node.book)
        assert TAKEN_BURST - 5 <= taken <= TAKEN_BURST, "some may find their place taken"
        world.clock.advance(100_000)
        for start in range(100, 200, 10):
            await peer.send(AnnounceAddresses(tuple(told(address(start + n).host) for n in range(10))))
        await peer.barrier()
        assert taken < len(node.book) <= TAKEN_BURST + 100 * TAKEN_PER_S


@pytest.mark.parametrize(
    ("peer_host", "host", "port", "is_taken"),
    [
        (STRANGER, "31.1.1.1", 8646, True),
        (STRANGER, "31.1.1.1", 1_024, True),
        (STRANGER, "31.1.1.1", 1_023, False),
        (STRANGER, "31.1.1.1", 25, False),
        (STRANGER, "10.0.0.7", 8646, False),
        (STRANGER, "127.0.0.1", 8646, False),
        (STRANGER, "0.0.0.0", 8646, False),
        (STRANGER, FIRST, 8646, False),
        ("10.0.0.1", "10.0.0.7", 8646, True),
        ("10.0.0.1", "31.1.1.1", 8646, False),
        ("10.0.0.1", "127.0.0.1", 8646, False),
        ("127.0.0.1", "127.0.0.1", 9_000, True),
        ("127.0.0.1", "31.1.1.1", 8646, False),
        ("host.example", "31.1.1.1", 8646, False),
    ],
)
async def test_only_what_means_something_to_this_node_is_taken(
    peer_host: str, host: str, port: int, is_taken: bool
) -> None:
    world = AddressedNodes()
    node = world.node(0, FIRST)
    async with running(node), world.scripted(node, peer_host) as peer:
        await peer.send(AnnounceAddresses((told(host, port),)))
        await peer.barrier()
        assert (PeerAddress(host, port) in {entry.address for entry in node.book}) is is_taken


async def test_no_scope_is_told_of_another() -> None:
    world = AddressedNodes()
    node = world.node(0, FIRST)
    hosts = {"public": "31.1.1.1", "private": "10.0.0.7", "loopback": "127.0.0.1"}
    for host in hosts.values():
        node.book.add(PeerAddress(host, 9_000), host, world.clock.now_ms() // 1000)
    async with running(node):
        for scope, asker in (("public", STRANGER), ("private", "10.0.0.1"), ("loopback", "127.0.0.5")):
            async with world.scripted(node, asker) as peer:
                await peer.send(GetAddresses(1))
                assert (await peer.expect(Addresses)).addresses == (told(hosts[scope], 9_000),)


async def test_news_is_passed_on_to_a_few_and_not_back() -> None:
    world = AddressedNodes()
    node = world.node(0, FIRST, announced=False)
    async with running(node), AsyncExitStack() as stack:
        peers = [
            await stack.enter_async_context(world.scripted(node, f"{40 + number}.1.1.1"))
            for number in range(5)
        ]
        await peers[0].send(AnnounceAddresses((told("31.1.1.1"), told("10.0.0.1"))))
        await peers[0].barrier()
        heard = 0
        for peer in peers:
            await peer.send(GetAddresses(7))
            while not isinstance(message := await peer.expect(object), Addresses):
                if isinstance(message, AnnounceAddresses):
                    assert peer is not peers[0]
                    assert message.addresses == (told("31.1.1.1"),)
                    heard += 1
        assert heard == PASSED_ON


@pytest.mark.parametrize("networks", [1, 2])
async def test_a_node_says_where_it_is_once_two_networks_agree_and_its_dial_leads_back(networks: int) -> None:
    """Those that it speaks with are told then, too."""
    world = AddressedNodes()
    hosts = ("41.7.1.1", "42.7.1.1") if networks == 2 else ("41.7.1.1", "41.7.2.2")
    servers = [world.node(number, host) for number, host in enumerate(hosts, 1)]
    peers, limits = tuple(PeerAddress(host, PORT) for host in hosts), OutboundLimits(places=1, feeler_s=10.0)
    config = PeerConfig("0.0.0.0", PORT, peers, outbound=limits)
    node = Node(0, config=config, clock=world.clock, transport=Anywhere(world.network, FIRST))
    async with running(*servers, node):
        await world.joined(node, *servers)
        assert FIRST not in world.known(servers[0])
        await world.pass_time(20)
        if networks == 2:
            await until(lambda: FIRST in world.known(servers[0]))
        async with world.scripted(node, "43.1.1.1", at=FIRST) as late:
            await late.send(GetAddresses(1))
            first = await late.expect(AnnounceAddresses if networks == 2 else Addresses)
            assert not isinstance(first, AnnounceAddresses) or first.addresses == (told(FIRST),)


async def test_malformed_addresses_end_the_session() -> None:
    world = AddressedNodes()
    node = world.node(0, FIRST)
    async with running(node):
        async with world.scripted(node, STRANGER) as peer:
            await peer.send_raw(b"\x42" + b"\x91\x90")  # no address at all
            await node.policy.wait_for("out_of_range")
            await peer.expect_closing()
        async with world.scripted(node, STRANGER) as peer:
            await peer.send(Addresses(1, None, ()))
            await node.policy.wait_for("unsolicited_reply")
    assert len(node.book) == 0
