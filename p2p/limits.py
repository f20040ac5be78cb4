"""Limits of one session: times, sizes, and a token bucket for each message type. No I/O.

A session has several budgets, because a peer can cost memory, bandwidth and work in different ways. The size
of a frame and of the queue to the peer bound memory. The buckets bound how often a message comes. The number
of unanswered requests bounds work that is waiting. None of them punishes a short burst: a receiver first
slows the sender down by not reading on, and ends the session only if that goes on for too long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engram.p2p.clock import Monotonic, MonotonicClock
from engram.p2p.errors import RateExceeded
from engram.p2p.messages import MESSAGES, MIB

PATIENCE_S: Final = 60.0
"""Seconds for which a peer may make its receiver pause, by sending too fast, before the session ends."""
PATIENCE_REGAINED: Final = 0.1
"""Seconds of this patience that are regained in each second."""


@dataclass(frozen=True)
class SessionLimits:
    """Limits of one session. The times suffice for the slowest peer that is still useful, at 1.2 Mbit/s."""

    handshake_s: float = 10.0
    send_s: float = 30.0
    """Seconds for the network to take one frame."""
    request_s: float = 20.0
    block_s: float = 30.0
    """Seconds for the answer to `GetBlock`."""
    ping_every_s: float = 15.0
    ping_s: float = 30.0
    """If nothing at all comes for so long after a ping, the peer is gone."""
    close_s: float = 2.0
    timeouts: int = 3
    """After so many unanswered requests for data in a row, the session ends."""
    own_requests: int = 32
    """Requests that this node has open at once; further ones wait."""
    peer_requests: int = 64
    """Unanswered requests that a peer may have open."""
    outbox_bytes: int = 8 * MIB
    reply_room_bytes: int = MIB
    """The next request is answered once no more than so many bytes wait to be sent."""


class TokenBucket:
    """Allows `burst` at once and `per_s` a second in the long run; who overdraws it has to wait."""

    __slots__ = ("_burst", "_clock", "_per_s", "_tokens", "_updated")

    def __init__(self, per_s: float, burst: float, clock: Monotonic) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._tokens = burst
        self._updated = clock.monotonic()

    def take(self, amount: float = 1.0) -> float:
        """Takes `amount`; returns the seconds until the bucket is no longer overdrawn, 0 if it is not."""
        self._refill()
        self._tokens -= amount
        return max(0.0, -self._tokens / self._per_s)

    def has_one(self) -> bool:
        """Whether one could be taken without overdrawing."""
        self._refill()
        return self._tokens >= 1.0

    def spend(self) -> bool:
        """Takes one if there is one, and says so; else takes nothing, so that no debt outlives a flood."""
        if not self.has_one():
            return False
        self._tokens -= 1.0
        return True

    def _refill(self) -> None:
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._updated) * self._per_s)
        self._updated = now


class MessageLimiter:
    """A bucket for each message type, for one direction of one session."""

    def __init__(self, clock: MonotonicClock) -> None:
        self._clock = clock
        self._buckets = {
            spec.cls: TokenBucket(spec.rate.per_s, spec.rate.burst, clock)
            for spec in MESSAGES
            if spec.rate is not None
        }

    def take(self, cls: type) -> float:
        """Takes one message of this type; returns the seconds until it is within its rate, 0 without one."""
        bucket = self._buckets.get(cls)
        return bucket.take() if bucket is not None else 0.0

    async def pace(self, cls: type) -> None:
        """Returns once a message of this type may be sent."""
        if (wait_s := self.take(cls)) > 0.0:
            await self._clock.sleep(wait_s)


class Throttle:
    """Slows a peer that sends too fast, by not reading on; ends the session if that takes too long in all.

    An honest peer can exceed a rate without fault, when the network held its messages back and then delivers
    them at once. This costs it a pause and nothing else. A peer that floods fills its own buffers, and after
    a minute of pauses the session ends.
    """

    def __init__(self, clock: MonotonicClock) -> None:
        self._clock = clock
        self._limiter = MessageLimiter(clock)
        self._patience = TokenBucket(PATIENCE_REGAINED, PATIENCE_S, clock)

    async def admit(self, cls: type) -> None:
        """Returns once the message just received is within its rate. Raises `RateExceeded`."""
        wait_s = self._limiter.take(cls)
        if wait_s <= 0.0:
            return
        if self._patience.take(wait_s) > 0.0:
            raise RateExceeded(f"{cls.__name__} keeps coming faster than its rate allows")
        await self._clock.sleep(wait_s)
