"""No connection outlives the port that accepted it, whatever step of its life it has reached."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from aiohttp import web

from engram.node.localnet.links import CuttableLink
from engram.p2p.acceptor import Acceptor
from engram.p2p.errors import DialFailed
from engram.p2p.link import PeerAddress
from engram.p2p.transport import PATH, WebSocketTransport
from tests.support.p2p_chain import WAIT_S

STEPS = range(24)
"""Turns of the event loop from the arrival of a connection until it waits for data, and some more."""
CLIENTS = 5


class Silent(asyncio.Protocol):
    """Takes connections and does nothing with them."""


@contextmanager
def clients(port: int, first: bytes = b"") -> Iterator[list[socket.socket]]:
    """Connections that the kernel has made, and that the server has not taken yet."""
    with ExitStack() as stack:
        made = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(CLIENTS)]
        for client in made:
            if first:
                client.sendall(first)
            client.settimeout(WAIT_S)
        yield made


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def ended(client: socket.socket) -> bool:
    """Whether the other side has closed; raises `TimeoutError` if it keeps the connection."""
    try:
        while client.recv(65_536):
            pass
    except ConnectionError:
        pass
    return True


def all_closed(clients: list[socket.socket]) -> None:
    """Each connection is closed, and nothing that the collector finds says otherwise."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        gc.collect()
    assert all(ended(client) for client in clients)


@pytest.mark.parametrize("steps", STEPS)
def test_a_port_that_closes_leaves_no_connection(steps: int) -> None:
    async def serve_and_close() -> None:
        acceptor = Acceptor(Silent)
        await acceptor.listen("127.0.0.1", 0)
        made = stack.enter_context(clients(acceptor.port))
        await turns(steps)
        await acceptor.close()
        assert acceptor.connections == 0
        all_closed(made)

    with ExitStack() as stack:
        asyncio.run(serve_and_close())


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_an_http_server_that_closes_leaves_no_connection(steps: int, first: bytes) -> None:
    async def forever(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async def serve_and_close() -> None:
        runner = web.ServerRunner(web.Server(forever), shutdown_timeout=0.01)
        await runner.setup()
        assert runner.server is not None
        async with Acceptor(runner.server) as acceptor:
            await acceptor.listen("127.0.0.1", 0)
            made.extend(stack.enter_context(clients(acceptor.port, first)))
            await turns(steps)
            acceptor.stop()
            await runner.cleanup()

    made: list[socket.socket] = []
    with ExitStack() as stack:
        asyncio.run(serve_and_close())
        all_closed(made)


@pytest.mark.parametrize("steps", STEPS)
def test_a_peer_port_that_closes_leaves_no_connection(steps: int) -> None:
    upgrade = (
        f"GET {PATH} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode()

    async def serve_and_close() -> None:
        async with WebSocketTransport() as transport, transport.listen("127.0.0.1", 0) as listener:
            made.extend(stack.enter_context(clients(listener.port, upgrade)))
            await turns(steps)

    made: list[socket.socket] = []
    with ExitStack() as stack:
        asyncio.run(serve_and_close())
        all_closed(made)


@pytest.mark.parametrize("steps", STEPS)
def test_a_program_that_ends_in_the_middle_leaves_no_connection(steps: int) -> None:
    """The task that serves is cancelled with everything else, as at the end of `asyncio.run`."""

    async def serve(ready: asyncio.Future[int]) -> None:
        async with Acceptor(Silent) as acceptor:
            await acceptor.listen("127.0.0.1", 0)
            ready.set_result(acceptor.port)
            await asyncio.Event().wait()

    async def begin() -> None:
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve(ready))
        made.extend(stack.enter_context(clients(await ready)))
        await turns(steps)
        assert not serving.done()

    made: list[socket.socket] = []
    with ExitStack() as stack:
        asyncio.run(begin())
        all_closed(made)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_dial_that_is_given_up_leaves_no_connection(host: str, steps: int) -> None:
    async def dial_and_give_up() -> None:
        taken: list[asyncio.StreamWriter] = []
        acceptor = Acceptor(
            lambda: asyncio.StreamReaderProtocol(
                asyncio.StreamReader(), lambda _, writer: taken.append(writer)
            )
        )
        async with acceptor, WebSocketTransport() as transport:
            await acceptor.listen("127.0.0.1", 0)
            dialing = asyncio.create_task(transport.dial(PeerAddress(host, acceptor.port)))
            await turns(steps)
            dialing.cancel()
            with pytest.raises((asyncio.CancelledError, DialFailed)):
                await dialing
        gc.collect()

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        asyncio.run(dial_and_give_up())
        gc.collect()


@pytest.mark.parametrize("steps", STEPS)
def test_a_link_between_nodes_that_closes_leaves_no_connection(steps: int) -> None:
    async def carry_and_close() -> None:
        async with Acceptor(Silent) as far:
            await far.listen("127.0.0.1", 0)
            link = CuttableLink()
            await link.open()
            link.lead_to(far.port)
            made.extend(stack.enter_context(clients(int(link.address.rpartition(":")[2]))))
            await turns(steps)
            await link.close()

    made: list[socket.socket] = []
    with ExitStack() as stack:
        asyncio.run(carry_and_close())
        all_closed(made)


async def test_all_addresses_of_a_name_share_one_port() -> None:
    async with Acceptor(Silent) as acceptor:
        await acceptor.listen("localhost", 0)
        for family, _, _, _, address in socket.getaddrinfo(
            "localhost", acceptor.port, type=socket.SOCK_STREAM
        ):
            with socket.socket(family) as client:
                client.connect(address)


async def test_a_port_that_is_taken_is_left_to_its_owner() -> None:
    async with Acceptor(Silent) as owner, Acceptor(Silent) as late:
        await owner.listen("127.0.0.1", 0)
        with pytest.raises(OSError, match="in use"):
            await late.listen("127.0.0.1", owner.port)
        assert late.connections == 0
        with socket.create_connection(("127.0.0.1", owner.port)):
            async with asyncio.timeout(WAIT_S):
                while owner.connections == 0:  # noqa: ASYNC110 (it is the event loop that accepts)
                    await asyncio.sleep(0)
