"""Which addresses count as one: a host, and a group of hosts that one owner can fill.

Whoever has one IPv6 host has 2^64 addresses, so limits for each host count a /64 as one. And whoever has many
hosts has most of them in few networks, so the network group is a /16 of IPv4 or a /32 of IPv6.
"""

from __future__ import annotations

import ipaddress
from enum import Enum
from functools import lru_cache
from typing import Final

HOST_BITS_V6: Final = 64
MAPPED_BITS: Final = 96
"""So many bits of an IPv6 address say that it stands for an IPv4 address."""
GROUP_BITS: Final = {4: 16, 6: 32}

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_MAPPED: Final = bytes(10) + b"\xff\xff"
_PRIVATE: Final = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)


class Scope(Enum):
    """From where an address can be reached. Addresses of one scope mean nothing to nodes of another."""

    LOOPBACK = "loopback"
    PRIVATE = "private"
    PUBLIC = "public"


def host_of(host: str) -> str:
    """What limits count as one host: the IPv4 address, the IPv6 /64, or a name as it is."""
    address = _parsed(host)
    if address is None or address.version == 4 or address.is_loopback:
        return host if address is None else str(address)
    return _network(address, HOST_BITS_V6)


def network_of(host: str, version: int, bits: int) -> str | None:
    """The network of so many bits that the host is in; None for a name and for another IP version."""
    address = _parsed(host)
    return None if address is None or address.version != version else _network(address, bits)


def parse_network(text: str) -> tuple[int, int, str]:
    """The IP version, the bits and the one way to write a network such as 192.0.2.0/24, or an address.

    Bits beyond the network's are dropped. An IPv6 network is a /64 at least, as a host of IPv6 is one, unless
    it is the loopback address. Raises `ValueError`.
    """
    network = ipaddress.ip_network(text.partition("%")[0] if "/" not in text else text, strict=False)
    first, bits = network.network_address, network.prefixlen
    mapped = first.ipv4_mapped if isinstance(first, ipaddress.IPv6Address) else None
    if mapped is not None and bits >= MAPPED_BITS:
        first, bits = mapped, bits - MAPPED_BITS
    if first.version == 6 and not first.is_loopback:
        bits = min(bits, HOST_BITS_V6)
    alone = bits == first.max_prefixlen
    return first.version, bits, str(first) if alone else _network(first, bits)


@lru_cache(4_096)
def group_of(host: str) -> str:
    """The network group of a host. A name, which says nothing of its network, is a group of its own."""
    address = _parsed(host)
    return host.lower() if address is None else _network(address, GROUP_BITS[address.version])


def is_loopback(host: str) -> bool:
    """Whether the host is this machine; limits for each host and group do not hold for it."""
    address = _parsed(host)
    return address.is_loopback if address is not None else host.lower() == "localhost"


@lru_cache(16_384)
def scope_of(host: str) -> Scope | None:
    """From where the host can be reached; None for a name and for addresses that are no single host's."""
    address = _parsed(host)
    if address is None:
        return None
    if address.is_loopback:
        return Scope.LOOPBACK
    if any(address in network for network in _PRIVATE):
        return Scope.PRIVATE
    return Scope.PUBLIC if address.is_global and not address.is_multicast else None


def plain_host(host: str) -> str:
    """One way to write the host: an IP address in its shortest form, a name in small letters."""
    address = _parsed(host)
    return host.lower() if address is None else str(address)


def packed_host(host: str) -> bytes | None:
    """The 16 bytes of an IPv6 address, or of an IPv4 address within IPv6; None for a name."""
    address = _parsed(host)
    if address is None:
        return None
    return address.packed if address.version == 6 else _MAPPED + address.packed


def unpacked_host(raw: bytes) -> str:
    """The host of 16 bytes, an IPv4 address within IPv6 as what it is."""
    return str(ipaddress.IPv4Address(raw[12:]) if raw[:12] == _MAPPED else ipaddress.IPv6Address(raw))


@lru_cache(16_384)
def _parsed(host: str) -> _Address | None:
    """The address of an IP host, of a /64 its first; an IPv4 address within IPv6 as what it is."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0].partition("/")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None) or address


def _network(address: _Address, bits: int) -> str:
    first = int(address) >> (spare := address.max_prefixlen - bits) << spare
    if address.version == 4:
        return str(ipaddress.IPv4Network((first, bits)))
    return str(ipaddress.IPv6Network((first, bits)))  # which kind a small number is, must be said
