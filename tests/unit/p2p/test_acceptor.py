"""No connection outlives the port that accepted it, whatever step of its life it has reached."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress

import pytest
from aiohttp import web

from engram.node.localnet.links import CuttableLink
from engram.p2p.acceptor import AcceptLimits, Acceptor, AcceptRank
from engram.p2p.errors import DialFailed
from engram.p2p.link import PeerAddress
from engram.p2p.transport import PATH, WebSocketTransport
from tests.support.p2p_chain import WAIT_S
from tests.support.until import until

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
            await until(lambda: owner.connections == 1)


class Kept(asyncio.Protocol):
    """Ranks its connection by the first byte that comes."""

    def __init__(self, made: list[Acceptor]) -> None:
        self._made = made
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._made[0].rank(self._transport, AcceptRank(data[0]))
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(data)


class Crowd:
    """Clients of one port, each told in what order it came."""

    def __init__(self, acceptor: Acceptor) -> None:
        self.acceptor = acceptor
        self.clients: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def come(self, standing: AcceptRank | None = None, host: str = "127.0.0.1") -> None:
        """One more client; with a standing, it returns once the client has it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.acceptor.port, local_addr=(host, 0))
        self.clients.append((reader, writer))
        if standing is not None:
            writer.write(bytes([standing]))
            assert await reader.readexactly(1) == bytes([standing])

    async def gone(self, index: int) -> None:
        """Returns once this client has been cut."""
        async with asyncio.timeout(WAIT_S):
            with suppress(ConnectionError):
                assert await self.clients[index][0].read() == b""

    async def stay(self, *indices: int) -> None:
        """Each of these clients is still served."""
        for index in indices:
            reader, writer = self.clients[index]
            writer.write(b"\x02")
            async with asyncio.timeout(WAIT_S):
                assert await reader.readexactly(1) == b"\x02"

    def leave(self) -> None:
        for _, writer in self.clients:
            writer.transport.abort()


@asynccontextmanager
async def crowd(limits: AcceptLimits) -> AsyncIterator[Crowd]:
    made: list[Acceptor] = []
    async with Acceptor(lambda: Kept(made), limits) as acceptor:
        made.append(acceptor)
        await acceptor.listen("127.0.0.1", 0)
        here = Crowd(acceptor)
        try:
            yield here
        finally:
            here.leave()


async def test_a_silent_connection_goes_first_then_the_one_answered_longest_ago() -> None:
    async with crowd(AcceptLimits(total=4)) as here:
        for standing in (AcceptRank.SERVED, AcceptRank.NEW, AcceptRank.NEW, AcceptRank.KEPT):
            await here.come(standing)
        for goes in (1, 2, 0):
            await here.come(AcceptRank.KEPT)
            await here.gone(goes)
        await here.stay(3, 4, 5, 6)


async def test_where_each_is_in_use_no_other_is_let_in() -> None:
    async with crowd(AcceptLimits(total=2)) as here:
        for _ in range(2):
            await here.come(AcceptRank.KEPT)
        await here.come()
        await here.gone(2)
        await here.stay(0, 1)
        assert here.acceptor.evicted == 1


@pytest.mark.fault(id=20)
async def test_a_host_pushes_out_only_its_own() -> None:
    limits = AcceptLimits(total=100, per_host=2, own_host_exempt=False)
    async with crowd(limits) as here:
        await here.come(AcceptRank.NEW, host="127.0.0.1")
        for _ in range(5):
            await here.come(AcceptRank.NEW, host="127.0.0.2")
        for index in (1, 2, 3):
            await here.gone(index)
        await here.stay(0, 4, 5)


@pytest.mark.fault(id=20)
async def test_the_host_with_the_most_connections_pays_for_a_full_port() -> None:
    limits = AcceptLimits(total=4, per_host=3, own_host_exempt=False)
    async with crowd(limits) as here:
        await here.come(AcceptRank.NEW, host="127.0.0.1")
        for _ in range(3):
            await here.come(AcceptRank.NEW, host="127.0.0.2")
        await here.come(AcceptRank.NEW, host="127.0.0.3")
        await here.gone(1)
        await here.stay(0, 2, 3, 4)
