"""Bounds of one session: times, sizes, and one token bucket a message type on an injected clock. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engram.p2p.clock import MonotonicClock
from engram.p2p.errors import RateExceeded
from engram.p2p.messages import MESSAGES, MIB

PATIENCE_S: Final = 60.0
"""Seconds that a sender may keep its receiver from reading on."""
PATIENCE_REGAINED: Final = 0.1
"""Seconds of patience won back in a second."""


@dataclass(frozen=True)
class SessionLimits:
    """Bounds of one session. The times are what the slowest useful peer needs: about 1.2 Mbit/s."""

    handshake_s: float = 10.0
    send_s: float = 30.0
    """For the network to take one frame."""
    request_s: float = 20.0
    block_s: float = 30.0
    """For the answer to `GetBlock`."""
    ping_every_s: float = 15.0
    ping_s: float = 30.0
    """A peer from which nothing came for so long after a ping is gone."""
    close_s: float = 2.0
    timeouts: int = 3
    """Requests for data in a row that may go unanswered."""
    own_requests: int = 32
    """Requests that this node keeps open at once; further ones wait."""
    peer_requests: int = 64
    """Unanswered requests that a peer may have open."""
    outbox_bytes: int = 8 * MIB
    reply_room_bytes: int = MIB
    """A request is answered once no more than this waits to be sent."""


class TokenBucket:
    """Allows `burst` at once and `per_s` a second in the long run; may be overdrawn, which costs waiting."""

    __slots__ = ("_burst", "_clock", "_per_s", "_tokens", "_updated")

    def __init__(self, per_s: float, burst: float, clock: MonotonicClock) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._tokens = burst
        self._updated = clock.monotonic()

    def take(self, amount: float = 1.0) -> float:
        """Takes `amount` and returns the seconds after which the bucket is no longer overdrawn; 0 is now."""
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._updated) * self._per_s) - amount
        self._updated = now
        return max(0.0, -self._tokens / self._per_s)


class MessageLimiter:
    """The buckets of one direction of one session."""

    def __init__(self, clock: MonotonicClock) -> None:
        self._clock = clock
        self._buckets = {
            spec.cls: TokenBucket(spec.rate.per_s, spec.rate.burst, clock)
            for spec in MESSAGES
            if spec.rate is not None
        }

    def take(self, cls: type) -> float:
        """Seconds until one more message of this type is within its rate; 0 for one without a rate."""
        bucket = self._buckets.get(cls)
        return bucket.take() if bucket is not None else 0.0

    async def pace(self, cls: type) -> None:
        """Returns once a message of this type may be sent."""
        if (wait_s := self.take(cls)) > 0.0:
            await self._clock.sleep(wait_s)


class Throttle:
    """Answers excess by not reading on, until patience ends.

    A burst that the network held back costs its sender a pause and nothing else; a flood fills the sender's
    own buffers and, after a minute of pauses, ends the session.
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
            raise RateExceeded(f"{cls.__name__} keeps coming faster than its rate")
        await self._clock.sleep(wait_s)
