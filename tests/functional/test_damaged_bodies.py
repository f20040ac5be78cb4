"""A flipped bit in an old body ends no node: it tells peers that it lacks the block, and fetches it again."""

import asyncio
from pathlib import Path

import pytest

from engram.consensus.block import Block
from engram.node.client import RpcClient
from engram.node.concurrency import ReaderThreads
from engram.node.errors import DamagedBody, RemoteError
from engram.node.storage.store import BLOCKS_DIRECTORY
from engram.node.sync.mending import RETRY_S, Mending
from engram.p2p.messages import BlockData
from engram.primitives.codec import encode
from engram.primitives.packing import pack
from engram.primitives.types import Hash
from tests.support.damage import damage_body
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import (
    disk_store,
    fork,
    ids,
    miner_address,
    opened,
    paying_chain,
    running,
    settled,
)
from tests.support.node_network import Member, NodeNetwork
from tests.support.scripted_peer import ScriptedPeer
from tests.support.served_chain import AskingChain, ServedChain
from tests.support.until import until

pytestmark = pytest.mark.fault(id=42)

OLD = 7
"""Height of a block that holds a transaction."""


@pytest.fixture(scope="module")
def chain() -> MemoryChain:
    return paying_chain(30)


def hurt(network: NodeNetwork, member: Member, block: Hash) -> None:
    damage_body(member.node.config.data_dir, member.chain.store, block)


def body_of(member: Member, block: Hash) -> Block | None:
    store = member.chain.store
    return store.whole_block(store.get_ref(block))


async def synced(network: NodeNetwork, chain: MemoryChain) -> Member:
    """The node "hurt", which has the chain from the node "whole"."""
    whole, hurt_one = await network.line("whole", "hurt")
    await whole.take(chain.blocks[1:])
    await hurt_one.follow(whole)
    return hurt_one


async def test_a_peer_that_asks_is_told_nil_and_the_body_is_fetched_from_another(
    network: NodeNetwork, chain: MemoryChain
) -> None:
    hurt_one = await network.start("hurt")
    await hurt_one.take(chain.blocks[1:])
    wanted = chain.blocks[OLD].header.id
    hurt(network, hurt_one, wanted)
    asker = AskingChain(chain.blocks[:1])
    await network.serve("asker", asker, "hurt")
    session = await asker.session()
    assert await session.get_block(wanted) is None
    assert network.count("hurt", "asker", BlockData) == 1
    other = await session.get_block(chain.blocks[OLD + 1].header.id)
    assert other == pack(encode(chain.blocks[OLD + 1])), "what is whole is served"
    assert wanted in hurt_one.chain.store.damaged
    await network.serve("whole", ServedChain(chain.blocks), "hurt")
    await until(lambda: not hurt_one.chain.store.damaged)
    assert await session.get_block(wanted) == pack(encode(chain.blocks[OLD]))
    assert hurt_one.chain.head.height == 30


async def test_a_client_is_told_the_code_and_later_the_block(
    network: NodeNetwork, chain: MemoryChain
) -> None:
    hurt_one = await synced(network, chain)
    await network.stop("whole")
    wanted = chain.blocks[OLD].header.id
    hurt(network, hurt_one, wanted)
    async with RpcClient(hurt_one.url) as client:
        for method, params in (
            ("chain_block", {"height": OLD}),
            ("tx_status", {"txid": chain.blocks[OLD].transactions[0].id.hex()}),
        ):
            with pytest.raises(RemoteError) as told:
                await client.call(method, **params)
            assert told.value.code == DamagedBody.code == "damaged_body"
        await network.start("whole", "hurt")
        await until(lambda: not hurt_one.chain.store.damaged)
        answer = await client.call("chain_block", height=OLD)
    assert answer["id"] == wanted.hex()
    assert len(answer["transactions"]) == 1


async def test_damage_among_the_last_blocks_does_not_keep_a_node_from_starting(
    network: NodeNetwork, chain: MemoryChain
) -> None:
    hurt_one = await synced(network, chain)
    for height in (30, 28):
        hurt(network, hurt_one, chain.blocks[height].header.id)
    await network.stop("hurt")
    hurt_one = await network.start("hurt", "whole")
    await until(lambda: not hurt_one.chain.store.damaged)
    assert hurt_one.chain.head.id == chain.blocks[30].header.id
    assert [body_of(hurt_one, chain.blocks[height].header.id) for height in (30, 28)] == [
        chain.blocks[30],
        chain.blocks[28],
    ]
    await network.stop("hurt")
    hurt_one = await network.start("hurt")
    assert not hurt_one.chain.store.damaged, "what was stored again is found at the next start"


