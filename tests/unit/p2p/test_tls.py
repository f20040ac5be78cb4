"""Connections that begin with TLS, or seem to, at a port for peers: what is let in, cut, and left over."""

from __future__ import annotations

import asyncio
import gc
import shutil
import socket
import ssl
import warnings
from asyncio.subprocess import DEVNULL, PIPE, create_subprocess_exec
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from engram.p2p.acceptor import AcceptLimits, Acceptor
from engram.p2p.certificate import ALPN, channel_of, dialing_context, fresh_credentials
from engram.p2p.encryption import Encryption
from engram.p2p.errors import DialFailed
from engram.p2p.link import PeerAddress
from engram.p2p.tls import MAX_ANSWERS, FirstByte, TlsTransport
from engram.p2p.transport import WebSocketTransport
from tests.support.p2p_chain import WAIT_S
from tests.support.until import until

STEPS = range(24)
"""Turns of the event loop from the first byte until the connection is served, and some more."""
CREDENTIALS = fresh_credentials()
OPENSSL = shutil.which("openssl")


def client_hello(change: Callable[[ssl.SSLContext], None] = lambda context: None) -> bytes:
    """What a client of TLS says first."""
    context = dialing_context()
    change(context)
    said = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), said).do_handshake()
    return said.read()


class Echo(asyncio.Protocol):
    """Sends back what comes, and takes down its own life."""

    def __init__(self, made: list[Echo]) -> None:
        self.transport: asyncio.Transport | None = None
        self.said: list[str] = []
        made.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.said.append("made")

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def eof_received(self) -> None:
        self.said.append("eof")

    def connection_lost(self, error: Exception | None) -> None:
        self.said.append("lost")


class Port:
    """A port that takes plain and encrypted connections, and echoes."""

    def __init__(self, acceptor: Acceptor, served: list[Echo]) -> None:
        self.acceptor = acceptor
        self.served = served

    async def connect(
        self, context: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.acceptor.port, ssl=context)

    async def refuses(self, first: bytes) -> bytes:
        """What the port says to whoever begins so, until it closes. Nothing has been served then."""
        reader, writer = await self.connect()
        try:
            writer.write(first)
            async with asyncio.timeout(WAIT_S):
                said = b""
                with suppress(ConnectionError):
                    while data := await reader.read(65_536):
                        said += data
            assert self.served == []
        finally:
            writer.transport.abort()
        await until(lambda: self.acceptor.connections == 0)
        return said


@asynccontextmanager
async def port(
    limits: AcceptLimits = AcceptLimits(),  # noqa: B008 (frozen)
    admits: Callable[[str], bool] = lambda host: True,
    shaking_s: float = WAIT_S,
) -> AsyncIterator[Port]:
    served: list[Echo] = []
    factory = partial(FirstByte, partial(Echo, served), CREDENTIALS, admits, shaking_s)
    async with Acceptor(factory, limits) as acceptor:
        await acceptor.listen("127.0.0.1", 0)
        yield Port(acceptor, served)


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()


async def test_both_kinds_of_connection_are_served_at_one_port() -> None:
    async with port() as here:
        for context in (None, dialing_context()):
            reader, writer = await here.connect(context)
            for size in (1, 100_000, 3_000_000):
                writer.write(bytes(size))
                async with asyncio.timeout(WAIT_S):
                    assert await reader.readexactly(size) == bytes(size)
            await closed(writer)
        await until(lambda: here.acceptor.connections == 0)
        plain, encrypted = here.served
        assert [each.said for each in here.served] == [["made", "eof", "lost"]] * 2
        assert not isinstance(plain.transport, TlsTransport)
        assert isinstance(encrypted.transport, TlsTransport)


async def test_both_ends_know_the_channel_by_the_certificate() -> None:
    async with port() as here:
        _, writer = await here.connect(dialing_context())
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        await until(lambda: here.served)
        certificate = tls.getpeercert(binary_form=True)
        assert certificate is not None
        assert channel_of(certificate) == CREDENTIALS.channel
        assert (tls.version(), tls.selected_alpn_protocol()) == ("TLSv1.3", ALPN)
        await closed(writer)
    assert fresh_credentials().channel != CREDENTIALS.channel


