"""Bounds of catching up: long chains in several answers, fickle peers, endless weak headers."""

import asyncio
from collections.abc import Sequence

import pytest

from engram.node.chain.headers import CheckedBlock, CheckedHeader
from engram.node.clock import SystemClock
from engram.node.concurrency import ReaderThreads
from engram.node.sync.download import Download, DownloadLimits
from engram.node.sync.sync import BRANCH_CHANGES, SyncLimits
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import SPEC, ids, miner_address, reach
from tests.support.p2p_chain import WAIT_S
from tests.support.scripted_peer import ScriptedPeer
from tests.support.served_chain import ServedChain
from tests.support.syncing import syncing
from tests.support.until import until


def mined(blocks: int, miner: int = 0) -> MemoryChain:
    chain = MemoryChain(SPEC)
    for _ in range(blocks):
        chain.mine(miner=miner_address(miner))
    return chain


CHAIN = mined(12)
OTHER = mined(14, miner=1)


async def test_headers_come_in_several_answers() -> None:
    async with syncing(SyncLimits(headers=5)) as (node, sync):
        peer = ScriptedPeer(ServedChain(CHAIN.blocks))
        sync.joined(peer)
        await reach(node.chain, 12)
        await sync.caught_up(peer)
        assert (peer.answers, peer.dismissed) == (4, "")
        assert peer.asked == ids(CHAIN.blocks)[1:]
        assert sync.target == 0


async def test_headers_that_never_reach_the_work_of_this_chain_are_not_kept_for_ever() -> None:
    async with syncing(SyncLimits(headers=4, unproven_headers=6)) as (node, sync):
        await node.take(*OTHER.blocks[1:])
        peer = ScriptedPeer(ServedChain(CHAIN.blocks, claimed_work=2**200))
        sync.joined(peer)
        await until(lambda: peer.dismissed)
        assert (peer.dismissed, peer.answers, peer.asked) == ("requested", 2, [])


class Fickle(ServedChain):
    """Changes its best chain after every answer."""

    async def headers_after(self, locator: Sequence[bytes], limit: int) -> Sequence[bytes]:
        found = await super().headers_after(locator, limit)
        self.blocks = OTHER.blocks if self.blocks is CHAIN.blocks else CHAIN.blocks
        return found

    def found(self, name: bytes) -> bytes | None:
        return ServedChain(CHAIN.blocks).found(name) or ServedChain(OTHER.blocks).found(name)


async def test_a_peer_that_changes_its_branch_without_end_is_left_for_its_next_turn() -> None:
    async with syncing(SyncLimits(headers=3)) as (node, sync):
        peer = Fickle(CHAIN.blocks)
        scripted = ScriptedPeer(peer)
        sync.joined(scripted)
        await sync.caught_up(scripted)
        assert scripted.answers <= 4 * BRANCH_CHANGES
        honest = ScriptedPeer(ServedChain(OTHER.blocks), 2)
        sync.joined(honest)
        await reach(node.chain, 14)


async def test_bodies_are_asked_for_a_window_ahead_and_taken_in_order() -> None:
    first = asyncio.Event()
    served = ServedChain(CHAIN.blocks)

    async def answer(name: bytes) -> bytes | None:
        if name == ids(CHAIN.blocks)[1]:
            await first.wait()
        return served.found(name)

    served.body = answer
    async with syncing(SyncLimits(download=DownloadLimits(window_blocks=5))) as (node, sync):
        peer = ScriptedPeer(served)
        sync.joined(peer)
        await until(lambda: len(peer.asked) == 5)
        assert sync.target == 12
        assert sync.is_running
        assert node.chain.head.height == 0
        first.set()
        await reach(node.chain, 12)
    assert sorted(peer.asked) == sorted(ids(CHAIN.blocks)[1:])


@pytest.mark.parametrize("steps", range(8))
async def test_a_peer_that_comes_while_a_download_ends_does_not_hold_it_up(steps: int) -> None:
    threads, loop = ReaderThreads(2), asyncio.get_running_loop()
    wanted = [CheckedHeader(identity, 1) for identity in ids(CHAIN.blocks)[1:]]
    download = Download(wanted, threads, DownloadLimits(), SystemClock())

    def come(later: int) -> None:
        if later:
            loop.call_soon(come, later - 1)
        else:
            download.join(ScriptedPeer(ServedChain(CHAIN.blocks), 2))

    async def consume(run: Sequence[CheckedBlock]) -> None:
        if run[-1].block.header.height == 12:
            loop.call_soon(come, steps)

    async with asyncio.timeout(WAIT_S):
        await download.run([ScriptedPeer(ServedChain(CHAIN.blocks))], consume)
    threads.close()


async def test_what_one_claims_holds_nobody_else_up() -> None:
    """A peer that claims the most and says nothing costs its own transactions, and its turn."""
    silent = asyncio.Event()

    class Silent(ServedChain):
        async def headers_after(self, locator: Sequence[bytes], limit: int) -> Sequence[bytes]:
            await silent.wait()
            return ()

    async with syncing(SyncLimits()) as (node, sync):
        boaster = ScriptedPeer(Silent(CHAIN.blocks[:1], claimed_work=2**200))
        equal = ScriptedPeer(ServedChain(CHAIN.blocks[:1]), 2)
        sync.joined(boaster)
        sync.joined(equal)
        await until(lambda: boaster.answers)
        async with asyncio.timeout(WAIT_S):
            await sync.caught_up(equal)
        waiting = asyncio.create_task(sync.caught_up(boaster))
        honest = ScriptedPeer(ServedChain(CHAIN.blocks), 3)
        sync.joined(honest)
        assert not waiting.done()
        silent.set()
        await waiting
        await reach(node.chain, 12)
        await sync.caught_up(honest)


@pytest.mark.fault(id=14)
async def test_a_few_bodies_that_are_withheld_hold_up_no_transactions() -> None:
    async def never(name: bytes) -> bytes | None:
        await asyncio.Event().wait()
        return None

    async with syncing(SyncLimits()) as (node, sync):
        await node.take(*CHAIN.blocks[1:-1])
        withholding = ScriptedPeer(ServedChain(CHAIN.blocks, body=never))
        honest = ScriptedPeer(ServedChain(CHAIN.blocks[:-1]), 2)
        sync.joined(withholding)
        sync.joined(honest)
        await until(lambda: withholding.asked)
        assert sync.target == 12
        await sync.caught_up(honest)
        assert not sync.is_running
        await node.take(CHAIN.blocks[-1])
        await sync.caught_up(withholding)
        assert (sync.target, withholding.dismissed) == (0, "")


async def test_a_peer_that_left_is_not_asked() -> None:
    async with syncing(SyncLimits()) as (node, sync):
        gone, there = ScriptedPeer(ServedChain(OTHER.blocks)), ScriptedPeer(ServedChain(CHAIN.blocks), 2)
        sync.joined(gone)
        sync.left(gone)
        sync.is_ahead(gone)
        sync.joined(there)
        await reach(node.chain, 12)
        await sync.caught_up(there)
        assert gone.answers == 0
