"""Encrypted sessions over real sockets, and those who stand between two nodes: none goes unnoticed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from engram.node.client import RpcClient
from engram.node.config import Config
from engram.node.localnet.links import CuttableLink
from engram.node.node import Node as WholeNode
from engram.p2p.acceptor import Acceptor
from engram.p2p.certificate import fresh_credentials
from engram.p2p.encryption import Encryption
from engram.p2p.errors import DialFailed, DisconnectReason, LinkClosed
from engram.p2p.handshake import Role
from engram.p2p.link import Link, PeerAddress
from engram.p2p.messages import BOUND_VERSION, PROTOCOL_VERSION, BoundAuth, Hello
from engram.p2p.transport import WebSocketTransport
from engram.primitives.keys import format_address
from tests.support.faults import Played, inputs
from tests.support.node_chain import CAROL, SPEC
from tests.support.node_network import Member
from tests.support.p2p_chain import WAIT_S
from tests.support.p2p_nodes import Node, node_key, running
from tests.support.p2p_scripted import SCRIPTED, ScriptedPeer, bound, parting, raw_socket
from tests.support.until import until

HOST = "127.0.0.1"
ALWAYS, AUTO, NEVER = Encryption.ALWAYS, Encryption.AUTO, Encryption.NEVER
R = DisconnectReason


def node(number: int, encryption: Encryption = ALWAYS) -> Node:
    return Node(number, transport=WebSocketTransport(encryption=encryption))


def count(node: Node, code: str) -> int:
    """How many connections the node has seen end so."""
    return [reported for _, reported in node.policy.reports].count(code)


async def carry(source: Link, target: Link) -> None:
    """Passes on every frame, and the end."""
    with suppress(LinkClosed):
        while True:
            await target.send(await source.receive())
    await target.close()


@asynccontextmanager
async def man_in_the_middle(target: PeerAddress, onward: Encryption) -> AsyncIterator[PeerAddress]:
    """Ends the encryption of whoever dials him, if there is any, and passes all words on to the target."""

    async def stand_between(group: asyncio.TaskGroup) -> None:
        async for near in listener.links():
            far = await dialling.dial(target)
            group.create_task(carry(near, far))
            group.create_task(carry(far, near))

    dialling, taking = WebSocketTransport(encryption=onward), WebSocketTransport(encryption=NEVER)
    async with dialling, taking, taking.listen(HOST, 0) as listener, asyncio.TaskGroup() as group:
        standing = group.create_task(stand_between(group))
        try:
            yield PeerAddress(HOST, listener.port)
        finally:
            standing.cancel()


async def test_a_session_is_encrypted_at_both_ends() -> None:
    first, second = node(0), node(1)
    async with running(first, second):
        await second.connect(first)
        assert [info.encrypted for each in (first, second) for info in each.manager.peers()] == [True, True]
        block = first.chain.mine(b"in secret")
        await second.chain.wait_for(lambda: block.id in second.chain.blocks)


async def test_within_a_machine_nothing_is_encrypted_unless_asked_for() -> None:
    first, second, strict = node(0, AUTO), node(1, AUTO), node(2)
    async with running(first, second, strict):
        await second.connect(first)
        await strict.connect(first)
        assert {info.node_key: info.encrypted for info in first.manager.peers()} == {
            second.key.public_key: False,
            strict.key.public_key: True,
        }


@pytest.mark.fault(id=54)
@pytest.mark.parametrize(
    ("dialler", "onward", "acceptor"),
    [(ALWAYS, ALWAYS, ALWAYS), (ALWAYS, NEVER, NEVER), (NEVER, ALWAYS, ALWAYS)],
    ids=["encrypted on both sides", "encryption stripped", "encryption added"],
)
async def test_a_man_in_the_middle_is_told_by_both_sides(
    dialler: Encryption, onward: Encryption, acceptor: Encryption, fault: Played
) -> None:
    times = inputs(54, sample=2, share=0.2)
    near, far = node(0, dialler), node(1, acceptor)
    async with running(near, far), man_in_the_middle(far.address, onward) as middle:
        near.manager.add_peer(middle)
        await until(lambda: min(count(each, "channel_mismatch") for each in (near, far)) >= times)
        near.manager.remove_peer(middle)
        assert {code for each in (near, far) for _, code in each.policy.reports} == {"channel_mismatch"}
        assert near.chain.partings == far.chain.partings == [], "no session came to be"
        assert not near.policy.score(far.key.public_key), "nobody is blamed for what another does"
        assert not far.policy.score(near.key.public_key)
    fault.tell(times, code="channel_mismatch")


@pytest.mark.fault(id=54)
async def test_who_only_carries_bytes_changes_nothing() -> None:
    first, second, link = node(0), node(1), CuttableLink()
    async with running(first, second):
        await link.open()
        try:
            link.lead_to(first.manager.port)
            second.manager.add_peer(PeerAddress.parse(link.address))
            await second.chain.wait_for(lambda: second.knows(first))
            assert [info.encrypted for info in second.manager.peers()] == [True]
            assert second.policy.reports == []
        finally:
            await link.close()


@pytest.mark.fault(id=54)
@pytest.mark.parametrize("signed", ["another certificate", "no certificate"])
async def test_a_proof_for_another_certificate(signed: str) -> None:
    """The acceptor presents one certificate and signs for another, that of another session for example."""
    dialler, transport = node(0), WebSocketTransport(encryption=ALWAYS)
    channel = fresh_credentials().channel if signed == "another certificate" else None
    async with running(dialler), transport, transport.listen(HOST, 0) as listener:
        dialler.manager.add_peer(PeerAddress(HOST, listener.port))
        acceptor = ScriptedPeer(await anext(aiter(listener.links())), node_key(SCRIPTED), PROTOCOL_VERSION)
        own = acceptor.hello()
        await acceptor.send(own)
        remote = await acceptor.expect(Hello)
        assert (await acceptor.expect(BoundAuth)).channel == acceptor.link.channel
        await acceptor.send(bound(acceptor, remote, own, channel, Role.ACCEPTOR))
        await parting(dialler, acceptor, R.OTHER_CHANNEL, "channel_mismatch")
        acceptor.link.abort()


@pytest.mark.fault(id=54)
async def test_a_proof_that_only_names_the_certificate() -> None:
    acceptor, transport = node(0), WebSocketTransport(encryption=ALWAYS)
    async with running(acceptor), transport:
        dialler = ScriptedPeer(await transport.dial(acceptor.address), node_key(SCRIPTED), PROTOCOL_VERSION)
        own = dialler.hello()
        await dialler.send(own)
        proof = bound(dialler, own, await dialler.expect(Hello), None)
        await dialler.send(replace(proof, channel=dialler.link.channel))
        await parting(acceptor, dialler, R.BAD_HANDSHAKE, "bad_handshake")
        dialler.link.abort()


@pytest.mark.fault(id=54)
async def test_an_older_node_cannot_have_made_an_encrypted_connection() -> None:
    """Whoever made it passes on the words of one that speaks no TLS, so that nothing is bound."""
    acceptor, transport = node(0), WebSocketTransport(encryption=ALWAYS)
    async with running(acceptor), transport:
        dialler = ScriptedPeer(await transport.dial(acceptor.address), node_key(SCRIPTED), BOUND_VERSION - 1)
        await dialler.send(dialler.hello())
        await parting(acceptor, dialler, R.WRONG_VERSION, "peer_version_unsupported")
        dialler.link.abort()


class Answering(asyncio.Protocol):
    """Answers the first bytes of a connection, of which it takes down one, with the same words each time.

    Some answer before anything is asked.
    """

    def __init__(self, heard: list[bytes], answer: bytes, early: bool) -> None:
        self.heard = heard
        self.answer = answer
        self.early = early

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self.early:
            transport.write(self.answer)

    def data_received(self, data: bytes) -> None:
        self.heard.append(data[:1])
        self.transport.write(self.answer)
        self.transport.close()


@pytest.mark.fault(id=54)
@pytest.mark.parametrize("early", [False, True], ids=["asked", "early"])
@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x46", b"", b"\x16\x03\x03\x00\x02ok"],
    ids=["as an older node", "alert", "nothing", "garbage"],
)
async def test_a_dialler_never_falls_back_to_plain(answer: bytes, early: bool) -> None:
    heard: list[bytes] = []
    dialler = node(0)
    async with running(dialler), Acceptor(lambda: Answering(heard, answer, early)) as stripping:
        await stripping.listen(HOST, 0)
        dialler.manager.add_peer(PeerAddress(HOST, stripping.port))
        await until(lambda: len(dialler.policy.failed) >= 3)
    assert set(heard) <= {b"\x16"}, "each time it asks for TLS and says nothing else"
    assert early or len(heard) >= 3


@pytest.mark.fault(id=54)
@pytest.mark.parametrize(
    ("version", "protocol"),
    [(ssl.TLSVersion.TLSv1_2, "engram-p2p"), (ssl.TLSVersion.TLSv1_3, "h2")],
    ids=["TLS 1.2", "another protocol"],
)
async def test_a_server_of_another_tls_is_refused(version: ssl.TLSVersion, protocol: str) -> None:
    context = fresh_credentials().context
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_2, version
    context.set_alpn_protocols([protocol])
    server = await asyncio.start_server(lambda _, writer: writer.close(), HOST, 0, ssl=context)
    transport = WebSocketTransport(encryption=ALWAYS)
    async with server, transport:
        with pytest.raises(DialFailed, match=r"no TLS 1\.3 of nodes is spoken there"):
            await transport.dial(PeerAddress(HOST, server.sockets[0].getsockname()[1]))


@pytest.mark.fault(id=54)
async def test_a_node_that_wants_encryption_refuses_plain_and_says_so() -> None:
    strict = node(0)
    async with running(strict), raw_socket(strict) as plain:
        assert await plain.upgrade() == 426
        async with WebSocketTransport(encryption=NEVER) as transport:
            with pytest.raises(DialFailed, match="encrypted connections only: set p2p_tls to auto"):
                await transport.dial(strict.address)
        assert strict.policy.reports == []


@asynccontextmanager
async def whole_nodes(folder: Path) -> AsyncIterator[Callable[..., Awaitable[Member]]]:
    """Starts whole nodes that encrypt everything, each by its name and the addresses that it dials."""
    members: list[Member] = []

    async def start(name: str, *peers: PeerAddress) -> Member:
        config = Config(
            data_dir=folder / name,
            rpc_port=0,
            p2p_port=0,
            p2p_tls="always",
            peers=tuple(map(str, peers)),
            miner_address=format_address(CAROL.address, SPEC.hrp),
        )
        whole = WholeNode(config, SPEC)
        members.append(Member(name, whole, asyncio.create_task(whole.run())))
        async with asyncio.timeout(WAIT_S):
            await whole.ready.wait()
        return members[-1]

    try:
        yield start
    finally:
        for member in members:
            member.node.stop()
        async with asyncio.timeout(WAIT_S):
            await asyncio.gather(*(member.task for member in members))


def address_of(member: Member) -> PeerAddress:
    """Where a whole node is dialled, and by which key."""
    return PeerAddress(HOST, member.services.peers.port, member.key)


async def test_three_nodes_mine_and_pass_on_one_chain_by_tls(tmp_path: Path) -> None:
    async with whole_nodes(tmp_path) as start:
        first = await start("first")
        middle = await start("middle", address_of(first))
        last = await start("last", address_of(middle))
        await until(lambda: len(middle.peers) == 2)
        for miner, follower in ((first, last), (last, first)):
            await miner.mine()
            await follower.follow(miner)
        assert first.chain.head.height == 2
        async with RpcClient(middle.url) as client:
            assert [peer["encrypted"] for peer in await client.call("peer_list")] == [True, True]


@pytest.mark.fault(id=54)
async def test_an_operator_is_warned_of_the_man_in_the_middle(tmp_path: Path) -> None:
    async with whole_nodes(tmp_path) as start:
        far = await start("far")
        async with man_in_the_middle(address_of(far), ALWAYS) as middle:
            near = await start("near", middle)
            await until(lambda: near.services.peers.targets()[0].error is not None)
            async with RpcClient(near.url) as client:
                status, (target,) = await client.call("node_status"), await client.call("peer_targets")
        assert target["error"]["code"] == "channel_mismatch"
        assert "intercepted" in [warning["code"] for warning in status["warnings"]]
        assert near.peers == far.peers == []
