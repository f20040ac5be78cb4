"""Which peers misbehaved, and which may not come back yet: scores by node key, in memory only."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Protocol

from engram.p2p.clock import MonotonicClock
from engram.p2p.errors import MAX_WEIGHT, DialFailed, weight_of
from engram.p2p.link import PeerAddress
from engram.primitives.errors import ChainError

REFUSE_S: Final = 600.0
"""How many seconds a peer is refused once its score is full."""
FORGET_S: Final = 3_600.0
"""A score that has not grown for so many seconds is forgotten."""
MAX_SCORES: Final = 4_096


class PeerPolicy(Protocol):
    """Decides which peers are spoken to. The manager asks before each session, and reports how it ended."""

    def report(self, host: str, node_key: bytes | None, error: ChainError) -> None:
        """A session ended with `error`. The key is None if the peer had not yet proved that it holds it."""
        ...

    def not_reached(self, address: PeerAddress, error: DialFailed) -> None:
        """No connection to this address could be made; it is tried again."""
        ...

    def allows(self, host: str, node_key: bytes | None) -> bool:
        """Whether to speak with this host (key None), or with this node once its key is known."""
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

    def not_reached(self, address: PeerAddress, error: DialFailed) -> None:
        """Changes no score: that no connection could be made is nobody's fault."""

    def allows(self, host: str, node_key: bytes | None) -> bool:
        if node_key is None or self.score(node_key) < MAX_WEIGHT:
            return True
        return self._clock.monotonic() - self._scores[node_key][1] >= REFUSE_S

    def score(self, node_key: bytes) -> int:
        """The sum of the weights of the peer's offences; 0 if there is none, or the last is long ago."""
        score, since = self._scores.get(node_key, (0, 0.0))
        return score if self._clock.monotonic() - since < FORGET_S else 0
