"""However deep a reorganisation is, it ends as on a node that has seen one branch only."""

import os
from typing import Final

import pytest

from engram.node.chain.importer import ImportStatus
from engram.statemachine.content import Inline
from engram.statemachine.transactions.publish_part import PublishPart
from engram.statemachine.transactions.transfer import Transfer
from tests.support.crash_server import ROWS
from tests.support.faults import SCALE_VARIABLE, Played
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, CAROL, SPEC, fork, kept_rows, miner_address, running

DEPTHS: Final = (1, 2, 10, 100, 1_088, 2_000)
PLAYED: Final = DEPTHS if SCALE_VARIABLE in os.environ else DEPTHS[:3]
"""The suite has a reorganisation of a hundred blocks already; the deeper ones take minutes."""


def branches(depth: int) -> tuple[MemoryChain, MemoryChain]:
    """Two branches from block 1: one of `depth` blocks, and one of one more; both pay, and bring data."""
    trunk = MemoryChain(SPEC)
    trunk.mine()
    loser, winner = fork(trunk), fork(trunk)
    for branch, sender, blocks in ((loser, ALICE, depth), (winner, BOB, depth + 1)):
        for number in range(blocks):
            wishes = [branch.sign(sender, Transfer(CAROL.address, 1 + number))]
            if number % 50 == 1:
                branch.mine(
                    [branch.sign(sender, PublishPart(20, 400, 2, number.to_bytes(32, "big"), Inline(ROWS)))],
                    miner=miner_address(blocks),
                )
                continue
            branch.mine(wishes, miner=miner_address(blocks))
    return loser, winner


@pytest.mark.fault(id=12)
@pytest.mark.parametrize("depth", PLAYED)
async def test_any_depth_ends_as_on_a_new_node(depth: int, fault: Played) -> None:
    loser, winner = branches(depth)
    async with running() as node, running() as fresh:
        await node.take(*loser.blocks[1:])
        outcomes = [await node.chain.import_block(block) for block in winner.blocks[2:]]
        assert outcomes[-1].outcome is ImportStatus.REORGED
        assert {outcome.outcome for outcome in outcomes[:-1]} <= {ImportStatus.SIDE}
        await fresh.take(*winner.blocks[1:])
        assert node.chain.head.state_root == fresh.chain.head.state_root
        assert kept_rows(node.chain.store) == kept_rows(fresh.chain.store)
        lost = {tx.id for block in loser.blocks for tx in block.transactions}
        kept = {tx.id for block in winner.blocks for tx in block.transactions}
        known = set(node.mempool.ids())
        assert known <= lost - kept, "nothing waits that is in a block"
    fault.tell(1)
