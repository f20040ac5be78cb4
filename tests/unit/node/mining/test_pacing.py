"""When the programs that play on a test network let its miners go on."""

import asyncio
from typing import Any

import pytest

from engram.node.clock import SystemClock
from engram.node.errors import HoldRefused
from engram.node.mining.mining import MiningSetup
from engram.node.mining.pacing import Pace, Pacing
from tests.support.mining import mining
from tests.support.node_chain import CAROL, SPEC, Running, reach, settled
from tests.support.rpc_door import opened
from tests.support.rpc_shapes import strangers_let_be
from tests.support.until import until

BLOCK_TIME_MS = SPEC.block_time_ms
NOWHERE = "http://127.0.0.1:1"


async def reach_in_time(node: Running, height: int) -> None:
    """Lets time pass until the head has this height."""
    while (head := node.chain.head).height < height:
        node.clock.advance(BLOCK_TIME_MS)
        await node.chain.moved_from(head)


async def test_no_block_is_made_above_the_least_height_for_which_all_are_ready() -> None:
    async with mining(MiningSetup(CAROL.address)) as (node, hands):
        slow, quick = hands.pacing.hold(), hands.pacing.hold()
        quick.allow(100)
        slow.allow(2)
        hands.start()
        await reach_in_time(node, 2)
        slow.allow(1)  # whoever was ready stays ready
        assert hands.pacing.pace.limit == 2
        node.clock.advance(BLOCK_TIME_MS)
        await settled()
        assert node.chain.head.height == 2
        slow.allow(4)
        await reach_in_time(node, 4)
        hands.pacing.release(slow)
        await reach_in_time(node, 5)


async def test_while_programs_hold_a_block_comes_no_sooner_than_the_block_time() -> None:
    async with mining(MiningSetup(CAROL.address)) as (node, hands):
        hands.pacing.hold().allow(100)
        hands.start()
        await reach(node.chain, 1)
        node.clock.advance(BLOCK_TIME_MS - 1)
        await settled()
        assert node.chain.head.height == 1
        node.clock.advance(1)
        await reach(node.chain, 2)


async def test_blocks_that_are_asked_for_wait_for_nobody() -> None:
    async with mining(MiningSetup(CAROL.address)) as (node, hands):
        hands.pacing.hold()
        assert len(await hands.mine(2)) == 2
        assert node.chain.head.height == 2


def alone(told: list[dict[str, Any]] | None = None, **more: Any) -> Pacing:
    """The pacing of a network's only miner; each of its states is added to `told`."""
    return Pacing((told if told is not None else []).append, SystemClock(), enabled=True, **more)


def test_a_muster_is_met_when_enough_programs_hold_at_once() -> None:
    told: list[dict[str, Any]] = []
    pacing = alone(told)
    pacing.await_programs(2)
    pacing.release(pacing.hold())
    assert pacing.left is None, "before it is met, nobody has left"
    pacing.hold()
    assert not pacing.may_mine_empty()
    assert "until 2 programs play a round at once, and there are 1" in str(pacing.waits)
    pacing.hold()
    assert pacing.may_mine_empty()
    assert pacing.waits is None
    state = {"limit": 0, "programs": 2, "finished": 0, "muster": 2, "met": True, "left": 0, "work": 0}
    assert told[-1] == state


def test_a_muster_that_is_met_waits_for_who_leaves_before_it_has_finished() -> None:
    told: list[dict[str, Any]] = []
    pacing = alone(told)
    pacing.await_programs(2)
    first, second = pacing.hold(), pacing.hold()
    pacing.release(first)
    assert not pacing.may_mine_empty()
    assert (told[-1]["programs"], told[-1]["left"]) == (1, 1)
    assert "1 program left the round" in str(pacing.waits)
    assert "`engram miner muster 0`" in str(pacing.waits)
    pacing.release(second)
    assert "2 programs left the round" in str(pacing.waits)
    first, second = pacing.hold(), pacing.hold()
    assert pacing.may_mine_empty(), "others hold in their place"
    third = pacing.hold()
    pacing.release(third)
    assert not pacing.may_mine_empty(), "who has come later is waited for, too"
    third = pacing.hold()
    for left, hold in ((2, third), (1, first)):
        pacing.release(hold, finished=True)
        assert pacing.may_mine_empty(), "who has finished is waited for no more"
        assert told[-1]["muster"] == left
    pacing.release(second)
    assert not pacing.may_mine_empty()
    pacing.await_programs(0)
    assert pacing.may_mine_empty(), "the operator has said so"
    pacing.release(pacing.hold())
    assert pacing.may_mine_empty(), "without a muster, nobody waits for who leaves"


def test_a_muster_is_over_when_all_have_finished() -> None:
    pacing = alone()
    pacing.await_programs(1)
    pacing.release(pacing.hold(), finished=True)
    assert pacing.left is None
    pacing.release(pacing.hold())
    assert pacing.may_mine_empty()


