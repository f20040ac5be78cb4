"""How many requests, large bodies and unsent bytes are in hand at once, and who is answered all the same."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import repeat
from typing import Any

import aiohttp
import pytest

from engram.node.rpc.admission import RpcPlaces
from engram.node.rpc.arriving import Arriving, ArrivingBodies
from engram.node.rpc.bodies import MAX_BODY_BYTES, SMALL_BODY_BYTES
from engram.node.rpc.dispatcher import MAX_BATCH_REPLY_CHARS, MAX_BATCH_S, Dispatcher
from engram.node.rpc.jsonrpc import method_of, method_table
from engram.node.rpc.limits import RpcLimits
from engram.node.rpc.refusals import HttpRefusal
from engram.node.rpc.server import MAX_IN_HAND
from tests.support.p2p_chain import WAIT_S
from tests.support.rpc_door import BLOB, FAR_BLOB, TOKEN, Door, opened
from tests.support.until import until

pytestmark = pytest.mark.fault(id=36)
OWNER = {"Authorization": f"Bearer {TOKEN}"}
AT_ONCE = RpcLimits(place_s=0, requests=2, own_requests=1, large_bodies=1, own_large_bodies=1)
"""Whoever finds no place is refused at once."""


def call(method: str, *params: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


async def health(door: Door) -> int:
    async with aiohttp.ClientSession() as session, session.get(door.url + "/health") as response:
        return response.status


def code(answer: tuple[int, Any]) -> tuple[int, Any]:
    status, body = answer
    document = body if status == 200 else json.loads(body)
    return status, document["error"]["data"]["code"] if "error" in document else document["result"]


@asynccontextmanager
async def waiting(door: Door, count: int, **request: Any) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """So many requests that are in hand; they are answered when the block ends."""
    tasks = [asyncio.create_task(door.post(document=call("wait"), **request)) for _ in range(count)]
    known = len(door.waiting)
    await until(lambda: len(door.waiting) == known + count)
    yield tasks
    door.released.set()
    assert [code(await task) for task in tasks] == [(200, "")] * count


async def test_requests_in_hand_are_bounded_and_the_owner_has_places_of_his_own() -> None:
    async with opened(limits=AT_ONCE) as door, waiting(door, 2):
        assert code(await door.post(document=call("ping"))) == (503, "too_busy")
        async with aiohttp.ClientSession() as session, session.get(door.url + "/metrics") as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "5")
        assert await health(door) == 200
        assert code(await door.post(document=call("ping"), headers=OWNER)) == (200, "pong")
        async with waiting(door, 1, headers=OWNER):
            assert code(await door.post(document=call("ping"), headers=OWNER)) == (503, "too_busy")
            assert await health(door) == 200
    assert door.bugs == []


async def blob(door: Door, name: bytes, **request: Any) -> int:
    url = f"{door.url}/blob/{name.hex()}"
    async with aiohttp.ClientSession() as session, session.get(url, **request) as response:
        return response.status


async def test_blobs_that_peers_are_asked_for_keep_no_other_request_waiting() -> None:
    limits = RpcLimits(place_s=0, requests=1, own_requests=1, blobs=2, own_blobs=1)
    async with opened(limits=limits) as door:
        looking = [asyncio.create_task(blob(door, FAR_BLOB)) for _ in range(2)]
        await until(lambda: len(door.waiting) == 2)
        assert await blob(door, BLOB) == 503
        assert await blob(door, BLOB, headers=OWNER) == 200
        assert code(await door.post(document=call("ping"))) == (200, "pong")
        door.released.set()
        assert [await each for each in looking] == [404, 404]
        assert await blob(door, BLOB) == 200


async def test_a_place_is_free_again_after_each_answer() -> None:
    async with opened(limits=AT_ONCE) as door:
        for method in ("ping", "refuse", "nowhere") * 3:
            assert (await door.post(document=call(method)))[0] == 200
        assert (await door.post(data=b"{", headers={"Content-Type": "application/json"}))[0] == 200


async def test_who_waits_gets_the_next_place_in_turn() -> None:
    limits = RpcLimits(place_s=600, requests=1)
    async with opened(limits=limits) as door:
        async with waiting(door, 1):
            later = asyncio.create_task(door.post(document=call("ping")))
            assert await health(door) == 200
            assert not later.done()
        assert code(await later) == (200, "pong")


async def test_a_slow_method_does_not_hold_up_the_next_of_its_connection() -> None:
    """Up to so many at once; the one beyond them waits until one is answered."""
    async with (
        opened() as door,
        aiohttp.ClientSession() as session,
        session.ws_connect(door.url + "/ws") as line,
    ):
        for number in range(MAX_IN_HAND - 1):
            await line.send_json(call("wait") | {"id": number})
        await line.send_json(call("ping") | {"id": "ping"})
        assert (await line.receive_json())["id"] == "ping"
        await line.send_json(call("wait") | {"id": MAX_IN_HAND - 1})
        await until(lambda: len(door.waiting) == MAX_IN_HAND)
        await line.send_json(call("ping") | {"id": "last"})
        assert await health(door) == 200
        door.released.set()
        identities = [(await line.receive_json())["id"] for _ in range(MAX_IN_HAND + 1)]
        assert identities == [*range(MAX_IN_HAND), "last"]


async def test_what_a_client_asked_before_it_left_is_carried_out() -> None:
    async with opened() as door, aiohttp.ClientSession() as session:
        async with session.ws_connect(door.url + "/ws") as line:
            await line.send_json(call("wait") | {"id": 1})
            await until(lambda: len(door.waiting) == 1)
        door.released.set()
        assert code(await door.post(document=call("ping"))) == (200, "pong")
        assert door.bugs == []


async def test_a_websocket_waits_without_being_refused() -> None:
    async with (
        opened(limits=AT_ONCE) as door,
        aiohttp.ClientSession() as session,
        session.ws_connect(door.url + "/ws") as stranger,
        session.ws_connect(door.url + "/ws", headers=OWNER) as owner,
    ):
        async with waiting(door, 2):
            await stranger.send_json(call("ping"))
            await owner.send_json(call("ping"))
            assert (await owner.receive_json())["result"] == "pong"
        assert (await stranger.receive_json())["result"] == "pong"


@asynccontextmanager
async def unfinished(
    door: Door, size: int, *, begun: int = 1
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A request of whose body so many bytes come, and no more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.server.port)
    writer.write(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {size}\r\n\r\n".encode()
    )
    writer.write(b" " * begun)
    await writer.drain()
    yield reader, writer
    writer.transport.abort()


async def test_large_bodies_in_hand_are_bounded() -> None:
    """Small ones, the owner's and the probes go on; the place of a request that is answered is free again."""
    large, headers = "00" * SMALL_BODY_BYTES, {"Content-Type": "application/json"}
    limits = RpcLimits(place_s=0, large_bodies=1, own_large_bodies=1)
    async with opened(limits=limits) as door:
        padded = json.dumps(call("wait")).encode() + b" " * SMALL_BODY_BYTES
        first = asyncio.create_task(door.post(data=padded, headers=headers))
        await until(lambda: len(door.waiting) == 1)
        assert code(await door.post(document=call("echo", large))) == (503, "too_busy")
        packed = headers | {"Content-Encoding": "gzip"}
        assert code(await door.post(data=b"x", headers=packed)) == (503, "too_busy")
        assert code(await door.post(document=call("ping"))) == (200, "pong")
        assert code(await door.post(document=call("echo", large), headers=OWNER)) == (200, SMALL_BODY_BYTES)
        assert await health(door) == 200
        door.released.set()
        assert code(await first) == (200, "")
        assert code(await door.post(document=call("echo", large))) == (200, SMALL_BODY_BYTES)


