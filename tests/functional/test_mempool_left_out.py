"""What a block template cannot hold: kept while only others stand in its way, dropped by the head."""

from engram.node.storage.store import BlockRef
from engram.primitives.types import Hash
from engram.statemachine.content import blob_id
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions.publish_chunk import PublishChunk
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import (
    ALICE,
    BOB,
    CAROL,
    SPEC,
    Running,
    fork,
    miner_address,
    running,
    settled,
)

RAW = b"brought twice"
BROUGHT = PublishChunk(blob_id(RAW), len(RAW), 0, RAW)


async def assembled(node: Running, branch: MemoryChain) -> tuple[BlockRef, dict[Hash, str]]:
    """What a miner does with the mempool before it searches: the head, and what its template skips."""
    template = branch.template(node.mempool.candidates())
    await node.mempool.leave_out(node.chain.head, template.skipped)
    return node.chain.head, dict(template.skipped)


async def admitted(node: Running, *txs: Transaction) -> None:
    for tx in txs:
        assert (await node.mempool.admit(tx)).accepted


async def test_a_rival_of_a_template_waits_until_its_block_is_there() -> None:
    branch = MemoryChain(SPEC)
    first = branch.sign(ALICE, BROUGHT)
    rival = branch.sign(BOB, BROUGHT)
    after = branch.sign(BOB, Transfer(CAROL.address, 1), nonce=1)
    async with running() as node:
        await admitted(node, first, rival, after)
        _, skipped = await assembled(node, branch)
        assert skipped[rival.id] == "blob_known"
        assert node.mempool.candidates() == [first], "the template is not put together in vain again"
        assert len(node.mempool) == 3

        lost = fork(branch)
        await node.take(lost.mine(miner=miner_address(1)))
        assert node.mempool.candidates() == [first, rival, after], "another block came: all of them may fit"

        branch = lost
        await assembled(node, branch)
        await node.take(branch.mine([first]))
        _, skipped = await assembled(node, branch)
        assert skipped[rival.id] == "blob_known"
        assert node.mempool.get(rival.id) is None
        assert node.mempool.drop_reason(rival.id) == "blob_known"


async def test_what_the_head_itself_refuses_is_dropped_at_once() -> None:
    branch = MemoryChain(SPEC)
    late = branch.sign(BOB, BROUGHT)
    async with running() as node:
        await admitted(node, late)
        await node.take(branch.mine([branch.sign(ALICE, BROUGHT)]))
        await assembled(node, branch)
        assert len(node.mempool) == 0
        assert node.mempool.drop_reason(late.id) == "blob_known"


async def test_a_node_that_does_not_mine_drops_it_too() -> None:
    """Else its sender's next transaction would wait for hours behind one that no block can hold."""
    branch = MemoryChain(SPEC)
    late = branch.sign(BOB, BROUGHT)
    async with running() as node:
        await admitted(node, late)
        await node.take(branch.mine([branch.sign(ALICE, BROUGHT)]))
        while len(node.mempool):
            await settled()
        assert node.mempool.drop_reason(late.id) == "blob_known"
        assert node.mempool.next_nonce(BOB.address) == 0
        await admitted(node, branch.sign(BOB, Transfer(CAROL.address, 1)))


async def test_what_finds_no_room_is_tried_again_on_the_same_head() -> None:
    branch = MemoryChain(SPEC)
    tx = branch.sign(ALICE, Transfer(BOB.address, 1))
    async with running() as node:
        await admitted(node, tx)
        await node.mempool.leave_out(node.chain.head, {tx.id: "block_macs_exceeded"})
        assert node.mempool.candidates() == [tx]
