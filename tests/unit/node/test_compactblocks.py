"""What a node does with a compact form: header and work first, then the mempool, then the root."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from engram.consensus.block import Block
from engram.consensus.errors import BodyTooLarge, PowNotMet
from engram.node import compactblocks
from engram.node.chain.headers import CheckedBlock
from engram.node.compactblocks import NEAR_BLOCKS, CompactBlocks, HeldBlock
from engram.node.concurrency import ReaderThreads
from engram.node.errors import InvalidAncestor, LittleWork
from engram.node.largebody import BodyPart
from engram.p2p.blockmessages import MAX_BLOCK_BYTES
from engram.p2p.errors import WrongReply
from engram.p2p.messages import CompactForm
from engram.primitives.codec import encode
from engram.primitives.errors import CodecError
from engram.primitives.packing import pack, pack_plain
from engram.statemachine.content import blob_id
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions.publish_chunk import PublishChunk
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, SPEC, Running, paying_chain, resealed, running, settled
from tests.support.node_chain import without_work as lazy


class Compact:
    """A node's side of compact relay, and a sender's blocks."""

    def __init__(self, node: Running, threads: ReaderThreads) -> None:
        self.node = node
        self.threads = threads
        self.compact = CompactBlocks(node.chain, node.mempool, node.clock, threads)

    async def form(self, block: Block, *prefilled: int) -> CompactForm:
        """The form in which an honest peer sends a block."""
        served = HeldBlock(block, self.threads)
        key, short_ids = await served.short_ids()
        return CompactForm(served.header, key, short_ids, prefilled, await served.body(prefilled))


@asynccontextmanager
async def compact_node() -> AsyncIterator[Compact]:
    async with running() as node:
        threads = ReaderThreads(2)
        try:
            yield Compact(node, threads)
        finally:
            threads.close()


@pytest.fixture(scope="module")
def chain() -> MemoryChain:
    return paying_chain(6)


def payments(chain: MemoryChain, count: int) -> list[Transaction]:
    nonce = chain.state.account(ALICE.address).nonce
    return [
        chain.sign(ALICE, Transfer(BOB.address, 1), nonce=nonce + number, max_fee=100_000)
        for number in range(count)
    ]


def paid_block(count: int) -> Block:
    """The first block after genesis, with so many payments."""
    chain = MemoryChain(SPEC)
    return chain.mine(payments(chain, count))


def part(transactions: Sequence[Transaction]) -> bytes:
    return pack(encode(BodyPart(tuple(transactions))))


async def test_a_block_is_put_together_from_the_mempool() -> None:
    block = paid_block(6)
    async with compact_node() as here:
        for tx in block.transactions[:4]:
            assert (await here.node.mempool.admit(tx)).accepted
        partial = await here.compact.open(block.header.id, await here.form(block, 4))
        assert partial is not None
        assert partial.missing == (5,)
        found = await partial.complete(part(block.transactions[5:]))
        assert isinstance(found, CheckedBlock)
        assert found.block == block
        assert not partial.was_false(found)
        assert await here.node.take() == []
        assert (await here.node.chain.import_block(found)).outcome == "extended"


async def test_what_waits_under_other_short_ids_gives_no_block() -> None:
    block, other = paid_block(3), paid_block(4)
    async with compact_node() as here:
        for tx in other.transactions:
            await here.node.mempool.admit(tx)
        form = await here.form(other)
        partial = await here.compact.open(
            block.header.id, replace(form, header=(await here.form(block)).header)
        )
        assert partial is not None
        assert await partial.complete(None) is None
        whole = await here.compact.open(block.header.id, await here.form(block))
        assert whole is not None
        true = await whole.complete(None)
        assert true is not None
        assert partial.was_false(true)
        assert not whole.was_false(true)


async def test_a_header_that_no_honest_peer_sends_is_refused() -> None:
    block = paid_block(1)
    async with compact_node() as here:
        form = await here.form(block)
        with pytest.raises(WrongReply):
            await here.compact.open(bytes(32), form)
        with pytest.raises(CodecError):
            await here.compact.open(block.header.id, replace(form, header=form.header + b"\0"))
        weak = lazy(block.header)
        with pytest.raises(PowNotMet):
            await here.compact.open(weak.id, replace(form, header=encode(weak)))
        assert here.node.chain.head.height == 0


async def test_a_child_of_an_invalid_block_is_refused(chain: MemoryChain) -> None:
    async with compact_node() as here:
        bad = resealed(chain.blocks[1], state_root=bytes(32))
        child = resealed(chain.blocks[2], parent=bad.header.id)
        assert await here.node.take(bad) == ["invalid:wrong_state_root"]
        with pytest.raises(InvalidAncestor):
            await here.compact.open(child.header.id, await here.form(child))


async def test_nothing_is_asked_for_of_a_block_that_has_lost(chain: MemoryChain) -> None:
    rival = resealed(chain.blocks[1], miner=bytes([7]) * 20)
    async with compact_node() as here:
        await here.node.take(*chain.blocks[1:])
        with pytest.raises(LittleWork):
            await here.compact.open(rival.header.id, await here.form(rival))


async def test_a_block_that_must_be_kept_is_fetched_whole(chain: MemoryChain) -> None:
    """Its parent is unknown, or its timestamp lies ahead of the clock."""
    ahead = resealed(chain.blocks[1], timestamp_ms=2 * 10**12)
    async with compact_node() as here:
        for block in (chain.blocks[2], ahead):
            assert await here.compact.open(block.header.id, await here.form(block)) is None


async def test_the_child_of_a_block_in_execution_waits_for_it(chain: MemoryChain) -> None:
    parent, child = chain.blocks[1:3]
    async with compact_node() as here:
        with here.compact.importing(parent.header.id):
            opening = asyncio.create_task(here.compact.open(child.header.id, await here.form(child)))
            await settled()
            assert not opening.done()
            await here.node.take(parent)
        assert await opening is not None


async def test_two_imports_of_one_block_are_told_apart(chain: MemoryChain) -> None:
    """As when two peers bring it: a child waits until the later one has ended."""
    parent, child = chain.blocks[1:3]
    async with compact_node() as here:
        with here.compact.importing(parent.header.id):
            opening = asyncio.create_task(here.compact.open(child.header.id, await here.form(child)))
            with here.compact.importing(parent.header.id):
                await here.node.take(parent)
            assert await opening is not None


async def test_no_block_is_put_together_that_could_not_be_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    block = paid_block(3)
    size = sum(tx.size_bytes for tx in block.transactions)
    async with compact_node() as here:
        for limit, fits in ((size + 1, True), (size, True), (size - 1, False)):
            monkeypatch.setattr(compactblocks, "carried_bytes", {MAX_BLOCK_BYTES: limit}.__getitem__)
            partial = await here.compact.open(block.header.id, await here.form(block))
            assert partial is not None
            if fits:
                assert await partial.complete(part(block.transactions)) is not None
            else:
                with pytest.raises(BodyTooLarge):
                    await partial.complete(part(block.transactions))


@pytest.mark.parametrize("raw", [b"", b"\x02", pack_plain(b"\x90"), pack_plain(b"\x91\x91\xc0")])
async def test_bytes_that_are_no_transactions_are_refused(raw: bytes) -> None:
    block = paid_block(1)
    async with compact_node() as here:
        form = await here.form(block)
        with pytest.raises(CodecError):
            await here.compact.open(block.header.id, replace(form, transactions=raw))
        partial = await here.compact.open(block.header.id, form)
        assert partial is not None
        with pytest.raises(CodecError):
            await partial.complete(raw)


async def test_only_blocks_at_the_head_are_read_for_peers(chain: MemoryChain) -> None:
    async with compact_node() as here:
        await here.node.take(*chain.blocks[1:])
        near = [await here.compact.near(block.header.id) for block in chain.blocks]
        assert [block is not None for block in near] == [False] * (7 - NEAR_BLOCKS) + [True] * NEAR_BLOCKS
        assert await here.compact.near(bytes(32)) is None
        last, block = near[-1], chain.blocks[-1]
        assert last is not None
        assert (last.id, last.header) == (block.header.id, encode(block.header))
        assert await last.packed() == pack(encode(block))
        assert await last.short_ids() == await last.short_ids()


async def test_of_the_large_parts_of_a_block_one_is_deflated() -> None:
    """Whoever asks for ever new places gets them plain, so that deflating does not keep the node busy."""
    chain = MemoryChain(SPEC)
    data = bytes(SPEC.rules.chunk_bytes)
    name = blob_id(data * 3)
    chunks = [chain.sign(ALICE, PublishChunk(name, 3 * len(data), at, data), nonce=at) for at in range(3)]
    block = Block(chain.tip, tuple(chunks))
    async with compact_node() as here:
        held = HeldBlock(block, here.threads)
        first = await asyncio.gather(held.body((0, 2)), held.body((0, 2)))
        assert set(first) == {part([chunks[0], chunks[2]])}
        assert len(first[0]) < len(data)
        other = await held.body((1, 2))
        assert other == pack_plain(encode(BodyPart((chunks[1], chunks[2]))))
        assert await held.body((0, 2)) == first[0]


async def test_every_block_in_memory_has_a_key_of_its_own() -> None:
    block = paid_block(2)
    async with compact_node() as here:
        first, second = HeldBlock(block, here.threads), HeldBlock(block, here.threads)
        assert (await first.short_ids())[0] != (await second.short_ids())[0]
