"""Whoever withholds blocks gains what the model says for a network that keeps what it saw first, and no more.

The miner with a share of the work keeps found blocks back and publishes them as soon as others come close
(Eyal and Sirer, "Majority is not Enough"). The node is a real one: of two branches with equal work it keeps
the first, so the withholder wins no tie (the model's gamma is 0).
"""

import math
import random
from typing import Final

import pytest

from tests.support.faults import Played, inputs
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import SPEC, Running, fork, miner_address, running

SHARES: Final = (0.2, 1 / 3, 0.4)
BLOCKS: Final = 60
SLACK: Final = 0.02
DEVIATIONS: Final = 3
HONEST, SELFISH = (miner_address(number) for number in (1, 2))


def model(share: float) -> float:
    """The withholder's part of the blocks in the best chain, for gamma 0."""
    rest = 1 - share
    gain = share * rest**2 * 4 * share - share**3
    return gain / (1 - share * (1 + (2 - share) * share))


async def play(node: Running, share: float, rng: random.Random) -> tuple[int, int]:
    """One run: how many of the best chain's blocks are the withholder's, and how many there are."""
    public, secret, published = MemoryChain(SPEC), MemoryChain(SPEC), 0

    async def publish(blocks: int) -> None:
        nonlocal published
        await node.take(*secret.blocks[published + 1 : blocks + 1])
        published = blocks

    for _ in range(BLOCKS):
        if rng.random() < share:
            tie = secret.height == published == public.height and secret.tip.id != public.tip.id
            secret.mine(miner=SELFISH)
            if tie:
                await publish(secret.height)
                public = fork(secret)
            continue
        lead = secret.height - public.height
        await node.take(public.mine(miner=HONEST))
        if lead <= 0:  # the node has kept the public branch: the race is lost, or there was none
            secret, published = fork(public), public.height
        elif lead == 1:
            await publish(secret.height)  # a tie, which the node decides for what it saw first
        elif lead == 2:
            await publish(secret.height)
            public = fork(secret)
        else:
            await publish(published + 1)
    await publish(secret.height)
    store = node.chain.store
    miners = [store.get_ref(block).header.miner for height, block in store.canonical() if height]
    return miners.count(SELFISH), len(miners)


@pytest.mark.fault(id=14)
@pytest.mark.parametrize("share", SHARES)
async def test_withholding_brings_no_more_than_the_model_says(share: float, fault: Played) -> None:
    count = inputs(14, sample=6, share=1 / len(SHARES))
    mine, blocks = 0, 0
    for seed in range(count):
        async with running() as node:
            own, length = await play(node, share, random.Random(seed))
            mine, blocks = mine + own, blocks + length
    expected = model(share)
    deviation = math.sqrt(expected * (1 - expected) / blocks) * 2  # blocks come in runs
    assert abs(mine / blocks - expected) <= SLACK + DEVIATIONS * deviation, (mine / blocks, expected)
    fault.tell(count, ratio=round(mine / blocks / expected, 3))
