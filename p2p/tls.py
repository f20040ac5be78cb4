"""TLS over an accepted connection, or none: its first byte decides.

A TLS connection begins with the byte 16 (hexadecimal), an HTTP request with a letter. All of TLS happens in
memory (`ssl.MemoryBIO`) above an ordinary transport. So a connection can be cut in each state, and whoever
cuts it knows that it is gone; asyncio's own TLS has states in which a connection that was closed lives on.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from engram.p2p.certificate import ALPN, Credentials

SHAKING_S: Final = 10.0
"""A connection that has sent nothing, or not completed its TLS handshake, in so many seconds is closed."""
SHAKING_BYTES: Final = 16 * 1024
"""The most bytes that a TLS handshake may take of the dialling side; an honest one has less than 3 KiB."""
MAX_ANSWERS: Final = 64
"""So often TLS may answer something by itself after its handshake; an honest peer asks for no answer."""
_READ_BYTES: Final = 16 * 1024
"""The most that one record of TLS holds; no more is read at once."""
_RECORD_OF_HANDSHAKE: Final = 0x16


class TlsTransport(asyncio.Transport):
    """The decrypted side of a TLS connection: it encrypts what is written, and decrypts what arrives."""

    def __init__(self, tcp: asyncio.Transport, credentials: Credentials) -> None:
        super().__init__()
        self.tcp = tcp
        self.channel = credentials.channel
        """The channel binding; see `Link.channel`."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = credentials.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._protocol: asyncio.Protocol | None = None
        self._answers = 0
        self._closing = False

    def shake(self, data: bytes) -> bool:
        """Goes on with the handshake; True once it is complete. Raises `ssl.SSLError`."""
        self._incoming.write(data)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._flush()
        return True

    @property
    def is_for_nodes(self) -> bool:
        """Whether both sides have named the protocol of nodes."""
        return self._tls.selected_alpn_protocol() == ALPN

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

    def get_protocol(self) -> asyncio.Protocol:
        assert self._protocol is not None, "nothing is passed on before the protocol is known"
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol), "what reads a stream is of this class"
        self._protocol = protocol


class FirstByte(asyncio.Protocol):
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
        self._serve = serve
        self._credentials = credentials
        self._admits = admits
        self._shaking_s = shaking_s
        self._left = SHAKING_BYTES
        self._tcp: asyncio.Transport | None = None
        self._tls: TlsTransport | None = None
        self._plain: asyncio.Protocol | None = None
        self._open = False
        """Whether the protocol that serves the connection is connected."""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "a stream socket has a transport of this class"
        self._tcp = transport
        self._timer = asyncio.get_running_loop().call_later(self._shaking_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._open:
            self._arrive(data)
        elif self._tls is not None:
            self._shake(self._tls, data)
        else:
            self._begin(data)

    def _arrive(self, data: bytes) -> None:
        if self._tls is not None:
            self._tls.arrive(data)
        elif self._plain is not None:
            self._plain.data_received(data)

    def _begin(self, data: bytes) -> None:
        assert self._tcp is not None, "data come from a transport"
        if data[0] != _RECORD_OF_HANDSHAKE:
            self._plain = self._serve()
            self._opened(self._plain, self._tcp)
            self._plain.data_received(data)
        elif self._admits(str((self._tcp.get_extra_info("peername") or ("unknown",))[0])):
            self._tls = TlsTransport(self._tcp, self._credentials)
            self._shake(self._tls, data)
        else:
            self._tcp.abort()

    def _shake(self, tls: TlsTransport, data: bytes) -> None:
        self._left -= len(data)
        try:
            complete = tls.shake(data)
        except ssl.SSLError:
            tls.tcp.close()
            return
        if (complete and not tls.is_for_nodes) or (not complete and self._left < 0):
            tls.tcp.close()
        elif complete:
            protocol = self._serve()
            tls.set_protocol(protocol)
            self._opened(protocol, tls)
            tls.arrive(b"")

    def _opened(self, protocol: asyncio.Protocol, transport: asyncio.Transport) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._open = True
        protocol.connection_made(transport)

    def _served(self) -> asyncio.Protocol | None:
        if not self._open:
            return None
        return self._tls.get_protocol() if self._tls is not None else self._plain

    def eof_received(self) -> bool | None:
        served = self._served()
        stays_open = served.eof_received() if served is not None else None
        return stays_open if self._tls is None else None

    def pause_writing(self) -> None:
        if (served := self._served()) is not None:
            served.pause_writing()

    def resume_writing(self) -> None:
        if (served := self._served()) is not None:
            served.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if (served := self._served()) is not None:
            served.connection_lost(error)
