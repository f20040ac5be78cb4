"""Transactions that the base of fees has outgrown: they wait, are not offered to templates, and return."""

from dataclasses import replace

from engram.statemachine.fees import risen
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, CAROL, SPEC, Running, fork, miner_address, running, settled

CROWDED = replace(SPEC, rules=replace(SPEC.rules, max_block_transactions=3))
"""A chain on which two transactions make a block that lets no time pass."""
FLOOR = SPEC.rules.fees.floor
CAP = risen(FLOOR, 3)
"""Enough for three crowded blocks."""


def crowd(branch: MemoryChain) -> list[Transaction]:
    nonce = branch.state.account(CAROL.address).nonce
    return [branch.sign(CAROL, Transfer(BOB.address, 1), nonce=nonce + each) for each in range(2)]


async def waits(node: Running, tx: Transaction) -> str:
    while node.mempool.followed != node.chain.head.height:
        await settled()
    return (await node.mempool.hindrances([ALICE.address])).get(tx.id, "")


async def test_what_the_base_has_outgrown_waits_until_it_falls() -> None:
    branch = MemoryChain(CROWDED)
    modest = branch.sign(ALICE, Transfer(BOB.address, 5), max_fee=CAP)
    behind = branch.sign(ALICE, Transfer(BOB.address, 6), nonce=1)
    async with running(spec=CROWDED) as node:
        assert (await node.mempool.admit(modest)).accepted
        assert (await node.mempool.admit(behind)).accepted
        for exponent in range(1, 6):
            await node.take(branch.mine(crowd(branch)))
            outgrown = exponent > 3
            assert await waits(node, modest) == ("fee_too_low" if outgrown else "")
            assert await waits(node, behind) == ("fee_too_low" if outgrown else "")
            assert node.mempool.candidates() == ([] if outgrown else [modest, behind])
            assert node.mempool.parked == outgrown
            assert node.mempool.minimum_fee(node.mempool.entries()[0]) == risen(FLOOR, exponent)
        poor = branch.sign(BOB, Transfer(CAROL.address, 5), max_fee=CAP)
        assert (await node.mempool.admit(poor)).code == "fee_too_low", "a new one is told at once"
        await node.take(branch.mine())
        assert await waits(node, modest) == ""
        assert node.mempool.candidates() == [modest, behind]
        await node.take(branch.mine(node.mempool.candidates()))
        assert await waits(node, modest) == ""
        assert len(node.mempool) == 0


async def test_a_template_that_is_too_early_to_know_loses_nothing() -> None:
    branch = MemoryChain(CROWDED)
    modest = branch.sign(ALICE, Transfer(BOB.address, 5), max_fee=FLOOR)
    async with running(spec=CROWDED) as node:
        assert (await node.mempool.admit(modest)).accepted
        await node.take(branch.mine(crowd(branch)))
        template = branch.template([modest])
        assert template.skipped == {modest.id: "fee_too_low"}
        await node.mempool.leave_out(node.chain.head, template.skipped)
        assert node.mempool.get(modest.id) is modest
        assert await waits(node, modest) == "fee_too_low"


async def test_a_reorganisation_parks_what_the_new_branch_makes_too_dear() -> None:
    """It has been in a block, so it is not given up: on the new branch the base is higher for now."""
    start = MemoryChain(CROWDED)
    modest = start.sign(ALICE, Transfer(BOB.address, 5), max_fee=FLOOR)
    old, new = fork(start), fork(start)
    old.mine([modest], miner=miner_address(1))
    for _ in range(3):
        new.mine(crowd(new), miner=miner_address(2))
    async with running(spec=CROWDED) as node:
        await node.take(*old.blocks[1:])
        await node.take(*new.blocks[1:])
        assert node.chain.head.id == new.tip.id
        assert await waits(node, modest) == "fee_too_low"
        for _ in range(2):
            await node.take(new.mine())
        assert await waits(node, modest) == ""
        assert node.mempool.candidates() == [modest]
