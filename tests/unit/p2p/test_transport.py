"""Links over real sockets: why a dial failed, in words for an operator; what an end in between looks like."""

import socket

import aiohttp
import pytest
from aiohttp import web

from engram.p2p.errors import DialFailed, LinkClosed
from engram.p2p.link import Link, PeerAddress
from engram.p2p.transport import PATH, WebSocketLink, WebSocketTransport
from tests.support.until import until


async def refusal(address: PeerAddress) -> str:
    """What is said of a dial that fails."""
    async with WebSocketTransport() as transport:
        with pytest.raises(DialFailed) as caught:
            await transport.dial(address)
    return str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_port_on_which_nobody_listens(host: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert (
            await refusal(PeerAddress(host, port)) == f"cannot connect to {host}:{port}: Connection refused"
        )


async def test_a_name_that_is_none() -> None:
    said = await refusal(PeerAddress("a" * 64, 1))
    assert said.startswith(f"cannot connect to {'a' * 64}:1: ")
    assert "ssl" not in said


async def test_a_server_that_is_no_node() -> None:
    async def serve(request: web.BaseRequest) -> web.Response:
        return web.Response(status=404)

    runner = web.ServerRunner(web.Server(serve))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        said = await refusal(PeerAddress(host, port))
    finally:
        await runner.cleanup()
    assert said == (
        f"cannot connect to {host}:{port}: it answers with HTTP status 404, so no peer listens there"
    )


async def ends_after_a_ping(link: Link) -> None:
    """The link finds a ping that it cannot answer any more, as after a process was suspended for a minute."""
    assert isinstance(link, WebSocketLink)
    await until(link._meter.transport.is_closing)
    with pytest.raises(LinkClosed):
        await link.receive()
    with pytest.raises(LinkClosed):
        await link.send(b"late")
    await link.close()


async def test_a_dialled_connection_that_has_ended_while_a_ping_waited() -> None:
    async def serve(request: web.BaseRequest) -> web.WebSocketResponse:
        far = web.WebSocketResponse()
        await far.prepare(request)
        await far.ping()
        assert request.transport is not None
        request.transport.close()
        return far

    runner = web.ServerRunner(web.Server(serve))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with WebSocketTransport() as transport:
            await ends_after_a_ping(await transport.dial(PeerAddress(*runner.addresses[0][:2])))
    finally:
        await runner.cleanup()


async def test_an_accepted_connection_that_has_ended_while_a_ping_waited() -> None:
    async with (
        WebSocketTransport() as transport,
        transport.listen("127.0.0.1", 0) as listener,
        aiohttp.ClientSession() as session,
    ):
        far = await session.ws_connect(f"http://127.0.0.1:{listener.port}{PATH}")
        near = await anext(aiter(listener.links()))
        await far.ping()
        far._response.close()
        await ends_after_a_ping(near)