async def test_bodies_that_do_not_end_take_no_place() -> None:
    """Neither small nor large ones, however many: others are answered beside them, also with large ones."""
    async with AsyncExitStack() as stack:
        door = await stack.enter_async_context(
            opened(limits=RpcLimits(place_s=0, requests=1, large_bodies=1))
        )
        for size in (2, SMALL_BODY_BYTES, *[MAX_BODY_BYTES] * 48):
            await stack.enter_async_context(unfinished(door, size))
        assert code(await door.post(document=call("ping"))) == (200, "pong")
        body = "00" * SMALL_BODY_BYTES
        assert code(await door.post(document=call("echo", body))) == (200, SMALL_BODY_BYTES)


async def test_large_bodies_that_hold_too_much_are_cut() -> None:
    """Those which stop; one that comes at once gets through."""
    room = 4 * SMALL_BODY_BYTES
    limits = RpcLimits(body_s=3600, arriving_bytes=room, own_arriving_bytes=room)
    async with AsyncExitStack() as stack:
        door = await stack.enter_async_context(opened(limits=limits))
        stopped = [
            await stack.enter_async_context(unfinished(door, MAX_BODY_BYTES, begun=SMALL_BODY_BYTES))
            for _ in range(6)
        ]
        reading = [asyncio.create_task(reader.read()) for reader, _ in stopped]
        ended, _ = await asyncio.wait(reading, timeout=WAIT_S, return_when=asyncio.FIRST_COMPLETED)
        cut = ended.pop().result()
        assert cut.split()[1] == b"503"
        assert b"came slowest" in cut
        body = "00" * SMALL_BODY_BYTES
        while (answer := code(await door.post(document=call("echo", body)))) != (200, SMALL_BODY_BYTES):
            assert answer == (503, "too_busy")
        assert code(await door.post(document=call("echo", body), headers=OWNER)) == (200, SMALL_BODY_BYTES)


