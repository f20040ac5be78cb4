"""The addresses that the operator has named: each is dialled again and again, so that there is a session."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from engram.p2p.clock import MonotonicClock
from engram.p2p.dialling import Dial, Dialler
from engram.p2p.errors import DisconnectReason, SelfConnection, reason_of
from engram.p2p.link import PeerAddress
from engram.p2p.protocol import PeerOrigin
from engram.p2p.session import Session
from engram.primitives.errors import ChainError

LOOK_AGAIN_S: Final = 2.0
"""Whether a refused address may be dialled again is looked up so often; that costs a few dictionary reads."""
ASK_AGAIN_S: Final = 600.0
"""An address at which a refused node answered last is dialled after so many seconds all the same: another
node may have it by then.
"""


@dataclass(frozen=True)
class RedialLimits:
    """When an address is dialled again."""

    first_retry_s: float = 0.5
    """Seconds to wait after the first failure; doubled with each further one, up to `last_retry_s`."""
    last_retry_s: float = 30.0
    steady_s: float = 30.0
    """After a session that lasted so many seconds, the next wait is the shortest again."""


@dataclass(frozen=True)
class TargetInfo:
    """The facts about an address that is dialled, for lists."""

    address: PeerAddress
    host: str
    """Its IP address, as far as that is known; else the name in `address`."""
    node_key: bytes | None
    """The peer, if there is a session with it, no matter who dialled; otherwise None."""
    error: ChainError | None
    """Why the last session or dial ended, or why none is made; None before the first one has ended."""
    retry_s: float | None
    """Seconds until it is dialled again; None while it is being dialled or a session is open."""
    last_key: bytes | None = None
    """The key of the node that answered there last, with a session or without."""


@dataclass(eq=False)
class _Target:
    """One address and its dials."""

    attempt: Dial
    task: asyncio.Task[None] | None = None
    retry_at_s: float | None = None
    """Time of the next attempt by the clock; None while none is planned."""
    said: str = ""
    """For what reason it was last said that this address is not dialled."""


class Targets:
    """The named addresses."""

    def __init__(
        self,
        limits: RedialLimits,
        addresses: Iterable[PeerAddress],
        dialler: Dialler,
        find: Callable[[bytes], Session | None],
        clock: MonotonicClock,
        rng: random.Random,
    ) -> None:
        """`find` gives the session with a node key."""
        self._limits = limits
        self._dialler = dialler
        self._find = find
        self._clock = clock
        self._rng = rng
        self._targets: dict[PeerAddress, _Target] = {}
        self._group: asyncio.TaskGroup | None = None
        for address in addresses:
            self.add(address)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Dials every address, and from now on each new one, in tasks of this group."""
        self._group = group
        for target in self._targets.values():
            target.task = group.create_task(self._keep(target))

    def stop(self) -> None:
        """Starts no further task: one that starts while the group ends would not be cancelled with it."""
        self._group = None

    def names(self, address: PeerAddress) -> bool:
        """Whether the operator has named this host and port, with a key or without."""
        return any((each.host, each.port) == (address.host, address.port) for each in self._targets)

    def sessions(self) -> int:
        """How many sessions the dials of these addresses have led to."""
        return sum(target.attempt.session is not None for target in self._targets.values())

    def list(self) -> list[TargetInfo]:
        """Each address with the result so far."""
        now_s = self._clock.monotonic()
        return [
            TargetInfo(
                address,
                target.attempt.host or address.host,
                key if (key := target.attempt.node_key) is not None and self._find(key) else None,
                target.attempt.error,
                None if target.retry_at_s is None else max(0.0, target.retry_at_s - now_s),
                target.attempt.node_key,
            )
            for address, target in self._targets.items()
        ]

    def add(self, address: PeerAddress) -> None:
        """Dials this address from now on."""
        if address in self._targets:
            return
        self._targets[address] = target = _Target(Dial(address, PeerOrigin.NAMED))
        if self._group is not None:
            target.task = self._group.create_task(self._keep(target))

    def remove(self, address: PeerAddress) -> bool:
        """Stops dialling this address and ends the session with it. False if it was not being dialled."""
        target = self._targets.pop(address, None)
        if target is None:
            return False
        if target.attempt.session is not None:
            target.attempt.session.disconnect()
        elif target.task is not None:
            target.task.cancel()
        return True

    async def _keep(self, target: _Target) -> None:
        """Dials again and again, until the target is removed or turns out to be this node itself."""
        failures, address = 0, target.attempt.address
        while self._targets.get(address) is target:
            await self._until_allowed(target)
            started_s = self._clock.monotonic()
            error = await self._dialler.dial(target.attempt)
            if target.attempt.answered:
                target.said = ""
            if isinstance(error, SelfConnection):
                self._targets.pop(address, None)
            if reason_of(error) is DisconnectReason.DUPLICATE:
                await self._until_gone(target.attempt.node_key)
            steady = self._clock.monotonic() - started_s >= self._limits.steady_s
            failures = 0 if steady else failures + 1
            if self._targets.get(address) is target:
                wait_s = self._retry_s(failures)
                target.retry_at_s = self._clock.monotonic() + wait_s
                await self._clock.sleep(wait_s)
                target.retry_at_s = None

    async def _until_allowed(self, target: _Target) -> None:
        """Returns once this address may be dialled; says once why it may not."""
        attempt, began_s = target.attempt, self._clock.monotonic()
        while True:
            left_s = began_s + ASK_AGAIN_S - self._clock.monotonic()
            refusal = self._dialler.refusal(attempt)
            if refusal is None and left_s > 0:
                refusal = self._dialler.refusal_by_answer(attempt, left_s)
            if refusal is None:
                target.retry_at_s = None
                return
            attempt.error = refusal.error
            if target.said != str(refusal.error):
                target.said = str(refusal.error)
                self._dialler.not_dialled(attempt.address, refusal)
            target.retry_at_s = self._clock.monotonic() + refusal.lasts_s
            await self._clock.sleep(min(LOOK_AGAIN_S, refusal.lasts_s))

    def _retry_s(self, failures: int) -> float:
        """Seconds to wait: they double with each failure.

        A random part, up to a half, is left out, so that two nodes do not go on dialling each other in step.
        """
        longest = min(self._limits.last_retry_s, self._limits.first_retry_s * 2.0 ** min(failures, 32))
        return longest * self._rng.uniform(0.5, 1.0)

    async def _until_gone(self, node_key: bytes | None) -> None:
        """Returns once no session with this peer is left."""
        while node_key is not None and (session := self._find(node_key)) is not None:
            await session.closed.wait()
