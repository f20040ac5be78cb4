"""Whole nodes of a chain whose blocks may be larger than a message: relay, download, mending, files."""

from dataclasses import dataclass
from pathlib import Path

from engram.consensus.block import Block, transactions_root
from engram.node.chain.exchange import export_blocks, import_blocks
from engram.node.chain.importer import ImportStatus
from engram.node.clock import FakeClock
from engram.node.compactblocks import HeldBlock
from engram.node.concurrency import ReaderThreads
from engram.p2p.blockmessages import GetOutline, Outline
from engram.p2p.messages import BlockData, BlockTransactions, CompactBlock, GetBlockTransactions, encode_frame
from engram.p2p.relayed import ServedBlock
from engram.primitives.codec import encode
from engram.primitives.packing import pack
from engram.primitives.types import Hash
from tests.support.damage import damage_body
from tests.support.large_blocks import LARGE, body_bytes_of, large_chain, upload
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import LATE_MS, SPEC, memory_store, opened, paying_chain, resealed
from tests.support.node_network import NodeNetwork, node_network
from tests.support.served_chain import AskingChain, ServedChain
from tests.support.until import until

MIB = 1 << 20


def carried(network: NodeNetwork, source: str, target: str) -> int:
    """Bytes of all frames with which one host has sent another blocks or parts of them."""
    return sum(
        len(encode_frame(said.message))
        for said in network.said
        if said[:2] == (source, target)
        and isinstance(said.message, CompactBlock | BlockTransactions | BlockData | Outline)
    )


async def test_a_block_that_nobody_has_seen_is_relayed_once_to_each(tmp_path: Path) -> None:
    _, (block,) = large_chain(48)
    size = body_bytes_of([block])
    assert size > 12 * MIB
    async with node_network(tmp_path, LARGE, FakeClock(LATE_MS)) as network:
        members = await network.line("one", "two", "three")
        await members[0].take([block])
        for member in members[1:]:
            await member.follow(members[0])
        for source, target in (("one", "two"), ("two", "three")):
            assert network.count(target, source, GetOutline) == 1
            assert size < carried(network, source, target) < size + MIB // 8
            assert network.count(source, target, BlockData) == 0
        assert len(members[2].chain.store.get_block(members[2].chain.head).transactions) == 48


async def test_what_waits_everywhere_is_not_sent_again(tmp_path: Path) -> None:
    """A mempool of this chain takes 12 MiB of one sender, which fit into one block."""
    transactions = upload(MemoryChain(LARGE), 48)
    async with node_network(tmp_path, LARGE) as network:
        members = await network.line("one", "two")
        for tx in transactions:
            await members[0].admit(tx)
        await until(lambda: all(members[1].waits(tx) for tx in transactions))
        network.said.clear()
        await members[0].mine()
        await members[1].follow(members[0])
        assert len(members[1].chain.store.get_block(members[1].chain.head).transactions) == 48
        assert carried(network, "one", "two") < 10_000


async def test_few_missing_transactions_are_asked_for_at_once(tmp_path: Path) -> None:
    """The block is larger than a message, but what is missing of it is not."""
    _, (block,) = large_chain(40)
    async with node_network(tmp_path, LARGE, FakeClock(LATE_MS)) as network:
        one, two = await network.line("one", "two")
        for tx in block.transactions[:37]:
            await two.admit(tx)
        await one.take([block])
        await two.follow(one)
        assert network.count("one", "two", BlockTransactions) == 1
        assert network.count("two", "one", GetOutline) == 0
        assert carried(network, "one", "two") < MIB


async def test_a_node_catches_up_with_blocks_of_all_sizes(tmp_path: Path) -> None:
    chain, blocks = large_chain(0, 1, 30, 0, 16, 40, 2, 60)
    async with node_network(tmp_path, LARGE, FakeClock(LATE_MS)) as network:
        for name in ("first", "second"):
            source = await network.start(name)
            await source.take(blocks)
        node = await network.start("node", "first", "second")
        await node.reach(chain.height)
        asked = network.count("node", "first", GetBlockTransactions) + network.count(
            "node", "second", GetBlockTransactions
        )
        assert asked >= body_bytes_of([block for block in blocks if len(block.transactions) >= 16]) // MIB
        got = carried(network, "first", "node") + carried(network, "second", "node")
        assert got < body_bytes_of(blocks) * 5 // 4
        assert node.chain.head.id == chain.tip.id


