"""Bodies from several peers: whoever holds up the others is overtaken, and memory is bounded."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from engram.node.chain.headers import CheckedBlock, CheckedHeader
from engram.node.clock import FakeClock
from engram.node.concurrency import ReaderThreads, cause_of
from engram.node.errors import BodiesUnavailable
from engram.node.sync.download import FIRST_ASKED, Download, DownloadLimits
from engram.p2p.blockmessages import MAX_BLOCKS
from engram.primitives.codec import encode
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import SPEC, ids
from tests.support.p2p_chain import WAIT_S
from tests.support.scripted_peer import ScriptedPeer
from tests.support.served_chain import ServedChain
from tests.support.until import until

CHAIN = MemoryChain(SPEC)
for _ in range(40):
    CHAIN.mine()
NAMES = ids(CHAIN.blocks)[1:]
SIZE = len(encode(CHAIN.blocks[-1]))
Body = Callable[[bytes], Awaitable[bytes | None]]


def peer(number: int, body: Body | None = None) -> ScriptedPeer:
    return ScriptedPeer(ServedChain(CHAIN.blocks, body=body), number)


async def mute(name: bytes) -> bytes | None:
    await asyncio.Event().wait()
    return None


def mute_from(place: int) -> Body:
    """A peer that has the first blocks only at hand, and says nothing of the others."""

    async def body(name: bytes) -> bytes | None:
        return await mute(name) if NAMES.index(name) >= place else ServedChain(CHAIN.blocks).found(name)

    return body


class Downloading:
    """A download that runs on a clock that only the test turns."""

    def __init__(self, download: Download, clock: FakeClock, heights: list[int]) -> None:
        self.download = download
        self.clock = clock
        self.heights = heights
        self.task: asyncio.Task[None] | None = None

    async def pass_ms(self, milliseconds: int) -> None:
        self.clock.advance(milliseconds)
        for _ in range(20):
            await asyncio.sleep(0)


@asynccontextmanager
async def downloading(peers: Sequence[ScriptedPeer], **limits: float) -> AsyncIterator[Downloading]:
    threads, clock, heights = ReaderThreads(2), FakeClock(0), list[int]()
    wanted = [CheckedHeader(name, 1) for name in NAMES]
    download = Download(wanted, threads, DownloadLimits(**limits), clock)  # type: ignore[arg-type]

    async def consume(run: Sequence[CheckedBlock]) -> None:
        heights.extend(checked.block.header.height for checked in run)

    running = Downloading(download, clock, heights)
    running.task = asyncio.create_task(download.run(peers, consume))
    try:
        async with asyncio.timeout(WAIT_S):
            yield running
    finally:
        running.task.cancel()
        with suppress(asyncio.CancelledError, BaseExceptionGroup):
            await running.task
        threads.close()


async def finished(running: Downloading) -> None:
    assert running.task is not None
    await running.task
    assert running.heights == list(range(1, len(NAMES) + 1))


async def test_the_block_that_all_wait_for_is_asked_of_one_peer_more_every_second() -> None:
    first, second, third = peer(1, mute), peer(2, mute_from(0)), peer(3, mute_from(0))
    async with downloading([first, second, third], peer_requests=1, window_blocks=3) as running:
        await until(lambda: first.asked and second.asked and third.asked)
        asked = [(each, each.asked[0]) for each in (first, second, third)]
        owing = next(each for each, name in asked if name == NAMES[0])
        others = [each for each in (first, second, third) if each is not owing]
        helper = peer(4, mute)
        late = peer(5)
        running.download.join(helper)
        running.download.join(late)
        await running.pass_ms(999)
        assert (helper.asked, late.asked) == ([], [])
        await running.pass_ms(1)
        assert (helper.asked, late.asked) == ([NAMES[0]], [])
        await running.pass_ms(999)
        assert late.asked == []
        await running.pass_ms(1)
        await finished(running)
        assert all(len(each.asked) == 1 for each in (owing, helper, *others))


def held_back(answering: asyncio.Event) -> Body:
    """A peer that answers from some moment on."""

    async def body(name: bytes) -> bytes | None:
        await answering.wait()
        return ServedChain(CHAIN.blocks).found(name)

    return body


async def test_an_overtaken_peer_gives_way_to_others_that_deliver() -> None:
    answering = asyncio.Event()
    late, quick = peer(1, held_back(answering)), peer(2, mute_from(30))
    async with downloading([late], peer_requests=1, window_blocks=5, body_s=1e6) as running:
        await until(lambda: late.asked)
        running.download.join(quick)
        await until(lambda: len(quick.asked) == 4)
        await running.pass_ms(1_000)
        await until(lambda: running.heights)
        answering.set()
        await until(lambda: len(running.heights) == 30)
        await running.pass_ms(999)
        assert late.asked == NAMES[:1], "it has answered by now, and there is a better peer"
        await running.pass_ms(1)
        await finished(running)
        assert late.asked[0] == NAMES[0]
        assert sorted(late.asked[1:]) == sorted(NAMES[30:]), "the better one has been overtaken as well"


async def test_a_peer_that_was_overtaken_is_asked_again_once_the_better_ones_have_failed() -> None:
    async def refusing(name: bytes) -> bytes | None:
        return ServedChain(CHAIN.blocks).found(name) if NAMES.index(name) < 10 else None

    answering = asyncio.Event()
    late, quick = peer(1, held_back(answering)), peer(2, refusing)
    async with downloading([late], peer_requests=1, window_blocks=5) as running:
        await until(lambda: late.asked)
        running.download.join(quick)
        await running.pass_ms(1_000)
        await until(lambda: running.heights)
        answering.set()
        await finished(running)
        assert late.asked == [NAMES[0], *NAMES[10:]]


async def test_the_bytes_under_way_are_bounded_before_they_come() -> None:
    """At first a block may be large; each that has come shows how large the next will be."""
    first, rest = asyncio.Event(), asyncio.Event()

    async def held(name: bytes) -> bytes | None:
        await (first if name == NAMES[0] else rest).wait()
        return ServedChain(CHAIN.blocks).found(name)

    source = peer(1, held)
    async with downloading([source], peer_requests=32, buffer_bytes=20 * SIZE) as running:
        await until(lambda: len(source.asked) >= FIRST_ASKED)
        await running.pass_ms(0)
        assert len(source.asked) in (FIRST_ASKED, FIRST_ASKED + 1)
        before = len(source.asked)
        first.set()
        await until(lambda: len(source.asked) > before)
        await running.pass_ms(0)
        assert before < len(source.asked) <= 1 + 20
        rest.set()
        await finished(running)


async def test_of_two_answers_the_first_counts() -> None:
    answering = asyncio.Event()
    late, quick = peer(1, held_back(answering)), peer(2, held_back(answering))
    async with downloading([late], peer_requests=1, window_blocks=1) as running:
        await until(lambda: late.asked)
        running.download.join(quick)
        await running.pass_ms(1_000)
        await until(lambda: NAMES[0] in quick.asked)
        answering.set()
        await finished(running)
    assert late.blocks_brought + quick.blocks_brought == len(NAMES), "for each block one is credited"


async def test_a_liar_is_replaced_and_blamed_even_where_it_was_second() -> None:
    async def lying(name: bytes) -> bytes | None:
        return ServedChain(CHAIN.blocks).found(NAMES[5])

    first, liar, honest = peer(1, mute), peer(2, lying), peer(3)
    async with downloading([first], peer_requests=1) as running:
        await until(lambda: first.asked)
        running.download.join(liar)
        await until(lambda: liar.dismissed)
        running.download.join(honest)
        await running.pass_ms(1_000)
        await finished(running)
        assert liar.dismissed == "foreign_headers"
        assert (liar.blocks_brought, honest.blocks_brought) == (0, len(NAMES))
        assert len(liar.asked) == 1


@pytest.mark.parametrize("requests", [1, 4])
async def test_a_block_that_nobody_has_ends_the_download(requests: int) -> None:
    async def hollow(name: bytes) -> bytes | None:
        return None

    async with downloading([peer(1, hollow), peer(2, hollow)], peer_requests=requests) as running:
        assert running.task is not None
        with pytest.raises(BaseExceptionGroup) as group:
            await running.task
        assert isinstance(cause_of(group.value), BodiesUnavailable)


async def test_blocks_that_are_being_judged_count_in_the_buffer_and_are_a_part_of_it() -> None:
    """Whoever judges them slowly holds up the download, so memory stays bounded."""
    source, gate, runs = peer(1), asyncio.Event(), list[int]()
    threads = ReaderThreads(2)
    wanted = [CheckedHeader(name, 1) for name in NAMES]
    download = Download(wanted, threads, DownloadLimits(buffer_bytes=8 * SIZE), FakeClock(0))

    async def consume(run: Sequence[CheckedBlock]) -> None:
        runs.append(len(run))
        await gate.wait()

    async with asyncio.timeout(WAIT_S):
        task = asyncio.create_task(download.run([source], consume))
        await until(lambda: len(source.asked) >= 8)
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(source.asked) <= 10
        gate.set()
        await task
    threads.close()
    assert sum(runs) == len(NAMES)
    assert max(runs) <= 2, "a fourth of the buffer"


async def test_small_blocks_are_asked_for_together_and_a_short_answer_is_gone_on_with() -> None:
    """The first block shows how small they are; what an answer leaves out is asked for again."""
    whole, short = peer(1), peer(2)
    whole.at_once, short.at_once = MAX_BLOCKS, 3
    async with downloading([whole], peer_requests=1) as running:
        await finished(running)
    assert whole.requests < len(NAMES) / 2
    async with downloading([short], peer_requests=1) as running:
        await finished(running)
    assert short.requests >= len(NAMES) / 3
    assert (whole.blocks_brought, short.blocks_brought) == (len(NAMES), len(NAMES))


async def test_one_that_lacks_a_block_in_the_middle_of_an_answer_is_asked_no_more() -> None:
    async def without_20(name: bytes) -> bytes | None:
        return None if name == NAMES[20] else ServedChain(CHAIN.blocks).found(name)

    answering = asyncio.Event()
    lacking, other = peer(1, without_20), peer(2, held_back(answering))
    lacking.at_once = MAX_BLOCKS
    async with downloading([lacking, other], peer_requests=1) as running:
        await until(lambda: NAMES[20] in lacking.asked)
        answering.set()
        await finished(running)
    assert not lacking.dismissed
    assert NAMES[20] in other.asked
    assert lacking.blocks_brought + other.blocks_brought == len(NAMES)


async def test_a_liar_in_the_middle_of_an_answer_is_blamed() -> None:
    async def lying(name: bytes) -> bytes | None:
        return ServedChain(CHAIN.blocks).found(NAMES[3] if name == NAMES[25] else name)

    answering = asyncio.Event()
    liar, honest = peer(1, lying), peer(2, held_back(answering))
    liar.at_once = MAX_BLOCKS
    async with downloading([liar, honest], peer_requests=1) as running:
        await until(lambda: liar.dismissed)
        answering.set()
        await finished(running)
    assert liar.dismissed == "foreign_headers"
