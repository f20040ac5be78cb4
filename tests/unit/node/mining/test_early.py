"""A miner whose clock is behind the head: it waits, says for what, and goes on by itself."""

from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from engram.node.errors import BlockTooEarly
from engram.node.mining.early import LOOK_S
from engram.node.mining.mining import Mining, MiningSetup
from tests.support.mining import mining
from tests.support.node_chain import CAROL, SPEC, Running, reach, settled
from tests.support.until import until

HOURS_MS = 7_200_000
YEAR_2106_MS = 2**32 * 1000


async def waiting(node: Running, hands: Mining, set_ms: int) -> str:
    """Sets the clock; what the miner says once it waits."""
    node.clock.set(set_ms)
    hands.start(max_hashes_per_s=10**6 + hands.setup.max_hashes_per_s)  # it looks at the clock anew
    await until(lambda: hands.waits is not None)
    return str(hands.status()["waits"])


async def goes_on(node: Running, set_ms: int) -> None:
    height = node.chain.head.height
    node.clock.set(set_ms)
    node.clock.advance(int(LOOK_S * 1000))
    await reach(node.chain, height + 3)


def codes(lines: Sequence[object]) -> list[str]:
    return [str(line["code"]) for line in lines if isinstance(line, dict) and "code" in line]


@pytest.mark.fault(id=47, inputs=6)
async def test_a_clock_that_jumps_back_and_forth_ends_no_mining() -> None:
    with capture_logs() as lines:
        async with mining(MiningSetup(CAROL.address, active=True)) as (node, hands):
            for steps, jump_ms in enumerate((300_000, HOURS_MS, node.clock.now_ms()), 1):
                await reach(node.chain, node.chain.head.height + 3)
                right_ms = node.clock.now_ms()
                said = await waiting(node, hands, right_ms - jump_ms)
                head, blocks = node.chain.head, hands.blocks
                assert "the head is" in said
                assert "s ahead of this machine's clock; if the clock is wrong, set it" in said
                for _ in range(5):
                    node.clock.advance(int(LOOK_S * 200))
                    await settled()
                assert (node.chain.head.id, hands.blocks) == (head.id, blocks), "nothing is mined in vain"
                await goes_on(node, right_ms)
                assert hands.waits is None
                assert codes(lines) == ["head_ahead"] * steps, "said once each time"
            await goes_on(node, YEAR_2106_MS)
            said = await waiting(node, hands, node.clock.now_ms() - HOURS_MS)
            assert "UTC on 2106-" in said
            await goes_on(node, node.clock.now_ms() + HOURS_MS)


async def test_it_waits_no_longer_than_until_the_head_is_due() -> None:
    async with mining(MiningSetup(CAROL.address, active=True)) as (node, hands):
        await reach(node.chain, 3)
        await waiting(node, hands, node.clock.now_ms() - 60_000)
        assert hands.waits is not None
        due_ms, head = hands.waits.until_ms, node.chain.head
        assert due_ms == head.header.timestamp_ms - SPEC.future_limit_ms
        node.clock.advance(due_ms - node.clock.now_ms() - 1)
        await until(lambda: hands.waits is not None)
        assert node.chain.head is head
        node.clock.advance(int(LOOK_S * 1000))
        await reach(node.chain, head.height + 1)


async def test_whoever_asks_for_a_block_that_would_be_refused_is_told() -> None:
    async with mining(MiningSetup(CAROL.address)) as (node, hands):
        await hands.mine(12)
        right_ms, head = node.clock.now_ms(), node.chain.head
        node.clock.set(right_ms - HOURS_MS)
        with pytest.raises(BlockTooEarly) as told:
            await hands.mine(2)
        assert told.value.code == "block_too_early"
        assert node.chain.head is head
        node.clock.set(right_ms)
        assert len(await hands.mine(2)) == 2
