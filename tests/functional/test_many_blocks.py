"""Several blocks in one answer: who asks so, what an answer may hold, and what false ones bring."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest

from engram.p2p.blockmessages import BLOCKS_VERSION, MAX_BLOCK_BYTES, Blocks, GetBlocks
from engram.p2p.errors import DisconnectReason, WrongReply
from engram.p2p.messages import PROTOCOL_VERSION, BlockData, GetBlock
from engram.p2p.protocol import Peer
from engram.primitives.packing import pack, plain_size
from tests.support.node_chain import paying_chain
from tests.support.node_network import NodeNetwork
from tests.support.p2p_nodes import Node, node_key, running
from tests.support.p2p_scripted import SCRIPTED, ScriptedPeer, besieged, parting, scripted
from tests.support.served_chain import ServedChain

WAIT_S = 20.0
MEGABYTE = 1 << 20


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with besieged() as node:
        yield node


async def test_an_answer_holds_a_megabyte_or_one_block() -> None:
    node, rng = Node(0), Random(2)
    sizes = (600_000, 400_000, 100_000, 2 * MEGABYTE, 10)
    blocks = [node.chain.append(rng.randbytes(size)) for size in sizes]
    names = tuple(block.id for block in blocks)
    async with running(node), scripted(node, version=PROTOCOL_VERSION) as peer:
        await peer.open()
        answers: list[tuple[bytes | None, ...]] = []
        for asked in (names, names[3:], (bytes(32), names[4])):
            await peer.send(GetBlocks(1, asked))
            answers.append((await peer.expect(Blocks)).blocks)
    packed = [block.packed_bytes for block in blocks]
    assert answers == [tuple(packed[:2]), (packed[3],), (None, packed[4])]


async def asking(node: Node, peer: ScriptedPeer) -> tuple[Peer, "asyncio.Task[object]"]:
    """The node asks the scripted peer for three blocks."""
    await peer.open()
    await peer.barrier()
    (session,) = [each for each in node.chain.peers if each.node_key == node_key(SCRIPTED).public_key]
    return session, asyncio.create_task(_ask(session))


async def _ask(session: Peer) -> object:
    try:
        return await session.get_blocks([bytes([number]) * 32 for number in range(3)], WAIT_S)
    except WrongReply as error:
        return error.code


async def test_a_peer_of_an_older_version_is_asked_for_one(node: Node) -> None:
    async with scripted(node, version=BLOCKS_VERSION - 1) as peer:
        _, task = await asking(node, peer)
        request = await peer.expect(GetBlock)
        assert request.block_id == bytes(32)
        await peer.send(BlockData(request.request, pack(b"a block")))
        assert await task == (pack(b"a block"),)


@pytest.mark.parametrize("answer", [(pack(b"a block"),), (None, pack(b"b")), (None,) * 3])
async def test_an_answer_may_cover_the_first_ids_only(node: Node, answer: tuple[bytes | None, ...]) -> None:
    async with scripted(node, version=PROTOCOL_VERSION) as peer:
        _, task = await asking(node, peer)
        request = await peer.expect(GetBlocks)
        await peer.send(Blocks(request.request, answer))
        assert await task == answer


LONG = pack(bytes(MAX_BLOCK_BYTES // 2 + 1))
assert plain_size(LONG) > MAX_BLOCK_BYTES // 2


@pytest.mark.parametrize(
    "answer",
    [(None,) * 4, (LONG, LONG)],
    ids=["more blocks than were asked for", "more plain bytes than a block may have"],
)
async def test_a_false_answer_ends_the_session(node: Node, answer: tuple[bytes | None, ...]) -> None:
    async with scripted(node, version=PROTOCOL_VERSION) as peer:
        _, task = await asking(node, peer)
        request = await peer.expect(GetBlocks)
        await peer.send(Blocks(request.request, answer))
        assert await task == "wrong_reply"
        await parting(node, peer, DisconnectReason.BAD_REPLY, "wrong_reply")


async def test_a_node_catches_up_with_few_requests(network: NodeNetwork) -> None:
    chain = paying_chain(90)
    await network.serve("source", ServedChain(chain.blocks))
    node = await network.start("node", "source")
    await node.reach(90)
    requests = network.count("node", "source", GetBlock) + network.count("node", "source", GetBlocks)
    assert network.count("node", "source", GetBlocks) > 0
    assert requests < 60
    assert network.bodies_asked("node", "source") == 90
    assert {network.asked("node", block.header.id) for block in chain.blocks[1:]} == {1}