async def test_a_muster_is_over_when_the_round_has_ended() -> None:
    runs, asked = False, asyncio.Event()

    async def round_runs() -> bool:
        asked.set()
        return runs

    pacing = alone(round_runs=round_runs)
    service = asyncio.create_task(pacing.run())

    async def next_head(work: int) -> int | None:
        """How many have left, once the next head is looked at."""
        asked.clear()
        pacing.moved(work)
        await asked.wait()
        await settled()
        return pacing.left

    pacing.await_programs(2)
    leaving = pacing.hold()
    pacing.hold()
    assert await next_head(1) == 0, "its round may be opened later"
    runs = True
    assert await next_head(2) == 0
    pacing.release(leaving)
    assert not pacing.may_mine_empty()
    runs = False
    assert await next_head(3) is None
    assert pacing.may_mine_empty()
    service.cancel()
    await asyncio.wait([service])


async def test_all_miners_of_a_network_wait_for_who_has_left_one_of_them() -> None:
    async with opened() as door:
        here = alone(others=(door.url,))
        service = asyncio.create_task(here.run())
        await until(here.may_mine_empty)
        here.await_programs(2)
        here.hold()
        there = door.pacing.hold()
        await until(lambda: here.left == 0)
        door.pacing.release(there)
        await until(lambda: here.left == 1)
        assert not here.may_mine_empty()
        there = door.pacing.hold()
        await until(lambda: here.left == 0)
        door.pacing.release(there, finished=True)
        await until(lambda: here.programs == 1)
        assert here.may_mine_empty()
        assert here.pace.muster == 1
        here.await_programs(0)
        door.pacing.await_programs(3)
        await until(lambda: here.waits is not None)
        assert f"`engram miner muster 0 --rpc {door.url}`" in str(here.waits)
        service.cancel()
        await asyncio.wait([service])


async def test_nobody_holds_where_blocks_wait_for_nobody() -> None:
    pacing = Pacing(lambda pace: None, SystemClock(), enabled=False)
    for attempt in (pacing.hold, lambda: pacing.await_programs(1)):
        with pytest.raises(HoldRefused):
            attempt()
    assert pacing.may_mine(1)
    assert pacing.may_mine_empty()


async def test_a_miner_waits_until_it_knows_whether_others_run() -> None:
    pacing = Pacing(lambda pace: None, SystemClock(), enabled=True, others=(NOWHERE,))
    assert not pacing.may_mine(1)
    assert not pacing.may_mine_empty()
    service = asyncio.create_task(pacing.run())
    await until(lambda: pacing.may_mine(1))
    assert pacing.may_mine_empty()
    service.cancel()
    await asyncio.wait([service])


async def test_while_programs_hold_a_miner_waits_for_the_better_head_of_another() -> None:
    """Miners that have lost each other would otherwise pass through a phase of a round side by side."""
    async with opened() as door:
        here = Pacing(lambda pace: None, SystemClock(), enabled=True, others=(door.url,))
        here.moved(2**70 - 1)
        service = asyncio.create_task(here.run())
        door.pacing.moved(2**70)
        await until(lambda: here.may_mine(1))
        hold = here.hold()
        hold.allow(1)
        assert not here.may_mine(1)
        here.moved(2**70)  # the other's block has come
        assert here.may_mine(1)
        door.pacing.moved(2**70 + 1)
        await until(lambda: not here.may_mine(1))
        here.release(hold)
        assert here.may_mine(1)
        here.hold().allow(1)
        assert not here.may_mine(1)
    await until(lambda: here.may_mine(1))  # the other does not run any more
    service.cancel()
    await asyncio.wait([service])


@pytest.mark.parametrize(
    "wrong",
    [
        {"work": "x"},
        {"work": "-1"},
        {"work": "9" * 81},
        {"work": 1.5},
        {"limit": "7"},
        {"limit": -1},
        {"programs": None},
        {"muster": 1.5},
        {"finished": "1"},
        {"met": 1},
        {"left": -1},
        {"other": 1},
    ],
)
async def test_what_is_no_pace_changes_nothing(wrong: dict[str, Any]) -> None:
    """A miner that took it in would end with an internal error."""
    with strangers_let_be():
        await _ignored(wrong)


async def _ignored(wrong: dict[str, Any]) -> None:
    async with opened() as door:
        here = Pacing(lambda pace: None, SystemClock(), enabled=True, others=(door.url,))
        service = asyncio.create_task(here.run())
        await until(lambda: here.may_mine(1))
        seen: list[object] = []
        here.listen(lambda: seen.append(here._others[door.url]))
        door.hub.publish("pace", {"limit": 0, "programs": 7, "muster": 0, "work": 0} | wrong)
        door.pacing.hold().allow(5)  # what comes after it is taken in
        await until(lambda: here.programs == 1)
        assert all(isinstance(pace, Pace) and pace.programs <= 1 for pace in seen)
        assert here.may_mine(5)
        assert not here.may_mine(6)
        service.cancel()
        await asyncio.wait([service])
