"""The connection by which a program holds the blocks of a test network."""

import aiohttp
import pytest

from engram.node.client import RpcClient
from tests.support.rpc_door import opened


async def test_a_program_holds_blocks_for_as_long_as_its_connection_stands() -> None:
    async with opened() as door, RpcClient(door.url) as client, RpcClient(door.url) as other:
        async with client.subscribe("pace") as events, other.holding():
            assert (await anext(events))[1] == {"limit": 0, "programs": 1, "muster": 0, "work": 0}
            await other.ready(7)
            assert (await anext(events))[1] == {"limit": 7, "programs": 1, "muster": 0, "work": 0}
        async with client.subscribe("pace") as events:
            async with other.holding():
                await anext(events)
            assert (await anext(events))[1] == {"limit": None, "programs": 0, "muster": 0, "work": 0}


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
