"""TLS over connections that stand: on the accepting side if the first byte says so, else they stay plain.

A TLS connection begins with the byte 16 (hexadecimal), an HTTP request with a letter. All of TLS happens in
memory (`ssl.MemoryBIO`) above an ordinary transport. So a connection can be cut in each state, and whoever
cuts it knows that it is gone; asyncio's own TLS has states in which a connection that was closed lives on.
And what the other side makes TLS answer is bounded here, which fills the memory of those who do not count it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from engram.p2p.certificate import ALPN, Credentials, channel_of
from engram.p2p.errors import DialFailed

SHAKING_S: Final = 10.0
"""A connection that has sent nothing, or not completed its TLS handshake, in so many seconds is closed."""
SHAKING_BYTES: Final = 16 * 1024
"""The most bytes of the other side that a TLS handshake may take; an honest one has less than 3 KiB."""
MAX_ANSWERS: Final = 64
"""So often TLS may answer something by itself after its handshake; an honest peer asks for no answer."""
_READ_BYTES: Final = 16 * 1024
"""The most that one record of TLS holds; no more is read at once."""
_RECORD_OF_HANDSHAKE: Final = 0x16


class TlsTransport(asyncio.Transport):
    """The decrypted side of a TLS connection: it encrypts what is written, and decrypts what arrives."""

    def __init__(self, tcp: asyncio.Transport, context: ssl.SSLContext, own_channel: bytes | None) -> None:
        """`own_channel` is that of the certificate which this side presents; None on the dialling side."""
        super().__init__()
        self.tcp = tcp
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=own_channel is not None)
        self._own_channel = own_channel
        self._left = SHAKING_BYTES
        self.protocol: asyncio.Protocol | None = None
        """Who is served with the decrypted bytes; None until the handshake is complete."""
        self._answers = 0
        self._closing = False

    def shake(self, data: bytes) -> bool:
        """Goes on with the handshake; True once it is complete.

        Raises `ssl.SSLError`, also if the other side does not speak as a node.
        """
        self._incoming.write(data)
        self._left -= len(data)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            if self._left < 0:
                raise ssl.SSLError("the handshake is too long") from None
            return False
        finally:
            self._flush()
        if self._tls.selected_alpn_protocol() != ALPN:
            raise ssl.SSLError("the other side is no node")
        return True

    @property
    def channel(self) -> bytes:
        """The channel binding, once the handshake is complete; see `Link.channel`."""
        if self._own_channel is not None:
            return self._own_channel
        certificate = self._tls.getpeercert(binary_form=True)
        assert certificate is not None, "in TLS 1.3 without resumption a server has to present one"
        return channel_of(certificate)

    def arrive(self, data: bytes) -> None:
        """Decrypts what the connection has brought, and passes it on."""
        self._incoming.write(data)
        plain: list[bytes] = []
        ended = broken = False
        try:
            while not ended:
                plain.append(self._tls.read(_READ_BYTES))
                ended = not plain[-1]  # the other side has said that it is done
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:  # a record that is forged or damaged; the alert says so
            broken = True
        if self._outgoing.pending:
            self._answers += 1
            self._flush()
        if (arrived := b"".join(plain)) and not self.is_closing():
            self.get_protocol().data_received(arrived)
        if broken or self._answers > MAX_ANSWERS:
            self.abort()
        elif ended and not self.is_closing():
            self.get_protocol().eof_received()
            self.close()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self.tcp.write(self._outgoing.read())

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not data or self.is_closing():
            return
        self._tls.write(data)
        self._flush()

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        with suppress(ssl.SSLError):  # the answer to this has not come, and nobody waits for it
            self._tls.unwrap()
        self._flush()
        self.tcp.close()

    def abort(self) -> None:
        self._closing = True
        self.tcp.abort()

    def is_closing(self) -> bool:
        return self._closing or self.tcp.is_closing()

    def pause_reading(self) -> None:
        self.tcp.pause_reading()

    def resume_reading(self) -> None:
        self.tcp.resume_reading()

    def is_reading(self) -> bool:
        return self.tcp.is_reading()

    def get_write_buffer_size(self) -> int:
        return self.tcp.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self.tcp.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.tcp.set_write_buffer_limits(high, low)

    def can_write_eof(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._tls if name == "ssl_object" else self.tcp.get_extra_info(name, default)

    def begin(self, protocol: asyncio.Protocol) -> None:
        """Connects the protocol once the handshake is complete, and passes on what has come already."""
        self.protocol = protocol
        protocol.connection_made(self)
        self.arrive(b"")

    def get_protocol(self) -> asyncio.Protocol:
        assert self.protocol is not None, "nothing is passed on before the protocol is known"
        return self.protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol), "what reads a stream is of this class"
        self.protocol = protocol


class _Below(asyncio.Protocol):
    """The protocol of a connection that may carry TLS: it passes on what happens to whoever is served above.

    Nobody is, until it is known how.
    """

    def __init__(self) -> None:
        self._tls: TlsTransport | None = None
        self._served: asyncio.Protocol | None = None
        """The protocol of a plain connection. That of an encrypted one is its transport's."""

    @property
    def _above(self) -> asyncio.Protocol | None:
        if self._tls is not None:
            return self._tls.protocol
        return self._served

    def eof_received(self) -> bool | None:
        stays_open = self._above.eof_received() if self._above is not None else None
        return stays_open if self._tls is None else None

    def pause_writing(self) -> None:
        if self._above is not None:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        if self._above is not None:
            self._above.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        if self._above is not None:
            self._above.connection_lost(error)


