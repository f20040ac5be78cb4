"""Who has the next turn to check headers, and who gives way in a download."""

import asyncio

import pytest

from engram.node.clock import FakeClock
from engram.node.errors import DownloadStalled
from engram.node.sync.turns import STALL_S, DownloadTurn, Turns
from tests.support.node_chain import settled

FIRST, SECOND = bytes([1]) * 32, bytes([2]) * 32


async def test_whoever_has_had_the_least_comes_next() -> None:
    turns, order, gate = Turns(), list[str](), asyncio.Event()

    async def work(name: str, *rank: int) -> None:
        async with turns.turn(*rank):
            order.append(name)
            await gate.wait()

    tasks = [asyncio.create_task(work("holder", 0))]
    await settled()
    for name, rank in (("greedy", 900), ("second", 5), ("left", 1), ("first", 5), ("new", 0)):
        tasks.append(asyncio.create_task(work(name, rank)))
        await settled()
    tasks[3].cancel()
    await settled()
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["holder", "new", "second", "first", "greedy"]


async def test_one_that_is_cancelled_as_its_turn_comes_passes_it_on() -> None:
    turns, gate = Turns(), asyncio.Event()

    async def work() -> str:
        async with turns.turn():
            await gate.wait()
            return "done"

    first, second, third = (asyncio.create_task(work()) for _ in range(3))
    await settled()
    first.add_done_callback(lambda _: second.cancel())  # it has the turn and does not know yet
    gate.set()
    assert await third == "done"


@pytest.mark.parametrize(("rival", "gives_way"), [(SECOND, True), (FIRST, False), (None, False)])
async def test_a_download_without_blocks_gives_way_to_another_branch(
    rival: bytes | None, gives_way: bool
) -> None:
    clock = FakeClock(0)
    turn, ended = DownloadTurn(clock), asyncio.Event()

    async def download(wanted: bytes) -> None:
        async with turn.held((0,), wanted, {wanted}):
            await ended.wait()

    holder = asyncio.create_task(download(FIRST))
    await settled()
    waiting = asyncio.create_task(download(rival)) if rival is not None else None
    await settled()
    clock.advance(round(STALL_S * 900))
    turn.progressed()
    clock.advance(round(STALL_S * 900))
    await settled()
    assert not holder.done(), "a block has come"
    clock.advance(round(STALL_S * 500))
    await settled()
    assert holder.done() == gives_way
    ended.set()
    if gives_way:
        with pytest.raises(DownloadStalled):
            await holder
    else:
        await holder
    if waiting is not None:
        await waiting
