"""Blocks that are offered together: they are judged in one visit of the writer's thread."""

import asyncio

import pytest

from engram.node.chain.chain import RUN_S
from engram.node.clock import FakeClock
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, SPEC, best_rows, fork, ids, miner_address, resealed, running

BLOCKS = 12


@pytest.fixture(scope="module")
def branch() -> MemoryChain:
    chain = MemoryChain(SPEC)
    for number in range(BLOCKS):
        chain.mine([chain.sign(ALICE, Transfer(BOB.address, 1 + number))])
    return chain


async def test_a_run_moves_the_head_once_and_readers_hear_of_each_block(branch: MemoryChain) -> None:
    async with running() as node, running() as other:
        calls: list[int] = []
        node.chain.listen(lambda: calls.append(node.chain.head.height))
        changes = node.chain.changes()
        answers = await node.chain.import_run(branch.blocks[1:])
        assert [answer.outcome for answer in answers] == ["extended"] * BLOCKS
        assert [answer.block for answer in answers] == ids(branch.blocks)[1:]
        assert calls == [BLOCKS]
        assert [ref.id for ref in (await anext(changes)).connected] == ids(branch.blocks)[1:]
        await other.take(*branch.blocks[1:])
        assert best_rows(node.chain.store) == best_rows(other.chain.store)


async def test_a_wrong_block_ends_the_run_under_its_own_name(branch: MemoryChain) -> None:
    wrong = resealed(branch.blocks[5], state_root=bytes(32))
    async with running() as node:
        answers = await node.chain.import_run([*branch.blocks[1:5], wrong, *branch.blocks[6:]])
        assert [answer.outcome for answer in answers] == ["extended"] * 4 + ["invalid"]
        assert (answers[-1].block, answers[-1].code) == (wrong.header.id, "wrong_state_root")
        assert node.chain.head.height == 4
        answers = await node.chain.import_run(branch.blocks[5:])
        assert (len(answers), node.chain.head.height) == (BLOCKS - 4, BLOCKS)


async def test_a_block_that_cannot_be_judged_yet_ends_the_run_and_is_kept(branch: MemoryChain) -> None:
    async with running() as node:
        answers = await node.chain.import_run([branch.blocks[1], branch.blocks[3], branch.blocks[4]])
        assert [answer.outcome for answer in answers] == ["extended", "parked"]
        assert node.chain.parked(branch.blocks[3].header.id) == "unknown_parent"
        assert not node.chain.parked(branch.blocks[4].header.id), "it was not reached"
        assert await node.take(branch.blocks[2]) == ["extended"]
        assert node.chain.head.height == 3, "the one that was kept is judged after its parent"


async def test_a_run_overtakes_the_best_chain_at_its_end(branch: MemoryChain) -> None:
    rival = fork(branch, 3)
    for _ in range(BLOCKS):
        rival.mine(miner=miner_address(1))
    async with running() as node:
        await node.chain.import_run(branch.blocks[1:])
        answers = await node.chain.import_run(rival.blocks[4:])
        assert [answer.outcome for answer in answers] == ["side"] * (BLOCKS - 3) + ["reorged"] + [
            "extended"
        ] * 2
        assert node.chain.head.id == ids(rival.blocks)[-1]


async def test_the_head_moves_in_between_when_a_run_takes_long(
    branch: MemoryChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look at the clock costs a third of what a run may take, so three blocks are judged in a visit."""
    read = FakeClock.monotonic

    def slow(clock: FakeClock) -> float:
        clock.advance(round(1_000 * RUN_S / 3) + 1)
        return read(clock)

    async with running() as node:
        monkeypatch.setattr(FakeClock, "monotonic", slow)
        answers = await node.chain.import_run(branch.blocks[1:])
        assert 1 <= len(answers) <= 3
        assert node.chain.head.height == len(answers)
        rest = await asyncio.gather(
            *(node.chain.import_block(block) for block in branch.blocks[1 + len(answers) :])
        )
        assert {answer.outcome for answer in rest} == {"extended"}