async def test_a_damaged_body_is_fetched_again_in_parts(tmp_path: Path) -> None:
    chain, blocks = large_chain(20, 30, 1)
    async with node_network(tmp_path, LARGE, FakeClock(LATE_MS)) as network:
        hurt, whole = await network.line("hurt", "whole")
        for member in (hurt, whole):
            await member.take(blocks)
            await member.reach(chain.height)
        store, damaged = hurt.chain.store, [block.header.id for block in blocks[:2]]
        for name in damaged:
            damage_body(hurt.node.config.data_dir, store, name)
            assert store.whole_block(store.get_ref(name)) is None
        await until(lambda: not store.damaged)
        assert [store.get_block(store.get_ref(name)) for name in damaged] == blocks[:2]
        assert network.count("whole", "hurt", Outline) == 2


async def test_large_blocks_travel_in_files_too(tmp_path: Path) -> None:
    chain, blocks = large_chain(20, 1)
    file = tmp_path / "blocks"
    with opened(memory_store(), LARGE) as source:
        head = source.start.head
        for block in blocks:
            head = source.importer.import_block(block, head, LATE_MS).head
        export_blocks(source.store, head, LARGE, file)
    with opened(memory_store(), LARGE) as target:
        done = import_blocks(target.importer, target.start.head, LARGE, file, LATE_MS, lambda height: None)
    assert (done.head.id, done.imported) == (chain.tip.id, 2)


async def test_a_chain_of_smaller_blocks_never_asks_for_more_than_a_message(tmp_path: Path) -> None:
    """The peer has a block with true work whose body is too large: five MiB on a chain of four."""
    chain = MemoryChain(SPEC)
    transactions = upload(chain, 20)
    root = transactions_root([tx.id for tx in transactions])
    block = Block(resealed(chain.mine(), transactions_root=root).header, tuple(transactions))
    with opened(memory_store()) as judge:
        verdict = judge.importer.import_block(block, judge.start.head, LATE_MS).answer
        assert (verdict.outcome, verdict.code) == (ImportStatus.INVALID, "body_too_large")

    @dataclass
    class Boasting(ServedChain):
        async def near_block(self, block_id: Hash) -> ServedBlock | None:
            return HeldBlock(block, threads)

    threads = ReaderThreads(1)
    served = Boasting([*MemoryChain(SPEC).blocks, block], claimed_work=1)
    async with node_network(tmp_path, clock=FakeClock(LATE_MS)) as network:
        node = await network.start("node")
        manager = await network.serve("peer", served, "node")
        await until(manager.peers)
        manager.gossip.announce_block(block.header.id)
        # By the announcement, and by the headers to which it leads; both are answered with nil.
        await until(lambda: network.count("peer", "node", BlockData) == 2)
        assert network.count("node", "peer", GetBlockTransactions) == 1, "which is too much for one message"
        assert network.count("node", "peer", GetOutline) == 0
        assert node.chain.head.height == 0
    threads.close()


async def test_a_chain_of_smaller_blocks_gives_no_outlines(tmp_path: Path) -> None:
    chain = paying_chain(2)
    served = AskingChain(chain.blocks)
    async with node_network(tmp_path, clock=FakeClock(LATE_MS)) as network:
        node = await network.start("node")
        await node.take(chain.blocks[1:])
        await network.serve("peer", served, "node")
        session = await served.session()
        for block in chain.blocks:
            assert await session.get_outline(block.header.id, 10.0) is None
            assert await session.get_block(block.header.id) is not None


async def test_a_question_for_a_block_that_no_message_carries_costs_no_reading(tmp_path: Path) -> None:
    """Its body is damaged, which nobody has noticed once the answer is there."""
    chain, blocks = large_chain(20, 1)
    served = AskingChain(chain.blocks[:1])
    served.spec = LARGE
    async with node_network(tmp_path, LARGE, FakeClock(LATE_MS)) as network:
        node = await network.start("node")
        await node.take(blocks)
        store, (large, small) = node.chain.store, [block.header.id for block in blocks]
        damage_body(node.node.config.data_dir, store, large)
        await network.serve("peer", served, "node")
        session = await served.session()
        assert await session.get_block(large) is None
        assert await session.get_blocks([large, small], 10.0) == (None, pack(encode(blocks[1])))
        assert not store.damaged
        assert await session.get_outline(large, 10.0) is None
        assert large in store.damaged
