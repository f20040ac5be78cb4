"""Which peers misbehaved, and which may not come back yet: scores by node key, in memory only."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Protocol

from engram.p2p.clock import MonotonicClock
from engram.p2p.errors import MAX_WEIGHT, PeerRefused, PeerUnavailable, weight_of
from engram.p2p.link import PeerAddress
from engram.primitives.errors import ChainError

REFUSE_S: Final = 600.0
"""How many seconds a peer is refused once its score is full."""
FORGET_S: Final = 3_600.0
"""A score that has not grown for so many seconds is forgotten."""
MAX_SCORES: Final = 4_096


@dataclass(frozen=True)
class PeerRefusal:
    """Why a peer is not spoken to."""

    error: PeerUnavailable
    """`PeerRefused` for what the peer did, `PeerBanned` because the operator wants it."""
    lasts_s: float
    """Seconds until it ends, unless it is lifted before."""
    for_others: bool = False
    """Only because other nodes of the same host have misbehaved. A named address is dialled all the same, or
    strangers behind the same router could cut this node off from chosen peers by keys that cost nothing.
    """


class PeerPolicy(Protocol):
    """Decides which peers are spoken to. The manager asks before each session, and reports how it ended."""

    def report(self, host: str, node_key: bytes | None, error: ChainError) -> None:
        """A session ended with `error`. The key is None if the peer had not yet proved that it holds it."""
        ...

    def not_reached(self, address: PeerAddress, error: PeerUnavailable) -> None:
        """No connection to this address could be made (`DialFailed`), or none will be made for a while,
        because the peer is refused; it is tried again.
        """
        ...

    def refusal(self, host: str, node_key: bytes | None) -> PeerRefusal | None:
        """Why not to speak with this host (key None), or with this node there; None if there is no reason.

        `host` is an IP address, or the name that an operator gave.
        """
        ...


class PeerScores:
    """Adds the weight of each offence to the score of a node key; a full score is refused for a while.

    Hosts are not scored. Several nodes can run on one machine or behind one address, and the honest ones
    would be refused for what the others did.
    """

    def __init__(self, clock: MonotonicClock) -> None:
        self._clock = clock
        self._scores: OrderedDict[bytes, tuple[int, float]] = OrderedDict()

    def report(self, host: str, node_key: bytes | None, error: ChainError) -> None:
        weight = weight_of(error)
        if node_key is None or weight == 0:
            return
        self._scores[node_key] = (self.score(node_key) + weight, self._clock.monotonic())
        self._scores.move_to_end(node_key)
        if len(self._scores) > MAX_SCORES:
            self._scores.popitem(last=False)

    def not_reached(self, address: PeerAddress, error: PeerUnavailable) -> None:
        """Changes no score: that no connection could be made is nobody's fault."""

    def refusal(self, host: str, node_key: bytes | None) -> PeerRefusal | None:
        if node_key is None or self.score(node_key) < MAX_WEIGHT:
            return None
        left_s = self._scores[node_key][1] + REFUSE_S - self._clock.monotonic()
        return PeerRefusal(PeerRefused(), left_s) if left_s > 0 else None

    def score(self, node_key: bytes) -> int:
        """The sum of the weights of the peer's offences; 0 if there is none, or the last is long ago."""
        score, since = self._scores.get(node_key, (0, 0.0))
        return score if self._clock.monotonic() - since < FORGET_S else 0