async def test_block_files_that_lost_their_end_are_filled_again(
    network: NodeNetwork, chain: MemoryChain
) -> None:
    hurt_one = await synced(network, chain)
    place = hurt_one.chain.store.body_location(hurt_one.chain.store.get_ref(chain.blocks[OLD].header.id))
    await network.stop("hurt")
    with (hurt_one.node.config.data_dir / BLOCKS_DIRECTORY / "000000.dat").open("r+b") as file:
        file.truncate(place.offset + 20)
    hurt_one = await network.start("hurt", "whole")
    assert hurt_one.chain.head.id == chain.blocks[30].header.id
    await until(lambda: not hurt_one.chain.store.damaged)
    assert [body_of(hurt_one, block.header.id) for block in chain.blocks[1:]] == chain.blocks[1:]


async def test_false_bodies_are_not_stored_and_cost_the_peer_its_session(
    network: NodeNetwork, chain: MemoryChain
) -> None:
    hurt_one = await network.start("hurt")
    await hurt_one.take(chain.blocks[1:])
    wanted = chain.blocks[OLD]
    hurt(network, hurt_one, wanted.header.id)
    assert body_of(hurt_one, wanted.header.id) is None

    async def emptied(block: Hash) -> bytes | None:
        return pack(encode(Block(wanted.header, ())))

    liar = ServedChain(chain.blocks, body=emptied)
    await network.serve("liar", liar, "hurt")
    await liar.parting()
    assert body_of(hurt_one, wanted.header.id) is None
    await network.serve("whole", ServedChain(chain.blocks), "hurt")
    await until(lambda: not hurt_one.chain.store.damaged)
    assert body_of(hurt_one, wanted.header.id) == wanted


async def test_whoever_lacked_it_is_asked_again_later(tmp_path: Path, chain: MemoryChain) -> None:
    wanted = chain.blocks[OLD]
    served = ServedChain(chain.blocks)
    answers = [None, served.found(wanted.header.id)]

    async def first_nothing(block: Hash) -> bytes | None:
        return answers.pop(0)

    served.body = first_nothing
    peer = ScriptedPeer(served)
    threads = ReaderThreads(1)
    async with running(disk_store(tmp_path)) as node, asyncio.TaskGroup() as tasks:
        await node.take(*chain.blocks[1:])
        store = node.chain.store
        mending = Mending(node.chain, node.clock, threads)
        mending.joined(peer)
        service = tasks.create_task(mending.run())
        damage_body(tmp_path, store, wanted.header.id)
        assert store.whole_block(store.get_ref(wanted.header.id)) is None
        await until(lambda: len(answers) == 1)
        await settled()
        assert (peer.asked, len(store.damaged)) == ([wanted.header.id], 1)
        node.clock.advance(int(RETRY_S * 1_000) - 1)
        await settled()
        assert len(peer.asked) == 1
        node.clock.advance(1)
        await until(lambda: not store.damaged)
        assert store.get_block(store.get_ref(wanted.header.id)) == wanted
        assert not peer.dismissed, "to lack a block is no offence"
        service.cancel()
    threads.close()


async def test_a_reorganisation_over_a_damaged_body_goes_on(tmp_path: Path, chain: MemoryChain) -> None:
    other = fork(chain, 5)
    for _ in range(26):
        other.mine(miner=miner_address(1))
    async with running(disk_store(tmp_path)) as node:
        await node.take(*chain.blocks[1:])
        store = node.chain.store
        damage_body(tmp_path, store, chain.blocks[OLD].header.id)
        await node.take(*other.blocks[6:])
        assert node.chain.head.id == other.blocks[-1].header.id
        await node.take(*chain.blocks[1:])
    with opened(disk_store(tmp_path)) as node_again:
        assert node_again.start.head.id == other.blocks[-1].header.id


async def test_a_whole_body_is_never_written_again(tmp_path: Path, chain: MemoryChain) -> None:
    async with running(disk_store(tmp_path)) as node:
        await node.take(*chain.blocks[1:])
        end = node.chain.store.files.end
        assert await node.take(*chain.blocks[1:]) == ["duplicate"] * 30
        assert node.chain.store.files.end == end
        damage_body(tmp_path, node.chain.store, chain.blocks[OLD].header.id)
        with pytest.raises(DamagedBody):
            node.chain.store.get_block(node.chain.store.get_ref(chain.blocks[OLD].header.id))
        assert await node.take(*chain.blocks[1:]) == ["duplicate"] * 30
        location = node.chain.store.body_location(node.chain.store.get_ref(chain.blocks[OLD].header.id))
        assert (location.file, location.offset) == (end.file, end.offset), "only the damaged one"
        assert [
            node.chain.store.get_block(node.chain.store.get_ref(name)) for name in ids(chain.blocks[1:])
        ] == (chain.blocks[1:])
