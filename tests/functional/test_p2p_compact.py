"""Compact relay over real sockets: what travels, and what false answers bring (fault 52)."""

import random
from collections.abc import AsyncIterator, Sequence

import pytest

from engram.node.clock import FakeClock
from engram.p2p.compact import PREFILL_BYTES, short_id, short_ids
from engram.p2p.errors import DisconnectReason
from engram.p2p.messages import (
    MAX_PREFILLED,
    PROTOCOL_VERSION,
    Announce,
    BlockData,
    BlockTransactions,
    CompactBlock,
    CompactForm,
    GetBlock,
    GetBlockTransactions,
    GetCompact,
)
from tests.support.faults import inputs
from tests.support.p2p_chain import BAD_WORK, GENESIS, Link, link_body, transaction_id
from tests.support.p2p_nodes import Node, running
from tests.support.p2p_scripted import SCRIPTED, ScriptedPeer, besieged, parting, scripted
from tests.support.until import until

R = DisconnectReason
POOL = tuple(b"transaction %d" % number for number in range(8))
BLOCK = Link(GENESIS.id, 1, b"block", POOL)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """A node in whose mempool the first five transactions of `BLOCK` wait."""
    async with besieged() as node:
        for raw in POOL[:5]:
            node.chain.submit(raw)
        yield node


async def announced(peer: ScriptedPeer, block: Link, form: CompactForm | None) -> None:
    """The peer has announced the block, and has answered the question for its compact form."""
    await peer.send(Announce((block.id,), ()))
    request = await peer.expect(GetCompact)
    assert request.block_id == block.id
    await peer.send(CompactBlock(request.request, form))


async def asked_for(peer: ScriptedPeer, places: Sequence[int]) -> int:
    """The node asks for the transactions at these places; the number of its request."""
    request = await peer.expect(GetBlockTransactions)
    assert request.places == tuple(places)
    return request.request


async def give_whole(peer: ScriptedPeer, block: Link) -> None:
    """The node asks for the whole block and gets it."""
    request = await peer.expect(GetBlock)
    assert request.block_id == block.id
    await peer.send(BlockData(request.request, block.packed_bytes))


def part(*places: int) -> bytes:
    """What answers a question for these places of `BLOCK`."""
    return link_body([POOL[place] for place in places])


async def test_only_what_the_node_lacks_is_sent_to_it(node: Node) -> None:
    async with scripted(node, version=PROTOCOL_VERSION) as peer:
        await peer.open()
        await announced(peer, BLOCK, BLOCK.form(prefilled=(6,), transactions=part(6)))
        await peer.send(BlockTransactions(await asked_for(peer, (5, 7)), part(5, 7)))
        await node.chain.wait_for(lambda: node.chain.tip.id == BLOCK.id)
        assert node.chain.tip == BLOCK
        assert node.policy.reports == []


async def test_nothing_is_asked_for_if_everything_waits(node: Node) -> None:
    block = Link(GENESIS.id, 1, b"known", POOL[:5][::-1])
    async with scripted(node, version=PROTOCOL_VERSION) as peer:
        await peer.open()
        await announced(peer, block, block.form())
        await node.chain.wait_for(lambda: node.chain.tip.id == block.id)
        assert node.chain.tip == block


