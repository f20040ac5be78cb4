"""Honest nodes over real sockets: handshake, requests, relay, double dials, refusals, shutdown."""

import asyncio
from collections.abc import Container, Iterable
from dataclasses import replace
from functools import partial
from random import Random

import pytest

from engram.p2p.errors import DisconnectReason, ListenFailed
from engram.p2p.link import PeerAddress
from engram.p2p.messages import MIB, GetTime, Time, encode_frame
from engram.p2p.places import PlaceLimits
from engram.p2p.protocol import Identity
from engram.primitives.errors import NotReady, StorageError
from engram.primitives.packing import pack
from tests.support.loop_watchdog import LoopWatchdog
from tests.support.p2p_chain import BAD_EXECUTION, GENESIS, LittleChain, transaction_id
from tests.support.p2p_nodes import QUICK, Node, running
from tests.support.until import until


def all_in(ids: Iterable[bytes], known: Container[bytes]) -> bool:
    return all(id_ in known for id_ in ids)


async def test_handshake_tells_both_sides_who_the_other_is() -> None:
    first, second = Node(0), Node(1)
    second.chain.append(b"one")
    async with running(first, second):
        await first.connect(second)
        (seen,) = first.manager.peers()
        (mirrored,) = second.manager.peers()
        assert (seen.node_key, seen.inbound, seen.agent) == (second.key.public_key, False, "little/1")
        assert (mirrored.node_key, mirrored.inbound) == (first.key.public_key, True)
        assert seen.address == second.address
        assert seen.head == second.chain.head
        assert mirrored.head == first.chain.head


async def test_requests_are_answered_from_the_peers_chain() -> None:
    first, second = Node(0), Node(1)
    blocks = [second.chain.append(bytes([number])) for number in range(5)]
    async with running(first, second):
        await first.connect(second)
        peer = first.peer(second)
        assert await peer.get_headers([GENESIS.id], 3) == tuple(block.header for block in blocks[:3])
        assert await peer.get_headers([blocks[2].id, GENESIS.id], 99) == tuple(b.header for b in blocks[3:])
        assert await peer.get_headers([bytes(32)], 1) == (blocks[0].header,)
        assert await peer.get_headers([blocks[-1].id], 9) == ()
        assert await peer.get_block(blocks[4].id) == blocks[4].packed_bytes
        assert await peer.get_block(bytes(32)) is None
        txid = second.chain.submit(b"pay")
        assert await peer.get_transactions([bytes(32), txid]) == (None, pack(b"pay"))


async def test_bytes_are_counted_by_the_message_that_carried_them() -> None:
    first, second = Node(0), Node(1)
    block = second.chain.append(bytes(1_000))
    async with running(first, second):
        await first.connect(second)
        for _ in range(3):
            await first.peer(second).get_block(block.id)
        asked, answered = first.manager.traffic.by_message(), second.manager.traffic.by_message()
        assert asked["sent", "GetBlock"] == answered["received", "GetBlock"] > 3 * len(block.id)
        assert asked["received", "BlockData"] == answered["sent", "BlockData"] > 3 * len(block.packed_bytes)


