"""Many peers at once whose headers lead nowhere: what they cost, and whom they keep waiting."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest

from engram.consensus import validation
from engram.consensus.block import Block, BlockHeader
from engram.consensus.chainspec import ChainSpec
from engram.consensus.difficulty import next_bits
from engram.consensus.genesis import genesis
from engram.consensus.validation import check_pow
from engram.node.storage.schema import HEADER
from engram.node.sync.sync import CHECKED_AT_ONCE, SyncLimits
from engram.primitives.types import Hash
from tests.support.faults import Played, inputs
from tests.support.memory_chain import MemoryChain, search
from tests.support.node_chain import LATE_MS, SPEC, fork, ids, miner_address, reach
from tests.support.scripted_peer import ScriptedPeer
from tests.support.served_chain import ServedChain
from tests.support.syncing import syncing
from tests.support.until import pass_until, until

HARD = replace(SPEC, genesis_target=(1 << 245).to_bytes(32, "big"))
"""A block costs 2,048 digests on schedule, and two after a pause."""
OWN = MemoryChain(HARD)
for _ in range(4):
    OWN.mine()
LONGER = fork(OWN)
LONGER.mine()
LATER_MS = 120_000
hard_chain = partial(syncing, spec=HARD, blocks=OWN.blocks[1:])


def cheap_headers(count: int, number: int, below: Sequence[Block] = ()) -> list[Block]:
    """Blocks by a miner of this number whose late timestamps make them almost free; from genesis if not on
    others.
    """
    blocks = list(below) or [genesis(HARD).block]
    parent, grandparent = blocks[-1].header, blocks[-2].header if below else None
    for height in range(parent.height + 1, parent.height + count + 1):
        header: BlockHeader = replace(
            OWN.blocks[1].header,
            height=height,
            parent=parent.id,
            timestamp_ms=parent.timestamp_ms + LATER_MS,
            target=next_bits(HARD, parent, grandparent),
            miner=miner_address(number),
        )
        header = replace(header, nonce=search(HARD, header))
        parent, grandparent = header, parent
        blocks.append(Block(header, ()))
    return blocks


class Stranger(ServedChain):
    """Boasts, notes the locators that it is sent, and answers once it may."""

    def __init__(self, blocks: list[Block], gate: asyncio.Event | None = None) -> None:
        super().__init__(blocks, spec=HARD, claimed_work=2**200)
        self.gate = gate
        self.locators: list[Sequence[Hash]] = []
        self.names = {name: place for place, name in enumerate(ids(blocks))}

    async def headers_after(self, locator: Sequence[Hash], limit: int) -> Sequence[bytes]:
        self.locators.append(locator)
        if self.gate is not None and len(self.locators) > 1:
            await self.gate.wait()
        return await super().headers_after(locator, limit)


@pytest.mark.fault(id=39)
async def test_strangers_with_endless_headers_store_nothing_and_hold_up_nobody(fault: Played) -> None:
    """Fails if one peer is followed at a time: the honest one would never be asked."""
    count, limit = inputs(39, sample=8), 150
    gate = asyncio.Event()
    async with hard_chain(SyncLimits(headers=50, unproven_headers=limit)) as (node, sync):
        rows = len(list(node.chain.store.database.iterate(HEADER)))
        strangers = [
            ScriptedPeer(Stranger(cheap_headers(limit + 60, number), gate), number, inbound=True)
            for number in range(1, count + 1)
        ]
        for stranger in strangers:
            sync.joined(stranger)
        await until(lambda: all(stranger.answers == 2 for stranger in strangers))
        honest = ScriptedPeer(ServedChain(LONGER.blocks, spec=HARD), 250, inbound=True)
        sync.joined(honest)
        await reach(node.chain, 5)
        await sync.caught_up(honest)
        gate.set()
        await until(lambda: all(stranger.dismissed for stranger in strangers))
        assert {stranger.dismissed for stranger in strangers} == {"requested"}, "too little work is no crime"
        assert {stranger.answers for stranger in strangers} == {limit // 50 + 1}
        asked = {name for stranger in strangers for name in stranger.asked}
        assert asked <= {LONGER.tip.id}, "no body of theirs was asked for"
        assert len(list(node.chain.store.database.iterate(HEADER))) == rows + 1
    fault.tell(count, code="little_work")


@pytest.fixture
def digests(monkeypatch: pytest.MonkeyPatch) -> list[Hash]:
    """Of which headers the proof of work is checked, in order."""
    checked: list[Hash] = []

    def noted(spec: ChainSpec, header: BlockHeader) -> None:
        checked.append(header.id)
        check_pow(spec, header)

    monkeypatch.setattr(validation, "check_pow", noted)
    return checked


@pytest.mark.fault(id=39)
async def test_headers_that_lead_do_not_wait_for_those_of_new_keys(
    digests: list[Hash], fault: Played
) -> None:
    """The honest sends more than are checked at once. If that counted against it, then each fresh key would
    come before it, and a stranger has as many of these as he likes.
    """
    count = inputs(39, sample=12)
    leading = cheap_headers(2 * CHECKED_AT_ONCE, 250, LONGER.blocks)
    checked_before = 0

    async def body(name: Hash) -> bytes | None:
        nonlocal checked_before
        checked_before = checked_before or len(digests)
        return None

    strangers = [cheap_headers(CHECKED_AT_ONCE, number) for number in range(1, count + 1)]
    digests.clear()
    async with hard_chain(SyncLimits()) as (_, sync):
        digests.clear()
        sync.joined(ScriptedPeer(ServedChain(leading, spec=HARD, body=body), 250, inbound=True))
        await until(lambda: digests)
        for number, headers in enumerate(strangers, 1):
            sync.joined(ScriptedPeer(Stranger(headers), number, inbound=True))
        await until(lambda: checked_before)
        assert checked_before < 2 * CHECKED_AT_ONCE + count // 2 * CHECKED_AT_ONCE
    fault.tell(count)


class Replaying(ServedChain):
    """Begins with the first block, whatever the locator says."""

    async def headers_after(self, locator: Sequence[Hash], limit: int) -> Sequence[bytes]:
        return await super().headers_after(locator if len(locator) == 1 else (), limit)


async def test_a_node_does_not_check_the_work_of_its_own_headers_again(digests: list[Hash]) -> None:
    """A stranger who replays them has done no work at all."""
    async with hard_chain(SyncLimits(headers=2)) as (_, sync):
        digests.clear()
        replaying = ScriptedPeer(Replaying(OWN.blocks, spec=HARD, claimed_work=2**200), inbound=True)
        sync.joined(replaying)
        await sync.caught_up(replaying)
        assert (digests, replaying.answers, replaying.dismissed) == ([], 3, "")
        sync.joined(ScriptedPeer(ServedChain(LONGER.blocks, spec=HARD), 2))
        await until(lambda: digests == [LONGER.tip.id])


@pytest.mark.fault(id=6)
async def test_headers_with_little_work_are_read_to_their_end_beside_an_honest_peer(fault: Played) -> None:
    """Strangers with ever so many headers, all valid: no row and no body of theirs, and no delay.

    There are more of them rather than more headers of each: so many of one would add up to more work than the
    node's own chain has.
    """
    total = inputs(6, sample=8 * 250)
    count = max(8, -(-total // 5_000))
    each = -(-total // count)
    async with hard_chain(SyncLimits()) as (node, sync):
        node.clock.set(LATE_MS + each * LATER_MS)
        rows = len(list(node.chain.store.database.iterate(HEADER)))
        strangers = [
            ScriptedPeer(Stranger(cheap_headers(each, number)), number, inbound=True)
            for number in range(1, count + 1)
        ]
        for stranger in strangers:
            sync.joined(stranger)
        await until(lambda: all(stranger.answers for stranger in strangers))
        honest = ScriptedPeer(ServedChain(LONGER.blocks, spec=HARD), 250, inbound=True)
        sync.joined(honest)
        await pass_until(node.clock, lambda: node.chain.head.height == 5)
        ends = [asyncio.create_task(sync.caught_up(stranger)) for stranger in strangers]
        await pass_until(node.clock, lambda: all(end.done() for end in ends))
        assert {stranger.dismissed for stranger in strangers} == {""}
        asked = {name for stranger in strangers for name in stranger.asked}
        assert asked <= {LONGER.tip.id}, "no body of theirs was asked for"
        assert len(list(node.chain.store.database.iterate(HEADER))) == rows + 1
    fault.tell(count * each)


async def test_what_was_checked_is_not_checked_again() -> None:
    weak = Stranger(cheap_headers(120, 1))
    late, weak.blocks = weak.blocks, weak.blocks[:100]
    async with hard_chain(SyncLimits(headers=50, unproven_headers=130)) as (_, sync):
        peer = ScriptedPeer(weak)
        sync.joined(peer)
        await sync.caught_up(peer)
        weak.blocks = late
        for _ in range(3):
            sync.is_ahead(peer)
            await sync.caught_up(peer)
        assert peer.dismissed == "", "120 headers were checked, not 100 and four times the others"
        assert weak.locators[-1][0] == late[-1].header.id


async def test_of_those_whose_headers_take_the_most_memory_one_is_left() -> None:
    async with hard_chain(SyncLimits(headers=50, kept_headers=150)) as (node, sync):
        small, large = (ScriptedPeer(Stranger(cheap_headers(count, count)), count) for count in (70, 90))
        for peer in (large, small):
            sync.joined(peer)
            await sync.caught_up(peer)
        assert [large.dismissed, small.dismissed] == ["requested", ""]
        honest = ScriptedPeer(ServedChain(LONGER.blocks, spec=HARD), 3)
        sync.joined(honest)
        await reach(node.chain, 5)


@pytest.mark.fault(id=39)
async def test_a_branch_whose_bodies_do_not_come_gives_way_to_another() -> None:
    """The withholder's headers lead; the honest has to wait for two seconds of the clock."""
    rival = fork(OWN, 3)
    rival.mine(miner=miner_address(1))
    rival.mine(miner=miner_address(1))
    withholding = ServedChain(rival.blocks, spec=HARD)

    async def never(name: Hash) -> bytes | None:
        if withholding.found(name):
            await asyncio.Event().wait()
        return None

    withholding.body = never
    async with hard_chain(SyncLimits()) as (node, sync):
        withholder = ScriptedPeer(withholding)
        sync.joined(withholder)
        await until(lambda: withholder.asked)
        honest = ScriptedPeer(ServedChain(LONGER.blocks, spec=HARD), 2, inbound=True)
        sync.joined(honest)
        await until(lambda: honest.answers)
        assert node.chain.head.id == OWN.tip.id

        def has_moved() -> bool:
            node.clock.advance(100)
            return node.chain.head.id == LONGER.tip.id

        await until(has_moved)
        assert withholder.dismissed == "", "it may try again"
