"""Why a dial over real sockets failed, in words for an operator."""

import socket

import pytest
from aiohttp import web

from engram.p2p.errors import DialFailed
from engram.p2p.link import PeerAddress
from engram.p2p.transport import WebSocketTransport


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