async def test_a_long_answer_ends_early_and_the_rest_can_be_asked_again() -> None:
    first, second = Node(0), Node(1)
    raws = [bytes([number]) * (MIB // 2) for number in range(4)]
    txids = [second.chain.submit(raw) for raw in raws]
    async with running(first, second):
        await first.connect(second)
        answers = await first.peer(second).get_transactions(txids)
        assert answers == tuple(map(pack, raws[:2])), "it is long by its plain bytes"
        assert await first.peer(second).get_transactions(txids[2:]) == tuple(map(pack, raws[2:]))


async def test_a_full_block_passes_without_blocking_the_event_loop(loop_watchdog: LoopWatchdog) -> None:
    first, second = Node(0), Node(1)
    block = second.chain.append(Random(1).randbytes(4 * MIB))
    assert len(await asyncio.to_thread(getattr, block, "packed_bytes")) > 4 * MIB, "nothing deflates it"
    async with running(first, second):
        await first.connect(second)
        second.manager.gossip.announce_block(block.id)
        await first.chain.wait_for(lambda: block.id in first.chain.blocks)
        assert loop_watchdog.stacks == []


async def test_blocks_travel_along_a_line_of_nodes() -> None:
    first, middle, last = Node(0), Node(1), Node(2)
    async with running(first, middle, last):
        await first.connect(middle)
        await middle.connect(last)
        for text in (b"one", b"two", b"three"):
            block = first.chain.mine(text)
            await last.chain.wait_for(partial(last.chain.blocks.get, block.id))
        assert last.chain.tip == first.chain.tip == middle.chain.tip


async def test_a_block_is_relayed_and_served_before_it_is_executed() -> None:
    first, middle, last = Node(0), Node(1), Node(2)
    async with running(first, middle, last):
        await first.connect(middle)
        await middle.connect(last)
        middle.chain.may_execute.clear()
        block = first.chain.mine(b"slow")
        await last.chain.wait_for(lambda: last.chain.tip == block)
        assert block.id not in middle.chain.blocks
        middle.chain.may_execute.set()
        await middle.chain.wait_for(lambda: middle.chain.tip == block)


async def test_a_block_that_fails_in_execution_costs_no_honest_relayer_its_session() -> None:
    first, middle, last = Node(0), Node(1), Node(2)
    async with running(first, middle, last):
        await first.connect(middle)
        await middle.connect(last)
        middle.chain.may_execute.clear()
        block = first.chain.mine(BAD_EXECUTION)
        await last.chain.wait_for(lambda: block.id in last.chain.fetched)
        middle.chain.may_execute.set()
        await middle.chain.wait_for(lambda: block.id in middle.chain.fetched)
        await last.peer(middle).ping()
        await middle.peer(first).ping()
        assert await last.peer(middle).get_block(block.id) is None
        assert (middle.policy.reports, last.policy.reports) == ([], [])
        good = middle.chain.mine(b"good")
        await last.chain.wait_for(lambda: last.chain.tip == good)


@pytest.mark.fault(id=23)
async def test_a_transaction_is_fetched_once_by_each_node_of_a_full_mesh() -> None:
    nodes = [Node(number) for number in range(4)]
    async with running(*nodes):
        for index, node in enumerate(nodes):
            for other in nodes[:index]:
                await node.connect(other)
        txids = [nodes[0].chain.submit(b"pay %d" % number) for number in range(50)]
        for node in nodes[1:]:
            await node.chain.wait_for(partial(all_in, txids, node.chain.pool))
        for node in nodes:
            for peer in node.chain.peers:
                await peer.ping()
        assert [sorted(node.chain.fetched) for node in nodes[1:]] == [sorted(txids)] * 3


async def test_a_block_ahead_of_its_parent_is_left_to_the_node() -> None:
    first, second = Node(0), Node(1)
    async with running(first, second):
        await first.connect(second)
        second.chain.append(b"unannounced")
        second.chain.mine(b"orphan")
        await second.peer(first).ping()
        await first.peer(second).ping()
        known = second.chain.mine(b"another orphan")
        await second.peer(first).ping()
        assert first.policy.reports == []
        with pytest.raises(NotReady):
            await first.chain.check_block(first.peer(second), known.id, known.packed_bytes)


async def test_ping_measures_the_round_trip_and_bytes_are_counted() -> None:
    first, second = Node(0, config=replace(QUICK, asks_for_addresses=False)), Node(1)
    async with running(first, second):
        await first.connect(second)
        await until(lambda: all(info.round_trip_s for info in first.manager.peers()))  # asked for its time
        (before,) = first.manager.peers()
        round_trip_s = await first.peer(second).ping()
        (info,) = first.manager.peers()
        assert info.round_trip_s == round_trip_s > 0
        assert abs(info.clock_ahead_s or 0) < 1, "it is the same clock, and the way there and back is no skew"
        question, answer = (len(encode_frame(message)) for message in (GetTime(1), Time(1, 2**40)))
        assert info.received_bytes - before.received_bytes >= answer
        assert info.sent_bytes - before.sent_bytes >= question
        assert info.queued_bytes == 0


async def test_a_node_that_dials_itself_gives_the_address_up() -> None:
    node = Node(0)
    async with running(node):
        node.manager.add_peer(node.address)
        await node.policy.wait_for("self_connection")
        await until(lambda: node.manager.targets() == [])
        assert (node.manager.peers(), node.chain.partings) == ([], [])


async def test_nodes_that_dial_each_other_keep_one_session() -> None:
    low, high = Node(0), Node(1)
    async with running(low, high):
        low.manager.add_peer(high.address)
        high.manager.add_peer(low.address)
        duplicate = (high.key.public_key, DisconnectReason.DUPLICATE)
        await low.chain.wait_for(lambda: low.knows(high))
        await high.chain.wait_for(lambda: high.knows(low))
        await low.chain.wait_for(lambda: [peer.info.inbound for peer in low.chain.peers] == [False])
        await high.chain.wait_for(lambda: [peer.info.inbound for peer in high.chain.peers] == [True])
        await low.peer(high).ping()
        assert all(parting == duplicate for parting in low.chain.partings)


async def test_a_second_address_of_the_same_node_is_not_dialled_while_there_is_a_session() -> None:
    first, second = Node(0), Node(1)
    async with running(first, second):
        await first.connect(second)
        first.manager.add_peer(replace(second.address, host="localhost"))
        await first.chain.wait_for(lambda: len(first.chain.partings) == 1)
        await first.chain.wait_for(lambda: first.knows(second))
        await first.peer(second).ping()
        assert first.chain.partings == [(second.key.public_key, DisconnectReason.DUPLICATE)]
        assert len(second.manager.peers()) == 1


@pytest.mark.parametrize(
    ("identity", "code"),
    [
        (Identity(8, GENESIS.id, "x"), "peer_on_other_chain"),
        (Identity(7, bytes(32), "x"), "peer_on_other_chain"),
        (Identity(7, GENESIS.id, "\x1b[2J"), "bad_handshake"),
    ],
)
async def test_a_node_that_does_not_fit_is_refused_by_name(identity: Identity, code: str) -> None:
    node, stranger = Node(0), Node(1, chain=LittleChain(identity))
    async with running(node, stranger):
        node.manager.add_peer(stranger.address)
        assert await node.policy.wait_for(code) is None
        assert node.chain.peers == []
        assert node.policy.score(stranger.key.public_key) == 0


async def test_an_address_with_a_key_accepts_no_other_node() -> None:
    node, other = Node(0), Node(1)
    async with running(node, other):
        pinned = PeerAddress(other.address.host, other.address.port, bytes(32))
        node.manager.add_peer(pinned)
        await node.policy.wait_for("wrong_peer")
        assert node.manager.remove_peer(pinned)
        node.manager.add_peer(replace(pinned, node_key=other.key.public_key))
        await node.chain.wait_for(lambda: node.knows(other))


async def test_the_last_place_for_an_inbound_session_is_the_last() -> None:
    full = Node(0, config=replace(QUICK, inbound=PlaceLimits(1)))
    first, second = Node(1), Node(2)
    async with running(full, first, second):
        await first.connect(full)
        second.manager.add_peer(full.address)
        await second.policy.wait_for("peer_disconnected")
        assert [peer.node_key for peer in full.manager.peers()] == [first.key.public_key]
        first.manager.remove_peer(full.address)
        await second.chain.wait_for(lambda: second.knows(full))


@pytest.mark.fault(id=20)
async def test_a_full_node_gives_the_place_of_an_idle_peer_to_a_new_one() -> None:
    """Of eight peers, four have the shortest way, and half of the others stand longer than the rest."""
    full = Node(0, config=replace(QUICK, inbound=PlaceLimits(8)))
    oldest, useful, *idle = (Node(number) for number in range(1, 9))
    new = Node(9)
    async with running(full, oldest, useful, *idle, new):
        for node in (oldest, useful, *idle):
            await node.connect(full)
            await full.peer(node).ping()
        block = useful.chain.mine(b"useful")
        await full.chain.wait_for(lambda: block.id in full.chain.blocks)
        new.manager.add_peer(full.address)
        await full.chain.wait_for(lambda: full.knows(new))
        parted = [key for key, reason in full.chain.partings if reason is DisconnectReason.TOO_MANY_PEERS]
        assert parted[0] in [node.key.public_key for node in idle]
        assert full.knows(oldest)
        assert full.knows(useful)
        new.manager.remove_peer(full.address)


async def test_a_taken_port_is_a_plain_error() -> None:
    node = Node(0)
    async with running(node):
        late = Node(1, config=replace(QUICK, port=node.manager.port))
        with pytest.raises(ListenFailed, match=r"cannot listen on 127\.0\.0\.1") as caught:
            await late.manager.run()
        assert caught.value.code == "listen_failed"


async def test_a_node_that_stops_says_so_and_is_found_again_when_it_is_back() -> None:
    staying, leaving = Node(0), Node(1)
    async with running(staying):
        async with running(leaving):
            await staying.connect(leaving)
            port = leaving.manager.port
        await staying.chain.wait_for(lambda: staying.chain.partings)
        assert staying.chain.partings == [(leaving.key.public_key, DisconnectReason.SHUTDOWN)]
        back = Node(1, config=replace(QUICK, port=port))
        async with running(back):
            await staying.chain.wait_for(lambda: staying.knows(back))


async def test_requests_fail_at_once_when_the_session_ends() -> None:
    first, second = Node(0), Node(1)
    async with running(first, second):
        await first.connect(second)
        peer = first.peer(second)
        assert first.manager.disconnect(second.key.public_key)
        with pytest.raises(NotReady) as caught:
            await peer.get_block(bytes(32))
        assert caught.value.code == "session_ended"
        await second.chain.wait_for(lambda: second.chain.partings)
        assert second.chain.partings[0] == (first.key.public_key, DisconnectReason.REQUESTED)
        assert not first.manager.disconnect(bytes(32))


async def test_a_removed_peer_is_not_dialled_again() -> None:
    first, second = Node(0), Node(1)
    async with running(first, second):
        await first.connect(second)
        assert first.manager.remove_peer(second.address)
        assert not first.manager.remove_peer(second.address)
        await second.chain.wait_for(lambda: second.chain.partings)
        await second.connect(first)
        assert first.manager.targets() == []
        assert [peer.inbound for peer in first.manager.peers()] == [True]


async def test_what_a_peer_announces_is_known_to_it() -> None:
    first, second = Node(0), Node(1)
    async with running(first, second):
        await first.connect(second)
        txid = first.chain.submit(b"pay")
        await second.chain.wait_for(lambda: txid in second.chain.pool)
        sent = second.manager.peers()[0].sent_bytes
        second.manager.gossip.announce_transactions([txid])
        await second.peer(first).ping()
        await second.peer(first).ping()
        assert second.manager.peers()[0].sent_bytes == sent + 6
        assert transaction_id(b"pay") == txid


async def test_what_deflates_travels_deflated() -> None:
    first, second = Node(0), Node(1)
    text, pay = b"a text that repeats itself, " * 100_000, b"a long payment, " * 50_000
    async with running(first, second):
        await first.connect(second)
        block, txid = first.chain.mine(text), first.chain.submit(pay)
        await second.chain.wait_for(lambda: block.id in second.chain.blocks and txid in second.chain.pool)
        assert second.chain.blocks[block.id] == block
        assert second.chain.pool[txid] == pay
        received = second.manager.peers()[0].received_bytes
        assert received < (len(text) + len(pay)) // 50


async def test_full_blocks_asked_for_all_at_once_come_one_after_the_other() -> None:
    """Ten of them are five times what may wait to be sent to one peer."""
    first, second = Node(0), Node(1)
    block = second.chain.append(Random(1).randbytes(4 * MIB))
    assert len(block.packed_bytes) > 4 * MIB, (
        "nothing deflates it, and it is packed before the loop is watched"
    )
    async with running(first, second):
        await first.connect(second)
        answers = await asyncio.gather(*(first.peer(second).get_block(block.id) for _ in range(10)))
        assert answers == [block.packed_bytes] * 10


async def test_a_failure_that_is_no_peers_fault_stops_the_node() -> None:
    first, second = Node(0), Node(1)

    async def broken(block_id: bytes) -> bytes:
        raise StorageError("the disk is gone")

    second.chain.block_bytes = broken  # type: ignore[method-assign]  # a disk that fails
    async with running(first):
        task = asyncio.create_task(second.manager.run())
        await second.manager.ready.wait()
        await first.connect(second)
        asking = asyncio.create_task(first.peer(second).get_block(bytes(32)))
        with pytest.raises(ExceptionGroup) as caught:
            await task
        assert caught.group_contains(StorageError, match="the disk is gone")
        with pytest.raises(NotReady):
            await asking
        await first.chain.wait_for(lambda: first.chain.partings)


async def test_a_host_that_the_policy_refuses_is_told_so() -> None:
    first, second = Node(0), Node(1)
    second.policy.refused_hosts.add("127.0.0.1")
    async with running(first, second):
        first.manager.add_peer(second.address)
        assert await second.policy.wait_for("peer_banned") is None
        await first.policy.wait_for("peer_disconnected")
        assert first.chain.partings == []
