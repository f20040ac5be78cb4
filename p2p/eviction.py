"""Which inbound session ends when there is no place for another one.

A stranger has as many keys as he likes, and answering pings costs nothing. The sessions that stay are those
with what he cannot have at will: other networks, a short way to this node, blocks and transactions that he
brought, a long time. Of the others, the youngest of the host and network with the most sessions ends, so that
whoever takes many places takes them from himself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from engram.p2p.link import Link
from engram.p2p.netgroup import group_of, host_of

KEPT_GROUPS: Final = 4
KEPT_NEAREST: Final = 4
KEPT_BLOCKS: Final = 4
KEPT_TRANSACTIONS: Final = 4


@dataclass(frozen=True)
class SessionMerits:
    """What speaks for one inbound session; times are of the manager's clock."""

    node_key: bytes
    host: str
    opened_s: float
    round_trip_s: float | None
    """The shortest so far; None before the first answer."""
    block_s: float | None
    """When it last brought a block that this node wanted and that had its work; None if it never did."""
    transaction_s: float | None
    """The same of transactions."""


def to_evict(candidates: Sequence[SessionMerits]) -> SessionMerits | None:
    """The session that ends for a new one; None if each is worth its place."""
    left = list(candidates)
    groups = Counter(group_of(each.host) for each in left)
    _keep(left, KEPT_GROUPS, lambda each: -each.opened_s if groups[group_of(each.host)] == 1 else None)
    _keep(left, KEPT_NEAREST, lambda each: None if each.round_trip_s is None else -each.round_trip_s)
    _keep(left, KEPT_TRANSACTIONS, lambda each: each.transaction_s)
    _keep(left, KEPT_BLOCKS, lambda each: each.block_s)
    _keep(left, (len(left) + 1) // 2, lambda each: -each.opened_s)
    if not left:
        return None
    hosts = Counter(host_of(each.host) for each in candidates)
    return max(left, key=lambda each: (hosts[host_of(each.host)], groups[group_of(each.host)], each.opened_s))


def to_cut(beginning: Iterable[Link]) -> Link | None:
    """Which handshake ends for a new connection, of those given oldest first; None if there is none.

    It is the oldest of the host that has the most. Otherwise, whoever opens connections faster than an honest
    handshake over a long way takes would let nobody else in.
    """
    links = list(beginning)
    hosts = Counter(host_of(link.remote.host) for link in links)
    return max(links, key=lambda link: hosts[host_of(link.remote.host)], default=None)


def _keep(left: list[SessionMerits], count: int, worth: Callable[[SessionMerits], float | None]) -> None:
    """Takes those of the greatest worth out of the list; None is worth nothing."""
    worths = [(-value, index) for index, each in enumerate(left) if (value := worth(each)) is not None]
    kept = {index for _, index in sorted(worths)[:count]}
    left[:] = [each for index, each in enumerate(left) if index not in kept]