class Bodies:
    """Bodies that arrive by a clock of their own; each is a task until it is cut or has its place."""

    def __init__(self, most_bytes: int) -> None:
        self.now_s = 0.0
        self._bodies = ArrivingBodies(most_bytes, lambda: self.now_s)
        self.cut: list[str] = []
        self._ends: list[asyncio.Event] = []

    async def begin(self, group: asyncio.TaskGroup, name: str, host: str) -> Arriving:
        began: asyncio.Future[Arriving] = asyncio.get_running_loop().create_future()
        self._ends.append(asyncio.Event())
        group.create_task(self._arrive(name, host, began, self._ends[-1]))
        return await began

    async def _arrive(
        self, name: str, host: str, began: asyncio.Future[Arriving], end: asyncio.Event
    ) -> None:
        try:
            async with self._bodies.one(host) as arriving:
                began.set_result(arriving)
                await end.wait()
        except HttpRefusal as refusal:
            self.cut.append(f"{name} {refusal.status}")

    def end(self) -> None:
        for each in self._ends:
            each.set()


async def test_the_slowest_body_of_the_host_that_holds_most_is_cut() -> None:
    bodies = Bodies(100)
    async with asyncio.TaskGroup() as group:
        trickling = await bodies.begin(group, "trickling", "crowd")
        bodies.now_s = 5.0
        quick = await bodies.begin(group, "quick", "crowd")
        whole = await bodies.begin(group, "whole", "crowd")
        alone = await bodies.begin(group, "alone", "single")
        bodies.now_s = 6.0
        for each, size in ((trickling, 20), (quick, 30), (whole, 25), (alone, 25)):
            each.holds(size)
        whole.is_whole()
        assert bodies.cut == []
        bodies.now_s = 7.0
        alone.holds(26)  # nobody has come as slowly as the one that began first
        await until(lambda: bodies.cut == ["trickling 503"])
        trickling.holds(90)  # it counts no more
        alone.holds(45)
        bodies.now_s = 8.0
        quick.holds(31)  # 31 in 3 s is slower than 25 in 1 s; the single host's own is slower, but holds less
        await until(lambda: bodies.cut == ["trickling 503", "quick 503"])
        alone.holds(75)
        await turns()
        assert len(bodies.cut) == 2
        alone.holds(76)  # now it is the one that holds most
        await until(lambda: bodies.cut[2:] == ["alone 503"])
        bodies.end()


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_no_host_has_all_places_and_the_next_goes_to_who_has_fewest() -> None:
    """The crowd asks first and for more; whoever comes later from elsewhere waits for one answer only."""
    places = RpcPlaces(RpcLimits(place_s=3600, requests=4))
    order: list[str] = []
    done: dict[str, asyncio.Event] = {}

    async def ask(name: str, host: str) -> None:
        done[name] = asyncio.Event()
        async with places.request(host, admin=False):
            order.append(name)
            await done[name].wait()

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(ask(f"crowd {number}", "192.0.2.1"))
        await turns()
        assert order == ["crowd 0", "crowd 1"]
        for name in ("one", "two", "three"):
            group.create_task(ask(name, f"198.51.100.{len(name)}"))
        await turns()
        assert order[2:] == ["one", "two"]
        done["crowd 0"].set()
        await turns()
        assert order[4:] == ["three"]
        for name in ("one", "two"):
            done[name].set()
        await turns()
        assert order[5:] == ["crowd 2"]
        for event in done.values():
            event.set()
    assert sorted(order) == sorted(done)


