"""What blocks that lose may cost a node: nothing without work of their own, and a bounded share with it."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from engram.consensus.block import Block
from engram.node.chain.floor import REGAINED_BYTES, SIDE_BYTES
from engram.node.chain.headers import work_of_header
from engram.node.chain.orphans import memory_of
from engram.node.clock import FakeClock
from engram.node.peering import WASTED_BYTES
from engram.p2p.messages import Announce, BlockData, GetBlock, GetHeaders
from engram.primitives.codec import encode
from engram.primitives.packing import pack
from engram.primitives.types import Hash
from engram.statemachine.transactions.publish_chunk import PublishChunk
from tests.support.faults import Played, inputs
from tests.support.memory_chain import MemoryChain, search
from tests.support.node_chain import ALICE, SPEC, fork, ids, miner_address, running
from tests.support.node_network import NodeNetwork, node_network
from tests.support.served_chain import ServedChain
from tests.support.until import until

HARD = replace(SPEC, genesis_target=(1 << 249).to_bytes(32, "big"))
"""A block costs 128 digests on schedule, and two after a pause."""
CHUNK_BYTES = 262_144


def mined(branch: MemoryChain, number: int, timestamp_ms: int | None = None) -> Block:
    """The next block of a branch by a miner of this number; the branch stays as it is."""
    template = branch.template(miner=miner_address(number), timestamp_ms=timestamp_ms)
    return template.seal(search(branch.spec, template.header))


class OldFork:
    """A chain, and a block off an old block whose late timestamp makes its children almost free."""

    def __init__(self, siblings: int) -> None:
        self.chain = MemoryChain(HARD)
        for _ in range(12):
            self.chain.mine()
        self.branch = fork(self.chain, 9)
        self.now_ms = self.chain.tip.timestamp_ms + 3_600_000
        self.branch.take(mined(self.branch, 1, self.now_ms - 5_000))
        self.siblings = [mined(self.branch, number, self.now_ms) for number in range(2, siblings + 2)]


def serving(blocks: list[Block], others: list[Block]) -> ServedChain:
    """A peer whose best chain are these blocks, and who has the bodies of others too."""
    served = ServedChain(blocks, spec=HARD)
    bodies = {block.header.id: pack(encode(block)) for block in others}

    async def body(name: Hash) -> bytes | None:
        return bodies.get(name) or served.found(name)

    served.body = body
    return served


@pytest.mark.fault(id=38)
async def test_siblings_off_an_old_block_are_neither_kept_nor_passed_on(
    tmp_path: Path, fault: Played
) -> None:
    """Fails if `is_worth_a_body` always says yes: then every sibling is executed, kept and announced."""
    count = inputs(38, sample=20)
    old = OldFork(count + 1)
    names, parent = ids(old.siblings), old.branch.blocks[-1]
    assert work_of_header(old.siblings[0].header) * 50 < work_of_header(old.chain.tip)
    async with node_network(tmp_path, HARD, FakeClock(old.now_ms)) as network:
        node, other = await network.line("node", "other")
        await node.take(old.chain.blocks[1:])
        await other.follow(node)
        served = serving(old.chain.blocks, [parent, *old.siblings])
        manager = await network.serve("stranger", served, "node")
        await network.connected(node, 2)
        manager.gossip.announce_block(parent.header.id)
        await until(lambda: node.chain.store.find_ref(parent.header.id))
        for name in names:
            manager.gossip.announce_block(name)
            await until(partial(network.asked, "node", name))
        names.pop()  # bodies are judged one after the other: before it, all others were
        before = node.chain.store.files.end
        await node.mine()
        await other.follow(node)
        assert [name for name in names if node.chain.store.find_ref(name)] == []
        assert node.chain.store.files.end.offset - before.offset < 1_000, "the block that was mined"
        passed = [said.message for said in network.said if said[:2] == ("node", "other")]
        told = {name for message in passed if isinstance(message, Announce) for name in message.blocks}
        assert not told & {*names, parent.header.id}
        assert served.partings == [], "nobody is to blame"
        heavier = fork(old.chain, 9)
        for _ in range(5):
            heavier.take(mined(heavier, 7))
        served.blocks = heavier.blocks
        manager.gossip.announce_block(heavier.tip.id)
        await node.reach(14)
        assert node.chain.head.id == heavier.tip.id, "what has more work is fetched, from wherever it forks"
    fault.tell(count, code="little_work")


def answered(network: NodeNetwork, headers: int, bodies: int) -> bool:
    """Whether the node has asked the stranger for more headers than before, or for so many bodies in all."""
    asked = network.count("node", "stranger", GetHeaders), network.count("node", "stranger", GetBlock)
    return asked[0] > headers or asked[1] == bodies


async def test_who_sends_bodies_for_nothing_is_asked_for_headers_only(tmp_path: Path) -> None:
    old = OldFork(WASTED_BYTES // (64 * 1024) + 32)
    async with node_network(tmp_path, HARD, FakeClock(old.now_ms)) as network:
        node = await network.start("node")
        await node.take(old.chain.blocks[1:])
        served = serving(old.chain.blocks, [old.branch.blocks[-1], *old.siblings])
        manager = await network.serve("stranger", served, "node")
        await network.connected(node)
        manager.gossip.announce_block(old.branch.tip.id)
        await until(lambda: node.chain.store.find_ref(old.branch.tip.id))
        asked = network.count("node", "stranger", GetHeaders)
        names = ids(old.siblings)
        while names and network.count("node", "stranger", GetHeaders) == asked:
            bodies = network.count("node", "stranger", GetBlock)
            batch, names = names[:16], names[16:]
            for name in batch:
                manager.gossip.announce_block(name)
            await until(partial(answered, network, asked, bodies + len(batch)))
        bodies = network.count("node", "stranger", GetBlock)
        assert WASTED_BYTES // (66 * 1024) < bodies <= WASTED_BYTES // (64 * 1024) + 17
        served.blocks = [*old.chain.blocks, mined(old.chain, 9)]
        manager.gossip.announce_block(served.blocks[-1].header.id)
        await node.reach(13)


async def test_rivals_that_cost_as_much_as_the_head_are_kept_up_to_a_bound() -> None:
    """On a chain whose every block costs two digests, work alone bounds nothing."""
    chain = MemoryChain(SPEC)
    for _ in range(3):
        chain.mine()
    parts = [
        PublishChunk(bytes(32), CHUNK_BYTES * 4, index, bytes([index]) * CHUNK_BYTES) for index in range(4)
    ]
    chunks = [chain.sign(ALICE, part, nonce=nonce) for nonce, part in enumerate(parts)]
    below = fork(chain, 2)
    rivals = [below.template(chunks, miner=miner_address(number)) for number in range(1, 9)]
    blocks = [template.seal(search(SPEC, template.header)) for template in rivals]
    size = memory_of(blocks[0])
    async with running() as node:
        await node.take(*chain.blocks[1:])
        offered = [await node.chain.import_block(block, unasked=True) for block in blocks]
        kept = -(-SIDE_BYTES // size)
        assert [answer.outcome for answer in offered] == ["side"] * kept + ["behind"] * (8 - kept)
        assert {answer.code for answer in offered[kept:]} == {"little_work"}
        again = await node.chain.import_block(blocks[-1], unasked=True)
        assert again.outcome == "behind", "it was not executed, so it is not called invalid or known"
        for _ in range((kept * size - SIDE_BYTES) // REGAINED_BYTES + 1):
            await node.take(chain.mine())
        rival = mined(fork(chain, chain.height - 1), 30)
        assert (await node.chain.import_block(rival, unasked=True)).outcome == "side"
        assert (await node.chain.import_block(blocks[-1])).outcome == "side", "whoever asks for it gets it"


async def test_parked_blocks_are_not_executed_by_the_way() -> None:
    """A block whose parent is missing waits without being judged; what it may cost is asked afterwards."""
    old = OldFork(5)
    async with running(spec=HARD, now_ms=old.now_ms) as node:
        await node.take(*old.chain.blocks[1:])
        waiting = [await node.chain.import_block(block, unasked=True) for block in old.siblings]
        assert {answer.code for answer in waiting} == {"unknown_parent"}
        parent = await node.chain.import_block(old.branch.blocks[-1], unasked=True)
        assert parent.outcome == "side"
        assert [name for name in ids(old.siblings) if node.chain.store.find_ref(name)] == []


@pytest.mark.fault(id=26, inputs=40)
@pytest.mark.fault(id=38)
async def test_cheap_blocks_from_the_future_take_no_place_of_a_dear_one(tmp_path: Path) -> None:
    """Blocks off an old one cost what it cost then. Whoever dates them far ahead would have them kept."""
    chain = MemoryChain(HARD)
    for _ in range(12):
        chain.mine()
    ahead_ms = chain.tip.timestamp_ms + 60_000
    cheap = [mined(fork(chain, 1), number, ahead_ms + number) for number in range(40)]
    honest = mined(chain, 99, chain.tip.timestamp_ms + HARD.future_limit_ms + 500)
    clock = FakeClock(chain.tip.timestamp_ms)
    async with node_network(tmp_path, HARD, clock) as network:
        node = await network.start("node")
        await node.take(chain.blocks[1:])
        served = serving(chain.blocks, [*cheap, honest])
        manager = await network.serve("peer", served, "node")
        await network.connected(node)
        manager.gossip.announce_block(honest.header.id)
        await until(lambda: node.chain.parked(honest.header.id))
        for block in cheap:
            manager.gossip.announce_block(block.header.id)
        last = cheap[-1].header.id
        await until(lambda: network.asked("node", last))
        await until(partial(was_answered, network))
        assert not any(node.chain.parked(block.header.id) for block in cheap)
        assert node.chain.parked(honest.header.id) == "timestamp_ahead"
        clock.advance(500)
        await node.reach(13)
        assert node.chain.head.id == honest.header.id
        assert served.partings == [], "to be early is no offence"


def was_answered(network: NodeNetwork) -> bool:
    """Whether the peer has answered every request for a block."""
    return network.count("peer", "node", BlockData) == network.count("node", "peer", GetBlock)
