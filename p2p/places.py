"""The inbound places: how many sessions one host, one network and all strangers together may have.

A host or network that has its share can only take a place from itself, and each network may take places of
others only now and then. So whoever comes again and again, with as many keys as he likes, takes the places of
few, slowly, and none that `eviction` protects.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from engram.p2p.clock import MonotonicClock
from engram.p2p.errors import TooManyPeers
from engram.p2p.eviction import to_evict
from engram.p2p.limits import TokenBucket
from engram.p2p.netgroup import group_of, host_of, is_loopback
from engram.p2p.session import Session

EVICTIONS_PER_S: Final = 0.5
EVICTIONS_BURST: Final = 8
GROUP_EVICTIONS_PER_S: Final = 0.05
GROUP_EVICTIONS_BURST: Final = 2
MAX_GROUPS: Final = 1_024
"""The evictions of so many networks are remembered. Who is forgotten is still bound by the pace of all."""


@dataclass(frozen=True)
class PlaceLimits:
    """How many inbound sessions there may be at once."""

    sessions: int = 32
    per_host: int = 4
    """Of one IPv4 address or IPv6 /64. This machine itself is exempt, where all programs are one host."""
    per_group: int = 16
    """Of one /16 of IPv4 or /32 of IPv6; this machine itself is exempt."""


class InboundPlaces:
    """Who may come in, and who has to go for it."""

    def __init__(self, limits: PlaceLimits, clock: MonotonicClock) -> None:
        self._limits = limits
        self._clock = clock
        self._evictions = TokenBucket(EVICTIONS_PER_S, EVICTIONS_BURST, clock)
        self._of_group: OrderedDict[str, TokenBucket] = OrderedDict()

    def check(self, host: str, standing: Iterable[Session]) -> None:
        """Raises `TooManyPeers` if a session of this host would be refused now. It costs nothing yet."""
        self._find(host, list(standing))

    def make(self, host: str, standing: Iterable[Session]) -> Session | None:
        """The session that has to end for a new one of this host; None if there is room.

        Raises `TooManyPeers`.
        """
        out = self._find(host, list(standing))
        if out is not None:
            self._evictions.take()
            if not is_loopback(host):
                self._bucket(host).take()
        return out

    def _find(self, host: str, standing: list[Session]) -> Session | None:
        crowd, bound = self._crowd(host, standing)
        if crowd is None:
            return None
        out = to_evict([each.merits for each in crowd])
        own_pace = is_loopback(host) or self._bucket(host).has_one()
        if out is None or not own_pace or not self._evictions.has_one():
            raise TooManyPeers(expected=bound)
        return next(each for each in crowd if each.node_key == out.node_key)

    def _crowd(self, host: str, standing: list[Session]) -> tuple[list[Session] | None, int]:
        """The sessions of which one has to end for one more of this host, and the bound that they reach."""
        limits = self._limits
        if not is_loopback(host):
            one, group = host_of(host), group_of(host)
            of_host = [each for each in standing if host_of(each.remote_host) == one]
            if len(of_host) >= limits.per_host:
                return of_host, limits.per_host
            of_group = [each for each in standing if group_of(each.remote_host) == group]
            if len(of_group) >= limits.per_group:
                return of_group, limits.per_group
        return (standing, limits.sessions) if len(standing) >= limits.sessions else (None, 0)

    def _bucket(self, host: str) -> TokenBucket:
        """The pace of this host's network."""
        group = group_of(host)
        bucket = self._of_group.get(group)
        if bucket is None:
            bucket = TokenBucket(GROUP_EVICTIONS_PER_S, GROUP_EVICTIONS_BURST, self._clock)
            self._of_group[group] = bucket
            if len(self._of_group) > MAX_GROUPS:
                self._of_group.popitem(last=False)
        self._of_group.move_to_end(group)
        return bucket