async def test_who_gives_up_waiting_leaves_his_turn_to_others() -> None:
    places = RpcPlaces(RpcLimits(place_s=3600, requests=1))
    async with places.request("192.0.2.1", admin=False):
        waiting = [asyncio.create_task(hold(places)) for _ in range(2)]
        await turns()
        waiting[0].cancel()
        await turns()
    await waiting[1]
    async with places.request("192.0.2.1", admin=False):
        given = asyncio.create_task(hold(places))
        await turns()
    given.cancel()  # it has its place already, and has not run since
    await asyncio.wait({given})
    await hold(places)


async def hold(places: RpcPlaces) -> None:
    async with places.request("192.0.2.2", admin=False):
        pass


async def test_replies_that_nobody_reads_are_cut_the_slowest_first() -> None:
    """Without a time: what they hold is what is bounded. A reader who reads gets his reply whole."""
    size, slow = 4 * MAX_BODY_BYTES, []
    async with opened(limits=RpcLimits(send_s=3600, unsent_bytes=3 * size)) as door:
        door.released.set()
        body = json.dumps(call("wait", size)).encode()
        head = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n".encode()
        for number in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", door.server.port, limit=1024)
            slow.append((reader, writer))
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport can
            writer.write(head + b"Content-Type: application/json\r\n\r\n" + body)
            await until(lambda number=number: len(door.waiting) == number + 1)  # type: ignore[misc]
        status, reply = await door.post(document=call("wait", size))
        assert (status, len(reply["result"])) == (200, size)
        for reader, writer in slow[:3]:
            writer.transport.resume_reading()  # type: ignore[attr-defined]
            assert len(await everything(reader)) < size
        for _, writer in slow:
            writer.transport.abort()


async def everything(reader: asyncio.StreamReader) -> bytes:
    """What arrives until the connection ends or breaks."""
    arrived = bytearray()
    with suppress(ConnectionError):
        while chunk := await reader.read(65_536):
            arrived += chunk
    return bytes(arrived)


async def long(size: int) -> str:
    """A long reply."""
    return "x" * size


def dispatcher(seconds: Iterator[float]) -> Dispatcher:
    return Dispatcher(
        method_table((method_of("long", long),)),
        lambda name, error: pytest.fail(f"{name}: {error}"),
        lambda: next(seconds),
    )


async def test_a_batch_whose_replies_are_long_is_cut_short() -> None:
    half = MAX_BATCH_REPLY_CHARS // 2
    batch = [call("long", half), call("long", half), call("long", 1), {"jsonrpc": "2.0", "method": "long"}, 5]
    replies = json.loads(await dispatcher(repeat(0.0)).answer(json.dumps(batch), admin=False) or "")
    codes = [reply["error"]["data"]["code"] if "error" in reply else "" for reply in replies]
    assert codes == ["", "", "reply_too_large", "invalid_request"]


async def test_a_batch_that_takes_long_is_cut_short() -> None:
    seconds = iter([0.0, 0.0, MAX_BATCH_S, MAX_BATCH_S + 0.1, MAX_BATCH_S + 0.2])
    replies = json.loads(
        await dispatcher(seconds).answer(json.dumps([call("long", 1)] * 4), admin=False) or ""
    )
    codes = [reply["error"]["data"]["code"] if "error" in reply else "" for reply in replies]
    assert codes == ["", "", "too_busy", "too_busy"]
