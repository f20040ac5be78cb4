"""The messages by which nodes tell each other where nodes listen.

Their lines in the registry stand in `messages`, with those of all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from engram.primitives.types import U32, Range, Size

HOST_BYTES: Final = 16
"""Bytes of an IPv6 address."""
MAX_ADDRESSES: Final = 1_000
"""The most addresses of one answer."""
MAX_ANNOUNCED_ADDRESSES: Final = 10
"""The most addresses that are announced at once."""
MAX_HOURS: Final = 720
"""An address of which nothing was heard for more hours is not passed on."""
HostBytes = Annotated[bytes, Size(HOST_BYTES, HOST_BYTES)]
"""An IPv6 address; an IPv4 address as ::ffff:a.b.c.d."""


@dataclass(frozen=True)
class GetAddresses:
    """Asks for addresses of nodes; any answer but the first of a session is empty."""

    request: U32


@dataclass(frozen=True)
class NodeAddress:
    """Where a node listens."""

    host: HostBytes
    port: Annotated[int, Range(1, 2**16 - 1)]
    hours: Annotated[int, Range(0, MAX_HOURS)]
    """Whole hours since the sender last heard that the node is there."""


@dataclass(frozen=True)
class Addresses:
    """Answers `GetAddresses`: some of the addresses that the sender knows."""

    request: U32
    asker: HostBytes | None
    """The host as which the sender sees the asker; nil if it cannot tell."""
    addresses: Annotated[tuple[NodeAddress, ...], Size(0, MAX_ADDRESSES)]


@dataclass(frozen=True)
class AnnounceAddresses:
    """Addresses that the sender has just learned of, or its own."""

    addresses: Annotated[tuple[NodeAddress, ...], Size(1, MAX_ANNOUNCED_ADDRESSES)]
