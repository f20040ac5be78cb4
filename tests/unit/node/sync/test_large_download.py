"""Blocks larger than a message in a download: when one is begun, who helps, and what counts as progress."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from engram.node.chain.headers import CheckedBlock, CheckedHeader
from engram.node.clock import FakeClock
from engram.node.concurrency import ReaderThreads
from engram.node.largebody import block_bytes_of
from engram.node.sync.download import Download, DownloadLimits
from engram.p2p.blockmessages import MAX_BLOCK_BYTES, BlockOutline
from tests.support.large_blocks import LARGE, large_chain
from tests.support.node_chain import ids, settled
from tests.support.p2p_chain import WAIT_S
from tests.support.scripted_peer import ScriptedPeer
from tests.support.served_chain import ServedChain
from tests.support.until import until

CHUNKS = 18
PARTS = CHUNKS // 3
"""Three chunks go into one answer of a megabyte."""
CHAIN, BLOCKS = large_chain(CHUNKS, CHUNKS, CHUNKS, 1)
NAMES = ids(BLOCKS)


class PartsPeer(ScriptedPeer):
    """Keeps what it was asked for, and gives parts of some blocks only when it is told to."""

    def __init__(self, number: int, *kept_back: bytes) -> None:
        super().__init__(ServedChain(CHAIN.blocks, LARGE), number)
        self.kept_back = set(kept_back)
        self.told = asyncio.Event()
        self.outlines: list[bytes] = []
        self.parts: list[bytes] = []

    async def get_outline(self, block_id: bytes, timeout_s: float) -> BlockOutline | None:
        self.outlines.append(block_id)
        return await super().get_outline(block_id, timeout_s)

    async def get_block_transactions(
        self, block_id: bytes, places: Sequence[int], timeout_s: float
    ) -> bytes | None:
        self.parts.append(block_id)
        if block_id in self.kept_back:
            await self.told.wait()
        return await super().get_block_transactions(block_id, places, timeout_s)


class LargeDownload:
    """A download of these blocks on a clock that only the test turns."""

    def __init__(self, room: float, threads: ReaderThreads) -> None:
        """`room`: how many of the largest blocks the buffer holds."""
        self.clock = FakeClock(0)
        self.blocks: list[CheckedBlock] = []
        self.came = 0
        self.download = Download(
            [CheckedHeader(name, 1) for name in NAMES],
            threads,
            DownloadLimits(buffer_bytes=int(room * MAX_BLOCK_BYTES)),
            self.clock,
            block_bytes_of(LARGE),
            self.part_came,
        )

    def part_came(self) -> None:
        self.came += 1

    async def take(self, blocks: Sequence[CheckedBlock]) -> None:
        self.blocks += blocks


@asynccontextmanager
async def large_download(
    room: float, *peers: PartsPeer
) -> AsyncIterator[tuple[LargeDownload, asyncio.Task[None]]]:
    threads = ReaderThreads(2)
    loading = LargeDownload(room, threads)
    task = asyncio.create_task(loading.download.run(peers, loading.take))
    try:
        async with asyncio.timeout(WAIT_S):
            yield loading, task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, BaseExceptionGroup):
            await task
        threads.close()


async def test_a_large_block_is_begun_once_there_is_room_for_it() -> None:
    peer = PartsPeer(1, NAMES[0])
    async with large_download(1.5, peer) as (loading, task):
        await until(lambda: NAMES[0] in peer.outlines and peer.asked.count(NAMES[1]))
        await settled()
        assert peer.outlines == [NAMES[0]], "the second one waits until it is the next"
        assert not loading.blocks
        peer.told.set()
        await task
        assert [each.block for each in loading.blocks] == BLOCKS
        assert peer.outlines == NAMES[:3], "each of the large ones, once"


async def test_each_part_that_comes_is_progress() -> None:
    peer = PartsPeer(1)
    async with large_download(4, peer) as (loading, task):
        await task
        assert loading.came == len(peer.parts) == 3 * PARTS


async def test_a_peer_that_keeps_parts_back_is_helped_after_a_second() -> None:
    slow, quick = PartsPeer(1, *NAMES), PartsPeer(2)
    async with large_download(1.5, slow) as (loading, task):
        await until(lambda: slow.parts)
        loading.download.join(quick)
        await settled()
        assert NAMES[0] not in quick.parts
        while not task.done():
            loading.clock.advance(100)
            await asyncio.sleep(0.001)
        assert [each.block for each in loading.blocks] == BLOCKS
        assert quick.parts.count(NAMES[0]) == PARTS
        assert not slow.told.is_set()
        assert (slow.dismissed, quick.dismissed) == ("", "")