async def test_a_node_sends_what_the_peer_has_probably_not_seen(node: Node) -> None:
    """Of the transactions that were not announced between the two, those that are small in all come along."""
    rng = random.Random(1)
    unseen = [rng.randbytes(PREFILL_BYTES // 2 - 1), rng.randbytes(PREFILL_BYTES // 2 - 1), rng.randbytes(3)]
    async with scripted(node, version=PROTOCOL_VERSION) as peer:
        await peer.open()
        await peer.send(Announce((), tuple(map(transaction_id, POOL[5:]))))
        await peer.barrier()
        block = node.chain.mine(b"mined", (*POOL, *unseen))
        await peer.send(GetCompact(1, block.id))
        answer = await peer.expect(CompactBlock)
        assert answer.form == block.form(prefilled=(8, 9), transactions=link_body(unseen[:2]))
        await peer.send(GetBlockTransactions(2, block.id, (0, 7, 10)))
        part = await peer.expect(BlockTransactions)
        assert part.transactions == link_body([POOL[0], POOL[7], unseen[2]])


async def test_how_many_transactions_come_along(node: Node) -> None:
    async with scripted(node, version=PROTOCOL_VERSION) as peer:
        await peer.open()
        many = [b"%d" % number for number in range(MAX_PREFILLED + 1)]
        block = node.chain.mine(b"many", many)
        await peer.send(GetCompact(1, block.id))
        form = (await peer.expect(CompactBlock)).form
        assert form is not None
        assert form.prefilled == tuple(range(MAX_PREFILLED))
        assert form.transactions == link_body(many[:MAX_PREFILLED])


async def test_what_is_not_at_hand_is_answered_with_nil(node: Node) -> None:
    block = node.chain.mine(b"mined", POOL)
    huge = node.chain.mine(bytes(1_000), POOL)
    async with scripted(node, version=PROTOCOL_VERSION) as peer:
        await peer.open()
        for unknown in (bytes(32), huge.id):
            await peer.send(GetCompact(1, unknown), GetBlockTransactions(2, unknown, (0,)))
            assert await peer.expect(CompactBlock) == CompactBlock(1, None)
            assert await peer.expect(BlockTransactions) == BlockTransactions(2, None)
        for places in ((8,), (0, 8), (1, 0), (0, 0)):
            await peer.send(GetBlockTransactions(3, block.id, places))
            assert await peer.expect(BlockTransactions) == BlockTransactions(3, None)
        await peer.send(GetBlockTransactions(4, block.id, (0, 7)))
        assert await peer.expect(BlockTransactions) == BlockTransactions(4, part(0, 7))


@pytest.mark.fault(id=52)
@pytest.mark.parametrize("withheld", ["form", "transactions"])
async def test_who_withholds_a_part_is_asked_for_the_whole_block(node: Node, withheld: str) -> None:
    async with scripted(node, version=PROTOCOL_VERSION) as peer:
        await peer.open()
        await announced(peer, BLOCK, BLOCK.form() if withheld == "transactions" else None)
        if withheld == "transactions":
            await peer.send(BlockTransactions(await asked_for(peer, (5, 6, 7)), None))
        await give_whole(peer, BLOCK)
        await node.chain.wait_for(lambda: node.chain.tip.id == BLOCK.id)
        await peer.barrier()
        assert (node.policy.reports, node.chain.missed) == ([], [])


FALSE_PARTS = {
    "half": (part(5, 6), R.BAD_REPLY, "wrong_reply"),
    "none": (link_body([]), R.BAD_REPLY, "wrong_reply"),
    "more": (part(5, 6, 7, 0), R.BAD_REPLY, "wrong_reply"),
    "swapped": (part(5, 7, 6), R.BAD_REPLY, "wrong_reply"),
    "another": (link_body([POOL[5], POOL[6], b"other"]), R.BAD_REPLY, "wrong_reply"),
    "cut": (part(5, 6, 7)[:-1], R.BAD_FRAME, "truncated"),
    "badly packed": (b"\x02" + part(5, 6, 7)[1:], R.BAD_FRAME, "bad_packing"),
    "bomb": (b"\x01\xff\xff\xff\xff" + bytes(100), R.BAD_FRAME, "too_large"),
}
FALSE_FORMS = {
    "another header": (BLOCK.form(header=Link(GENESIS.id, 1, b"x").header), R.BAD_REPLY, "wrong_reply"),
    "cut short id": (BLOCK.form(short_ids=bytes(63)), R.BAD_REPLY, "wrong_reply"),
    "place beyond": (BLOCK.form(prefilled=(8,), transactions=part(0)), R.BAD_REPLY, "wrong_reply"),
    "place for nothing": (BLOCK.form(prefilled=(0,)), R.BAD_REPLY, "wrong_reply"),
    "places fall": (BLOCK.form(prefilled=(1, 0), transactions=part(1, 0)), R.BAD_REPLY, "wrong_reply"),
    "wrong place": (BLOCK.form(prefilled=(1,), transactions=part(0)), R.BAD_REPLY, "wrong_reply"),
    "badly packed": (BLOCK.form(transactions=b"\x02"), R.BAD_FRAME, "bad_packing"),
    "bomb": (BLOCK.form(transactions=b"\x01\x00\x01\x00\x01" + bytes(100)), R.BAD_FRAME, "too_large"),
}


async def honestly(node: Node, block: Link) -> None:
    """Another peer announces the block and gives it: nothing that the first one did keeps it away."""
    async with scripted(node, SCRIPTED - 1, version=PROTOCOL_VERSION) as honest:
        await honest.open()
        await announced(honest, block, None)
        await give_whole(honest, block)
        await node.chain.wait_for(lambda: node.chain.tip.id == block.id)
        await honest.barrier()
        assert node.policy.score(honest.key.public_key) == 0


@pytest.mark.fault(id=52)
@pytest.mark.parametrize("case", FALSE_PARTS)
async def test_a_part_that_proves_a_lie_ends_the_session(node: Node, case: str) -> None:
    packed, reason, code = FALSE_PARTS[case]
    async with scripted(node, version=PROTOCOL_VERSION) as peer:
        await peer.open()
        await announced(peer, BLOCK, BLOCK.form())
        await peer.send(BlockTransactions(await asked_for(peer, (5, 6, 7)), packed))
        await parting(node, peer, reason, code)
        assert node.policy.score(peer.key.public_key) == 100
    await honestly(node, BLOCK)


@pytest.mark.fault(id=52)
@pytest.mark.parametrize("case", FALSE_FORMS)
async def test_a_form_that_proves_a_lie_ends_the_session(node: Node, case: str) -> None:
    form, reason, code = FALSE_FORMS[case]
    async with scripted(node, version=PROTOCOL_VERSION) as peer:
        await peer.open()
        await announced(peer, BLOCK, form)
        await parting(node, peer, reason, code)
        assert node.policy.score(peer.key.public_key) == 100
    await honestly(node, BLOCK)


@pytest.mark.fault(id=52)
async def test_nothing_is_asked_for_before_the_work_is_checked(node: Node) -> None:
    """So nobody learns for free which transactions the node has."""
    block = Link(GENESIS.id, 1, BAD_WORK, POOL)
    async with scripted(node, version=PROTOCOL_VERSION) as peer:
        await peer.open()
        await announced(peer, block, block.form())
        await parting(node, peer, R.INVALID_DATA, "invalid_header")


@pytest.mark.fault(id=52, inputs=inputs(52, sample=6, share=0.5))
async def test_false_short_ids_cost_the_liar_and_not_the_block(node: Node) -> None:
    """They name transactions that wait here: nothing is missing, and the root tells that they are others."""
    rng = random.Random(52)
    count = inputs(52, sample=6, share=0.5)
    for number in range(count):
        block = Link(node.chain.tip.id, node.chain.tip.height + 1, b"%d" % number, POOL)
        named = [transaction_id(raw) for raw in rng.sample(POOL[:5], rng.randrange(1, 6))]
        lie = block.form(short_ids=short_ids(block.key, named))
        async with scripted(node, version=PROTOCOL_VERSION) as peer:
            await peer.open()
            await announced(peer, block, lie)
            await give_whole(peer, block)
            await parting(node, peer, R.BAD_REPLY, "wrong_reply")
            assert node.chain.tip.id == block.id
            assert node.policy.score(peer.key.public_key) == 100
        node.policy.forgive()


@pytest.mark.fault(id=52)
async def test_a_collision_by_chance_costs_nobody(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A waiting transaction has the short id of another one that the block holds."""
    double, wanted = transaction_id(POOL[0]), transaction_id(POOL[7])

    def colliding(key: bytes, txid: bytes) -> bytes:
        return short_id(key, wanted if txid == double else txid)

    monkeypatch.setattr("engram.p2p.compact.short_id", colliding)
    block = Link(GENESIS.id, 1, b"collides", POOL[1:5] + POOL[7:])
    async with scripted(node, version=PROTOCOL_VERSION) as peer:
        await peer.open()
        await announced(peer, block, block.form())
        await give_whole(peer, block)
        await node.chain.wait_for(lambda: node.chain.tip.id == block.id)
        await peer.barrier()
        assert node.policy.reports == []


@pytest.mark.fault(id=52)
@pytest.mark.parametrize("mute_at", ["form", "transactions", "block"])
async def test_who_stays_mute_at_any_step_has_the_time_of_one_request(mute_at: str) -> None:
    """After that, the next announcer is asked, and what comes too late is dropped without blame."""
    clock = FakeClock(1_700_000_000_000)
    node = Node(0, clock=clock)
    async with (
        running(node),
        scripted(node, version=PROTOCOL_VERSION) as mute,
        scripted(node, SCRIPTED - 1, version=PROTOCOL_VERSION) as honest,
    ):
        await mute.open()
        await honest.open()
        await mute.send(Announce((BLOCK.id,), ()))
        request = await mute.expect(GetCompact)
        late: list[CompactBlock | BlockTransactions | BlockData] = [
            CompactBlock(request.request, BLOCK.form())
        ]
        clock.advance(4_000)
        if mute_at != "form":
            await mute.send(late.pop())
            number = await asked_for(mute, range(8))
            late = [BlockTransactions(number, part(*range(8)))]
            clock.advance(4_000)
        if mute_at == "block":
            await mute.send(BlockTransactions(number, None))
            whole = await mute.expect(GetBlock)
            late = [BlockData(whole.request, BLOCK.packed_bytes)]
        await honest.send(Announce((BLOCK.id,), ()))
        await honest.barrier()
        clock.advance(6_000 if mute_at == "form" else 2_000)
        question = await honest.expect(GetCompact)
        assert node.chain.tip is GENESIS
        await mute.send(*late)
        await mute.barrier()
        await honest.send(CompactBlock(question.request, BLOCK.form(short_ids=b"")))
        await give_whole(honest, BLOCK)
        await until(lambda: node.chain.tip.id == BLOCK.id)
        assert [peer.node_key for peer in node.chain.missed] == [mute.key.public_key]


async def test_peers_of_the_first_version_are_asked_for_whole_blocks(node: Node) -> None:
    async with scripted(node) as peer:
        await peer.open()
        await peer.send(Announce((BLOCK.id,), ()))
        await give_whole(peer, BLOCK)
        await node.chain.wait_for(lambda: node.chain.tip.id == BLOCK.id)


async def test_a_block_that_came_as_short_ids_is_passed_on_whole_and_compact() -> None:
    """While it is still being executed, too."""
    nodes = first, middle, last = Node(0), Node(1), Node(2)
    for each in nodes:
        each.chain.pool = {transaction_id(raw): raw for raw in POOL}
    middle.chain.may_execute.clear()
    async with running(*nodes):
        await first.connect(middle)
        await last.connect(middle)
        block = first.chain.mine(b"relayed", POOL)
        await last.chain.wait_for(lambda: last.chain.tip.id == block.id)
        assert await last.peer(middle).get_block(block.id) == block.packed_bytes
        assert middle.chain.tip is GENESIS
        middle.chain.may_execute.set()
        await middle.chain.wait_for(lambda: middle.chain.tip.id == block.id)
