"""How much the RPC server does for how many clients at once, and how long it waits for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from engram.p2p.acceptor import AcceptLimits
from engram.p2p.netgroup import is_loopback


@dataclass(frozen=True)
class RpcLimits:
    """Bounds on what clients can use at once, and on how long they can make the server wait, in seconds."""

    body_s: float = 10.0
    """Time for the body of a request to arrive."""
    send_s: float = 10.0
    """Time for a client to take one message or reply; after that, its connection is cut."""
    keepalive_s: float = 20.0
    """Time for which an idle HTTP connection is kept, and between two pings of a WebSocket."""
    close_s: float = 1.0
    """Time for a connection to close in good order."""
    linger_s: float = 2.0
    """Time for which the rest of a refused body is read and dropped, so that the client sees the refusal."""
    place_s: float = 10.0
    """Time for which a request waits for its turn; after that, it is refused."""
    sockets: int = 256
    """How many WebSockets may be open at once."""
    sockets_per_host: int = 16
    """How many of them of one host."""
    own_sockets: int = 16
    """How many more who has the token may open."""
    requests: int = 64
    """How many requests of clients without the token are in hand at once; the others wait for their turn."""
    own_requests: int = 16
    """How many requests with the token are in hand besides."""
    large_bodies: int = 4
    """How many bodies beyond 64 KiB, packed ones included, are in hand at once without the token."""
    own_large_bodies: int = 2
    """How many with the token besides."""
    arriving_bytes: int = 16 * 1024 * 1024
    """How many bytes of such bodies may wait that are not in hand yet; for more, the slowest are cut."""
    own_arriving_bytes: int = 8 * 1024 * 1024
    """How many with the token besides."""
    blobs: int = 16
    """How many blobs are looked for at once without the token: here, else among peers, which takes long."""
    own_blobs: int = 4
    """How many with the token besides."""
    unsent_bytes: int = 64 * 1024 * 1024
    """How many bytes of replies may wait for slow readers; for more, the slowest readers are cut."""
    accept: AcceptLimits = field(default_factory=AcceptLimits)
    """How many connections may stand at once, and whether this machine itself counts as a host."""

    def is_exempt(self, host: str) -> bool:
        """Whether no bound on a host holds for this one, because it is this machine, where all programs are
        one host.
        """
        return self.accept.own_host_exempt and is_loopback(host)


DEFAULT_LIMITS: Final = RpcLimits()
