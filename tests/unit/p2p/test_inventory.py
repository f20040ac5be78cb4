"""Known ids, relayed blocks, and who is asked for what."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from engram.p2p.inventory import PROVEN_CALLS, PROVEN_SOURCES, KnownIds, RecentBlocks, WantList
from tests.support.p2p_chain import Link


def test_known_ids_forget_the_oldest() -> None:
    known = KnownIds(2)
    for id_ in (b"a", b"b", b"a", b"c"):
        known.add(id_)
    assert (b"a" in known, b"b" in known, b"c" in known, len(known)) == (True, False, True, 2)


def block_of(name: bytes, size: int) -> Link:
    return Link(bytes(32), 1, name, (bytes(size),))


def test_recent_blocks_are_bounded_by_bytes() -> None:
    recent = RecentBlocks(10)
    a, b, c, huge = (block_of(name, size) for name, size in ((b"a", 5), (b"b", 5), (b"c", 6), (b"d", 11)))
    recent.add(a)
    recent.add(a)
    recent.add(b)
    assert (recent.find(a.id), recent.find(b.id)) == (a, b)
    recent.drop(b.id)
    recent.drop(b.id)
    recent.add(c)
    assert (recent.find(a.id), recent.find(b.id), recent.find(c.id)) == (None, None, c)
    recent.add(huge)
    assert [recent.find(block.id) for block in (c, huge)] == [None, None]


def test_packed_bytes_of_recent_blocks_count_as_much_as_the_blocks() -> None:
    recent = RecentBlocks(20)
    a, b, c = (block_of(name, 5) for name in (b"a", b"b", b"c"))
    recent.add(a, b"12345")
    recent.add(b)
    recent.keep_packed(b.id, b"54321")
    recent.keep_packed(c.id, b"it is not here")
    assert (recent.packed(a.id), recent.packed(b.id), recent.packed(c.id)) == (b"12345", b"54321", None)
    recent.keep_packed(b.id, b"a second time")
    assert a.id in recent
    recent.add(c)
    assert (recent.find(a.id), recent.packed(a.id)) == (None, None)
    recent.keep_packed(c.id, b"123456")
    assert [block.id in recent for block in (a, b, c)] == [False, False, True]
    recent.drop(c.id)
    assert recent.packed(c.id) is None


def joined(*peers: str, per_peer: int = 10) -> WantList[str]:
    wants: WantList[str] = WantList(per_peer)
    for peer in peers:
        wants.join(peer)
    return wants


async def test_an_id_is_asked_of_one_peer_at_a_time() -> None:
    wants = joined("first", "second")
    assert wants.offer("first", b"x")
    assert wants.offer("second", b"x")
    assert await wants.claim("first", 5) == [b"x"]
    waiting = asyncio.create_task(wants.claim("second", 5))
    await asyncio.sleep(0)
    assert not waiting.done()
    wants.give_up("first", [b"x"])
    assert await waiting == [b"x"]
    wants.give_up("second", [b"x"])
    assert len(wants) == 0
    assert wants.offer("first", b"x")
    assert await wants.claim("first", 5) == [b"x"]


async def test_a_source_that_comes_while_another_is_asked_waits_for_its_turn() -> None:
    wants = joined("first", "second")
    wants.offer("first", b"x")
    await wants.claim("first", 1)
    wants.offer("second", b"x")
    wants.leave("first")
    assert await wants.claim("second", 1) == [b"x"]


async def test_a_released_id_may_be_asked_of_the_same_peer() -> None:
    wants = joined("only")
    for id_ in (b"x", b"y"):
        wants.offer("only", id_)
    assert await wants.claim("only", 2) == [b"x", b"y"]
    wants.release("only", [b"y"])
    assert await wants.claim("only", 2) == [b"y"]


async def test_what_is_settled_is_forgotten_everywhere() -> None:
    wants = joined("first", "second")
    for peer in ("first", "second"):
        wants.offer(peer, b"x")
        wants.offer(peer, b"y")
    assert await wants.claim("first", 1) == [b"x"]
    wants.settle([b"x", b"unknown"])
    wants.give_up("first", [b"x"])
    assert await wants.claim("second", 5) == [b"y"]
    wants.settle([b"y"])
    assert len(wants) == 0
    wants.leave("first")
    wants.leave("second")


def test_one_peer_may_announce_only_so_much() -> None:
    wants = joined("first", "second", per_peer=2)
    assert [wants.offer("first", id_) for id_ in (b"x", b"y", b"z", b"x")] == [True, True, False, True]
    assert wants.offer("second", b"z")
    wants.settle([b"x"])
    assert wants.offer("first", b"z")


async def claimants(wants: WantList[str], *peers: str) -> list[str]:
    """Which of these peers can claim something now; they have it claimed then."""
    waiting = {peer: asyncio.create_task(wants.claim(peer, 1)) for peer in peers}
    for _ in range(3):
        await asyncio.sleep(0)
    for task in waiting.values():
        task.cancel()
    return [peer for peer, task in waiting.items() if task.done() and not task.cancelled()]


async def test_while_no_answer_comes_ever_more_are_asked() -> None:
    peers = [f"peer{number}" for number in range(9)]
    wants = joined(*peers)
    for peer in peers:
        wants.offer(peer, b"x")
    asked: list[list[str]] = []
    for _ in range(5):
        silent = sum(map(len, asked))
        for _ in range(silent):
            wants.widen(b"x")
        asked.append(await claimants(wants, *peers))
    assert [len(batch) for batch in asked] == [1, 1, 2, 4, 1]
    wants.widen(b"x")
    wants.join("late")
    wants.offer("late", b"x")
    assert await claimants(wants, "late") == ["late"], "who comes last need not wait"
    wants.settle([b"x"])
    wants.widen(b"x")
    assert len(wants) == 0


async def test_who_has_delivered_before_is_asked_first_and_trusted_to_answer() -> None:
    ranks = {"stranger": 3, "dialled": 2, "proven": 0, "proven too": 1} | {f"s{n}": 3 for n in range(6)}
    wants: WantList[str] = WantList(10, ranks.__getitem__)
    for peer in ranks:
        wants.join(peer)
    wants.offer("stranger", b"x")
    assert await wants.claim("stranger", 1) == [b"x"]
    for peer in ranks:
        wants.offer(peer, b"x")
    free = sorted(set(ranks) - {"stranger"})
    tasks = {peer: asyncio.create_task(wants.claim(peer, 1)) for peer in free}
    await asyncio.sleep(0)
    order: list[str] = []
    for _ in range(12):
        wants.widen(b"x")
        for _ in range(3):
            await asyncio.sleep(0)
        order += [peer for peer, task in tasks.items() if task.done() and peer not in order]
    for task in tasks.values():
        task.cancel()
    assert order == ["proven", "proven too", "dialled"]
    assert len(order) + 1 == PROVEN_SOURCES


async def test_who_has_delivered_before_is_trusted_only_for_a_while() -> None:
    peers = [f"peer{number}" for number in range(PROVEN_SOURCES + 1)]
    wants: WantList[str] = WantList(10, lambda peer: 0)
    for peer in peers:
        wants.join(peer)
        wants.offer(peer, b"x")
    asked = await claimants(wants, *peers)
    for _ in range(PROVEN_SOURCES - 1 + PROVEN_CALLS):
        wants.widen(b"x")
        asked += await claimants(wants, *peers)
    assert asked == peers[:PROVEN_SOURCES]
    wants.widen(b"x")
    assert await claimants(wants, *peers) == peers[-1:]


async def test_of_one_owner_a_second_is_asked_last() -> None:
    """Though it has a better rank than the others."""
    peers = ["A1", "A2", "A3", "B", "C"]
    wants: WantList[str] = WantList(10, lambda peer: 2 if peer in "BC" else 0, lambda peer: peer[0])
    for peer in peers:
        wants.join(peer)
        wants.offer(peer, b"x")
    tasks = {peer: asyncio.create_task(wants.claim(peer, 1)) for peer in peers}
    order: list[str] = []
    for _ in range(PROVEN_SOURCES):
        for _ in range(3):
            await asyncio.sleep(0)
        order += [peer for peer, task in tasks.items() if task.done() and peer not in order]
        wants.widen(b"x")
    for task in tasks.values():
        task.cancel()
    assert order == ["A1", "B", "C", "A2"]


PEERS, IDS = ("a", "b", "c"), tuple(bytes([number]) for number in range(4))
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["offer", "claim", "widen", "give_up", "release", "settle", "leave"]),
        st.sampled_from(PEERS),
        st.sampled_from(IDS),
    ),
    max_size=40,
)


@given(STEPS)
def test_every_wanted_id_is_asked_or_can_be(steps: list[tuple[str, str, bytes]]) -> None:
    """After any story: each id with a source is asked of as many as may be, or ready at all others."""

    async def story() -> None:
        wants = joined(*PEERS, per_peer=3)
        sources: dict[bytes, set[str]] = {id_: set() for id_ in IDS}
        asked: dict[bytes, set[str]] = {id_: set() for id_ in IDS}
        most = dict.fromkeys(IDS, 1)

        def ready(peer: str) -> list[bytes]:
            return [i for i in IDS if peer in sources[i] - asked[i] and len(asked[i]) < most[i]]

        for action, peer, id_ in steps:
            match action:
                case "offer":
                    if wants.offer(peer, id_):
                        sources[id_].add(peer)
                case "claim" if possible := ready(peer):
                    claimed = await asyncio.wait_for(wants.claim(peer, 1), 1)
                    assert len(claimed) == 1
                    assert claimed[0] in possible
                    asked[claimed[0]].add(peer)
                case "widen" if sources[id_]:
                    wants.widen(id_)
                    most[id_] = min(most[id_] + 1, len(sources[id_]) + 1)
                case "give_up":
                    wants.give_up(peer, [id_])
                    if peer in asked[id_]:
                        asked[id_].remove(peer)
                        sources[id_].remove(peer)
                case "release":
                    wants.release(peer, [id_])
                    asked[id_].discard(peer)
                case "settle":
                    wants.settle([id_])
                    asked[id_].clear()
                    sources[id_].clear()
                case "leave":
                    wants.leave(peer)
                    wants.join(peer)
                    for i in IDS:
                        asked[i].discard(peer)
                        sources[i].discard(peer)
            most |= {i: 1 for i in IDS if not sources[i]}
            assert len(wants) == sum(bool(known) for known in sources.values())
            assert [wants.wants(i) for i in IDS] == [bool(sources[i]) for i in IDS]
        for peer in PEERS:
            if possible := ready(peer):
                claimed = await asyncio.wait_for(wants.claim(peer, len(IDS)), 1)
                assert sorted(claimed) == possible
                for i in claimed:
                    asked[i].add(peer)

    asyncio.run(story())