class FirstByte(_Below):
    """Stands between an accepted connection and the protocol that serves it, and makes the latter.

    The protocol of a plain connection is connected with the transport itself; it has to find out whether it
    serves such a one.
    """

    def __init__(
        self,
        serve: Callable[[], asyncio.Protocol],
        credentials: Credentials,
        admits: Callable[[str], bool],
        shaking_s: float = SHAKING_S,
    ) -> None:
        """`admits` says whether a TLS handshake with this host may begin now."""
        super().__init__()
        self._serve = serve
        self._credentials = credentials
        self._admits = admits
        self._shaking_s = shaking_s
        self._tcp: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "a stream socket has a transport of this class"
        self._tcp = transport
        self._timer = asyncio.get_running_loop().call_later(self._shaking_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._served is not None:
            self._served.data_received(data)
        elif self._tls is None:
            self._begin(data)
        elif self._tls.protocol is None:
            self._shake(self._tls, data)
        else:
            self._tls.arrive(data)

    def _begin(self, data: bytes) -> None:
        assert self._tcp is not None, "data come from a transport"
        if data[0] != _RECORD_OF_HANDSHAKE:
            self._know_how()
            self._served = self._serve()
            self._served.connection_made(self._tcp)
            self._served.data_received(data)
        elif self._admits(str((self._tcp.get_extra_info("peername") or ("unknown",))[0])):
            self._tls = TlsTransport(self._tcp, self._credentials.context, self._credentials.channel)
            self._shake(self._tls, data)
        else:
            self._tcp.abort()

    def _shake(self, tls: TlsTransport, data: bytes) -> None:
        try:
            complete = tls.shake(data)
        except ssl.SSLError:
            tls.tcp.close()
            return
        if complete:
            self._know_how()
            tls.begin(self._serve())

    def _know_how(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def connection_lost(self, error: Exception | None) -> None:
        self._know_how()
        super().connection_lost(error)


class _Dialled(_Below):
    """Stands between a connection that this side has made and the protocol that uses it."""

    def __init__(self, tls: TlsTransport, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._tls = tls
        self._protocol = protocol
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once the handshake is complete; an `OSError` if it fails."""

    def data_received(self, data: bytes) -> None:
        assert self._tls is not None, "it is there from the beginning"
        if self._tls.protocol is not None:
            self._tls.arrive(data)
        elif not self.open.done():
            try:
                complete = self._tls.shake(data)
            except ssl.SSLError as error:
                self.open.set_exception(error)
                return
            if complete:
                self.open.set_result(None)
                self._tls.begin(self._protocol)

    def connection_lost(self, error: Exception | None) -> None:
        (self._above or self._protocol).connection_lost(error)
        if not self.open.done():
            self.open.set_exception(error or ConnectionResetError())


async def encrypt(tcp: asyncio.Transport, protocol: asyncio.Protocol, context: ssl.SSLContext) -> None:
    """Puts TLS between a connection that this side has made and its protocol, which is told of it.

    Raises `DialFailed`, and then the connection is cut.
    """
    tls = TlsTransport(tcp, context, None)
    dialled = _Dialled(tls, protocol)
    tcp.set_protocol(dialled)
    try:
        tls.shake(b"")
        await dialled.open
    except OSError as error:
        tcp.abort()
        raise DialFailed("no TLS 1.3 of nodes is spoken there: the node is too old, or it is none") from error
    except BaseException:
        tcp.abort()
        raise
    finally:
        dialled.open.cancel()  # if it is not done, nobody waits for it any more
