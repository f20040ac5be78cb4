"""The memory network keeps a transport's promises, and its faults do what they say."""

import asyncio
import random
from contextlib import suppress

import pytest

from engram.node.clock import FakeClock
from engram.p2p.errors import DialFailed, FrameTooLarge, LinkClosed, ListenFailed
from engram.p2p.link import Link, PeerAddress
from engram.p2p.memory import ACCEPT_QUEUE, PIPE_BYTES, MemoryNetwork
from engram.p2p.messages import HANDSHAKE_FRAME_BYTES, MAX_FRAME_BYTES

A_TO_B = PeerAddress("b", 1)


def network() -> tuple[MemoryNetwork, FakeClock]:
    clock = FakeClock(0)
    return MemoryNetwork(clock, random.Random(0)), clock


async def pair(net: MemoryNetwork) -> tuple[Link, Link]:
    async with net.transport("b") as transport, transport.listen("b", 1) as listener:
        near = await net.transport("a").dial(A_TO_B)
        far = await anext(aiter(listener.links()))
    return near, far


async def rest(link: Link) -> list[bytes]:
    """Everything that still arrives before the link closes."""
    frames: list[bytes] = []
    with suppress(LinkClosed):
        while True:
            frames.append(await link.receive())
    return frames


async def test_frames_arrive_in_order_both_ways() -> None:
    net, _ = network()
    near, far = await pair(net)
    for frame in (b"one", b"two"):
        await near.send(frame)
    await far.send(b"back")
    assert [await far.receive(), await far.receive(), await near.receive()] == [b"one", b"two", b"back"]
    assert (near.remote, far.remote.host) == (A_TO_B, "a")


async def test_a_full_pipe_makes_the_sender_wait_and_the_receiver_frees_it() -> None:
    net, _ = network()
    near, far = await pair(net)
    await near.send(bytes(PIPE_BYTES))
    sending = asyncio.create_task(near.send(b"next"))
    await asyncio.sleep(0)
    assert not sending.done()
    far.open_up()
    assert len(await far.receive()) == PIPE_BYTES
    await sending
    assert await far.receive() == b"next"


async def test_closing_lets_frames_arrive_and_aborting_does_not() -> None:
    for discard in (False, True):
        net, _ = network()
        near, far = await pair(net)
        await near.send(b"last word")
        if discard:
            near.abort()
        else:
            await near.close()
            assert await far.receive() == b"last word"
        with pytest.raises(LinkClosed):
            await far.receive()
        for link in (near, far):
            with pytest.raises(LinkClosed):
                await link.send(b"too late")
        with pytest.raises(LinkClosed):
            await near.receive()


async def test_a_waiting_sender_and_receiver_learn_of_the_end() -> None:
    net, _ = network()
    near, far = await pair(net)
    await near.send(bytes(PIPE_BYTES))
    waiting = [asyncio.create_task(near.send(b"x")), asyncio.create_task(near.receive())]
    await asyncio.sleep(0)
    far.abort()
    for task in waiting:
        with pytest.raises(LinkClosed):
            await task


async def test_the_cap_follows_the_handshake() -> None:
    net, _ = network()
    near, far = await pair(net)
    await near.send(bytes(HANDSHAKE_FRAME_BYTES))
    assert len(await far.receive()) == HANDSHAKE_FRAME_BYTES
    await near.send(bytes(HANDSHAKE_FRAME_BYTES + 1))
    with pytest.raises(FrameTooLarge):
        await far.receive()
    far.open_up()
    for size in (MAX_FRAME_BYTES, MAX_FRAME_BYTES + 1):
        await near.send(bytes(size))
        if size > MAX_FRAME_BYTES:
            with pytest.raises(FrameTooLarge):
                await far.receive()
        else:
            assert len(await far.receive()) == size


async def test_delays_keep_the_order() -> None:
    net, clock = network()
    near, far = await pair(net)
    net.delay("a", "b", 2.0)
    await near.send(b"slow")
    net.heal()
    await near.send(b"quick, but behind")
    receiving = asyncio.create_task(far.receive())
    await asyncio.sleep(0)
    clock.advance(1_999)
    await asyncio.sleep(0)
    assert not receiving.done()
    clock.advance(1)
    assert await receiving == b"slow"
    assert await far.receive() == b"quick, but behind"


async def test_losses_are_drawn_from_the_networks_source() -> None:
    kept = []
    for _ in range(2):
        net, _ = network()
        near, far = await pair(net)
        net.lose("a", "b", 0.5)
        for number in range(100):
            await near.send(bytes([number]))
        net.heal()
        await near.close()
        kept.append(await rest(far))
    assert kept[0] == kept[1]
    assert 30 < len(kept[0]) < 70


async def test_a_partition_breaks_links_across_it_only() -> None:
    net, _ = network()
    near, far = await pair(net)
    net.partition(["a", "b"], ["c"])
    await near.send(b"same side")
    assert await far.receive() == b"same side"
    net.partition(["a"])
    with pytest.raises(LinkClosed):
        await far.receive()
    async with net.transport("b").listen("b", 1):
        with pytest.raises(DialFailed):
            await net.transport("a").dial(A_TO_B)
        net.heal()
        (await net.transport("a").dial(A_TO_B)).abort()


async def test_ports_are_taken_and_given_back() -> None:
    net, _ = network()
    with pytest.raises(DialFailed):
        await net.transport("a").dial(A_TO_B)
    async with net.transport("b").listen("b", 1) as listener, net.transport("b").listen("b", 0) as free:
        assert listener.port == 1
        assert free.port not in (0, 1)
        with pytest.raises(ListenFailed):
            async with net.transport("b").listen("b", 1):
                pass
    with pytest.raises(ListenFailed):
        async with net.transport("b").listen("a", 1):
            pass
    with pytest.raises(DialFailed):
        await net.transport("a").dial(A_TO_B)


async def test_links_that_nobody_takes_up_are_bounded_and_closed_with_the_listener() -> None:
    net, _ = network()
    async with net.transport("b").listen("b", 1):
        links = [await net.transport("a").dial(A_TO_B) for _ in range(ACCEPT_QUEUE)]
        with pytest.raises(DialFailed):
            await net.transport("a").dial(A_TO_B)
    for link in links:
        with pytest.raises(LinkClosed):
            await link.receive()


async def test_a_slow_link_carries_one_frame_after_the_other() -> None:
    net, clock = network()
    net.throttle("a", "b", 1_000)
    net.delay("a", "b", 0.5)
    near, far = await pair(net)
    await near.send(bytes(1_000))
    await near.send(bytes(2_000))
    arrived: list[int] = []

    async def receive() -> None:
        for _ in range(2):
            arrived.append(len(await far.receive()))

    receiving = asyncio.create_task(receive())
    for after_ms, expected in ((1_499, []), (1, [1_000]), (1_999, [1_000]), (1, [1_000, 2_000])):
        clock.advance(after_ms)
        for _ in range(5):
            await asyncio.sleep(0)
        assert arrived == expected
    await receiving
    await far.send(b"back")
    assert await near.receive() == b"back", "the other direction is as fast as ever"
    net.heal()
    await near.send(bytes(10_000))
    assert len(await far.receive()) == 10_000