async def test_no_connection_is_resumed() -> None:
    """A resumed session would leave out the certificate, by which both ends know the channel."""
    async with port() as here:
        reader, writer = await here.connect(dialing_context())
        writer.write(b"x")
        await reader.readexactly(1)  # what the server sends first, tickets for instance, has come with it
        session = writer.get_extra_info("ssl_object").session
        assert session is None or not session.has_ticket
        await closed(writer)


def only_tls_1_2(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2


def as_a_browser(context: ssl.SSLContext) -> None:
    context.set_alpn_protocols(["h2", "http/1.1"])


ALERT, HANDSHAKE_RECORD = b"\x15", b"\x16"


@pytest.mark.fault(id=54)
@pytest.mark.parametrize(
    "first",
    [
        client_hello(only_tls_1_2),
        HANDSHAKE_RECORD + b"garbage, not a record",
        b"\x16\x03\x01\xff\xff" + bytes(70_000),
        b"\x16\x03\x01\x00\x00" * 100,
        client_hello()[:-40] + bytes(40),
        b"\x16\x03\x01\x10\x00\x01\x01\x00\x00" + bytes(4_092) + (b"\x16\x03\x01\x10\x00" + bytes(4_096)) * 4,
    ],
    ids=["TLS 1.2", "garbage", "record too large", "empty records", "damaged", "hello without end"],
)
async def test_a_beginning_that_is_none_of_ours_ends_the_connection(first: bytes) -> None:
    async with port() as here:
        assert (await here.refuses(first))[:1] in (b"", ALERT)


@pytest.mark.fault(id=54)
async def test_a_browser_is_not_served() -> None:
    """It completes the handshake, since it can name protocols as it likes, and gets nothing within it."""
    async with port() as here:
        context = dialing_context()
        as_a_browser(context)
        with suppress(ConnectionError, ssl.SSLError):
            reader, writer = await here.connect(context)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await reader.read(-1) == b""
            await closed(writer)
        await until(lambda: here.acceptor.connections == 0)
        assert here.served == []


@pytest.mark.fault(id=54)
@pytest.mark.parametrize("first", [b"", HANDSHAKE_RECORD, client_hello()[:-1]], ids=["", "byte", "cut off"])
async def test_a_handshake_that_does_not_go_on_is_cut(first: bytes) -> None:
    async with port(shaking_s=0.05) as here:
        assert await here.refuses(first) == b""


@pytest.mark.fault(id=54)
@pytest.mark.skipif(OPENSSL is None, reason="no `openssl`, and ssl itself asks for no new keys")
async def test_a_client_that_keeps_asking_for_new_keys_is_cut() -> None:
    """Each costs it 27 bytes, and would cost the node computing and as many bytes that nobody may read."""
    async with port() as here:
        assert OPENSSL is not None
        command = (OPENSSL, "s_client", "-connect", f"127.0.0.1:{here.acceptor.port}", "-alpn", ALPN)
        client = await create_subprocess_exec(*command, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL)
        assert client.stdin is not None
        await until(lambda: here.served)
        asked = 0
        async with asyncio.timeout(WAIT_S):
            with suppress(ConnectionError):
                while here.acceptor.connections:
                    client.stdin.write(b"K\n")
                    await client.stdin.drain()
                    await asyncio.sleep(0.001)  # it takes one command at each reading
                    asked += 1
            await client.wait()
        assert asked >= MAX_ANSWERS
        assert here.served[0].said == ["made", "lost"]


@pytest.mark.fault(id=54)
@pytest.mark.skipif(OPENSSL is None, reason="no `openssl`, and ssl itself asks for no new keys")
async def test_a_server_that_keeps_asking_for_new_keys_is_left(tmp_path: Path) -> None:
    assert OPENSSL is not None
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    made = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x")
    files = ("-keyout", str(key), "-out", str(certificate))
    making = await create_subprocess_exec(OPENSSL, "req", "-x509", *made, *files, stderr=DEVNULL)
    assert await making.wait() == 0
    files = ("-key", str(key), "-cert", str(certificate))
    listening = ("s_server", "-accept", "127.0.0.1:0", "-alpn", ALPN)
    server = await create_subprocess_exec(
        OPENSSL, *listening, *files, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    try:
        assert server.stdin is not None
        assert server.stdout is not None
        async with asyncio.timeout(WAIT_S), WebSocketTransport(encryption=Encryption.ALWAYS) as transport:
            accepting = (await server.stdout.readuntil(b"ACCEPT ")) + await server.stdout.readline()
            address = PeerAddress("127.0.0.1", int(accepting.rpartition(b":")[2]))
            dialing = asyncio.create_task(transport.dial(address))
            asked = 0
            while not dialing.done():
                server.stdin.write(b"K\n")
                await asyncio.sleep(0.001)
                asked += 1
            with pytest.raises(DialFailed):
                await dialing
        assert asked >= MAX_ANSWERS
    finally:
        server.kill()
        await server.communicate()


@pytest.mark.fault(id=54)
async def test_silent_handshakes_go_first_when_there_is_no_place() -> None:
    async with port(AcceptLimits(total=2)) as here:
        silent = [await here.connect() for _ in range(2)]
        for _, writer in silent:
            writer.write(client_hello()[:100])
        await until(lambda: here.acceptor.connections == 2)
        reader, writer = await here.connect(dialing_context())
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        with suppress(ConnectionError):
            assert await silent[0][0].read() == b""
        await closed(writer)
        for _, each in silent:
            each.transport.abort()


@pytest.mark.fault(id=54)
async def test_handshakes_beyond_their_rate_are_refused_before_they_cost_anything() -> None:
    hosts: list[str] = []

    def admits(host: str) -> bool:
        hosts.append(host)
        return len(hosts) > 3

    async with port(admits=admits) as here:
        for _ in range(3):
            assert await here.refuses(client_hello()) == b""
        reader, writer = await here.connect(dialing_context())
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        await closed(writer)
        plain_reader, plain = await here.connect()
        plain.write(b"x")
        assert await plain_reader.readexactly(1) == b"x"
        await closed(plain)
    assert hosts == ["127.0.0.1"] * 4


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("steps", STEPS)
def test_a_port_that_closes_leaves_no_encrypted_connection(steps: int) -> None:
    async def serve_and_close() -> None:
        transport = WebSocketTransport(encryption=Encryption.ALWAYS)
        async with transport, transport.listen("127.0.0.1", 0) as listener:
            client.connect(("127.0.0.1", listener.port))
            client.sendall(client_hello())
            await turns(steps)

    with warnings.catch_warnings(), socket.socket() as client:
        warnings.simplefilter("error", ResourceWarning)
        client.settimeout(WAIT_S)
        asyncio.run(serve_and_close())
        gc.collect()
        with suppress(ConnectionError):
            while client.recv(65_536):
                pass


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("silent", [True, False])
def test_an_encrypted_dial_that_is_given_up_leaves_no_connection(steps: int, silent: bool) -> None:
    async def dial_and_give_up() -> None:
        transport = WebSocketTransport(encryption=Encryption.ALWAYS)
        async with Acceptor(asyncio.Protocol) as mute, transport, transport.listen("127.0.0.1", 0) as nodes:
            await mute.listen("127.0.0.1", 0)
            address = PeerAddress("127.0.0.1", mute.port if silent else nodes.port)
            dialing = asyncio.create_task(transport.dial(address))
            await turns(steps)
            dialing.cancel()
            with suppress(asyncio.CancelledError, DialFailed):
                (await dialing).abort()
            await until(lambda: mute.connections == 0)
        gc.collect()

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        asyncio.run(dial_and_give_up())
        gc.collect()


async def test_reading_stops_and_goes_on_within_what_has_come() -> None:
    async with port() as here:
        reader, writer = await here.connect(dialing_context())
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        (echo,) = here.served
        assert echo.transport is not None
        echo.transport.pause_reading()
        assert not echo.transport.is_reading()
        writer.write(bytes(1_000_000))
        await turns(50)
        echo.transport.resume_reading()
        async with asyncio.timeout(WAIT_S):
            assert len(await reader.readexactly(1_000_000)) == 1_000_000
        await closed(writer)
