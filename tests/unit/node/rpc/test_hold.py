"""The connection by which a program holds the blocks of a test network."""

from contextlib import suppress

import aiohttp
import pytest

from engram.node.client import RpcClient
from engram.participant import waiting
from engram.participant.notices import Notice
from engram.participant.waiting import held
from tests.support.rpc_door import opened
from tests.support.until import until

NOBODY = {"limit": None, "programs": 0, "finished": 0, "muster": 0, "met": False, "left": None, "work": 0}


async def test_a_program_holds_blocks_for_as_long_as_its_connection_stands() -> None:
    async with opened() as door, RpcClient(door.url) as client, RpcClient(door.url) as other:
        async with client.subscribe("pace") as events, other.holding():
            assert (await anext(events))[1] == {**NOBODY, "limit": 0, "programs": 1}
            await other.ready(7)
            assert (await anext(events))[1] == {**NOBODY, "limit": 7, "programs": 1}
        async with client.subscribe("pace") as events:
            async with other.holding():
                await anext(events)
            assert (await anext(events))[1] == {**NOBODY, "finished": 2}


async def test_a_muster_waits_for_a_program_that_ends_by_an_error() -> None:
    async with opened() as door, RpcClient(door.url) as client, RpcClient(door.url) as other:
        door.pacing.await_programs(1)
        with suppress(ZeroDivisionError):
            async with other.holding():
                raise ZeroDivisionError
        await until(lambda: door.pacing.left == 1)
        with suppress(ZeroDivisionError):
            async with client.holding():
                await until(lambda: door.pacing.left == 0)
                await client.finish()
                assert not client.holds
                await client.ready(3)
                raise ZeroDivisionError
        await until(lambda: door.pacing.left is None)


async def test_programs_are_told_when_the_blocks_wait_for_one_that_has_left() -> None:
    told: list[Notice] = []
    async with opened() as door, RpcClient(door.url) as client, RpcClient(door.url) as other:
        door.pacing.await_programs(2)
        with suppress(ZeroDivisionError):
            async with held(client, told.append):
                leaving = door.pacing.hold()
                await until(lambda: door.pacing.left == 0)
                door.pacing.release(leaving)
                await until(lambda: len(told) == 1)
                async with other.holding():
                    await until(lambda: len(told) == 2)
                raise ZeroDivisionError
    events = ["program_left", "programs_complete", "left_waiting"]
    assert [notice.event for notice in told] == events
    assert told[0].facts == {"left": 1}


@pytest.mark.parametrize("said", [{}, {"left": "x"}, {"left": -1}, {"left": True}, [], None])
async def test_what_is_no_pace_ends_nothing(monkeypatch: pytest.MonkeyPatch, said: object) -> None:
    """A node of another version may say it: the program plays on, and listens anew."""
    monkeypatch.setattr(waiting, "RETRY_S", 0.0)
    told: list[Notice] = []
    async with opened() as door, RpcClient(door.url) as client:
        door.pacing.await_programs(2)
        async with held(client, told.append):
            leaving = door.pacing.hold()
            await until(lambda: door.pacing.left == 0)
            door.pacing.release(leaving)
            await until(lambda: len(told) == 1)
            door.hub.publish("pace", said)
            await until(lambda: len(told) == 2)
    assert [notice.facts for notice in told] == [{"left": 1}] * 2


@pytest.mark.parametrize("text", ["", "-1", "1.0", "x", "\u0661", "9" * 21, "{}"])
async def test_what_is_no_height_ends_the_hold(text: str) -> None:
    async with (
        opened() as door,
        RpcClient(door.url) as client,
        client.subscribe("pace") as events,
        aiohttp.ClientSession() as session,
        session.ws_connect(door.url + "/hold") as socket,
    ):
        await anext(events)
        await socket.send_str(text)
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert (await anext(events))[1]["programs"] == 0


async def test_where_blocks_wait_for_nobody_a_program_goes_on_without_a_hold() -> None:
    async with opened(pacing=False) as door:
        async with RpcClient(door.url) as client, client.holding():
            assert client.holds
            await client.ready(3)
        async with aiohttp.ClientSession() as session, session.get(door.url + "/hold") as response:
            assert response.status == 403
