"""Which connections between nodes are encrypted, and how many TLS handshakes this node takes part in."""

from __future__ import annotations

from collections import OrderedDict
from enum import StrEnum
from typing import Final

from engram.p2p.clock import Monotonic
from engram.p2p.limits import TokenBucket
from engram.p2p.netgroup import group_of, host_of, is_loopback


class Encryption(StrEnum):
    """What is encrypted. Whoever dials this node may encrypt in any case."""

    AUTO = "auto"
    """All connections but those within this machine."""
    ALWAYS = "always"
    """All connections."""
    NEVER = "never"
    """None that this node makes; it takes plain ones from everywhere."""

    def dials_encrypted(self, host: str) -> bool:
        """Whether to dial this host with TLS."""
        return self is Encryption.ALWAYS or (self is Encryption.AUTO and not is_loopback(host))

    def takes_plain(self, host: str) -> bool:
        """Whether this host may speak to this node without TLS."""
        return self is Encryption.NEVER or (self is Encryption.AUTO and is_loopback(host))


class HandshakePace:
    """Says whether one more inbound TLS handshake may begin, which costs this node more than the dialler.

    Each host and each network group has its share, and all together no more than this node can spare. Who is
    refused may try again at once; nothing is held against him. Floods of a dozen networks use up what is for
    all; who comes from another network, and seldom, is let in all the same.
    """

    HOST: Final = (2.0, 16.0)
    """So many handshakes a second in the long run, and at once, of one host."""
    GROUP: Final = (8.0, 32.0)
    """The same of one network group."""
    ALL: Final = (64.0, 128.0)
    """The same of all hosts."""
    RARE: Final = (1 / 60, 1.0)
    """Of one network group, so many have a share of their own when `ALL` is used up."""
    RESERVE: Final = (16.0, 64.0)
    """The size of that share, for all groups."""
    REMEMBERED: Final = 4_096
    """Of so many hosts and groups the handshakes are counted; who came longest ago is forgotten."""

    def __init__(self, clock: Monotonic) -> None:
        self._clock = clock
        self._all = TokenBucket(*self.ALL, clock)
        self._reserve = TokenBucket(*self.RESERVE, clock)
        self._some: OrderedDict[str, TokenBucket] = OrderedDict()

    @property
    def counted(self) -> int:
        """How many hosts and groups are remembered."""
        return len(self._some)

    def admits(self, host: str) -> bool:
        """Counts a handshake of this host if it is within all rates, and says so.

        Within this machine `ALL` alone holds.
        """
        if is_loopback(host):
            return self._all.spend()
        if not self._bucket(f"host {host_of(host)}", self.HOST).spend():
            return False
        group = group_of(host)
        if not self._bucket(f"group {group}", self.GROUP).spend():
            return False
        return self._all.spend() or (
            self._bucket(f"rare {group}", self.RARE).spend() and self._reserve.spend()
        )

    def _bucket(self, name: str, rate: tuple[float, float]) -> TokenBucket:
        bucket = self._some.pop(name, None) or TokenBucket(*rate, self._clock)
        self._some[name] = bucket
        if len(self._some) > self.REMEMBERED:
            self._some.popitem(last=False)
        return bucket
