"""Lets the blocks of a test network wait for the programs that play on it.

A phase of a round lasts a number of blocks. On a network of strangers nobody waits for a slow computer; on a
network for tests or for a demonstration, the speed of the machine must not decide who misses a phase. There a
program **holds** blocks while it takes part: it opens a connection of its own to a node (`/hold`) and says up
to which height it is ready. The miner makes no block above the least such height. A hold ends with its
connection, so a program that has crashed stops nobody, while one that is only slow, or suspended, is waited
for.

Programs start one after another. So that no phase passes before all are there, an operator can ask for a
**muster**: until so many programs hold at the same time, only blocks with transactions are made.

The miners of one network must agree on this. Each publishes its state under the topic `pace`, and follows the
state of those whose addresses it is given. None of this is part of the protocol: it decides when this node
mines, never which blocks it accepts.

A height does not say of which branch. So while programs hold, a miner also waits as long as the head of
another has more work than its own. Otherwise miners that have lost each other for a few seconds would go
through a phase side by side, and whoever did what the phase asks for on the losing branch would have missed
it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from engram.node.client import RpcClient
from engram.node.clock import Clock
from engram.node.errors import AnswerInvalid, HoldRefused, NodeUnreachable, RemoteError

RETRY_S: Final = 0.25
"""Time between two attempts to reach another miner."""


@dataclass(frozen=True)
class Pace:
    """What one node asks of the miners."""

    limit: int | None = None
    """No block above this height, the least that a program is ready for; None if no program holds."""
    programs: int = 0
    """How many programs hold at this node."""
    muster: int = 0
    """How many must hold on the whole network before blocks without transactions are made; 0 if enough do."""
    work: int = 0
    """The work of the node's head and of all blocks before it; it has up to 256 bits."""


class Hold:
    """One program's hold. It begins at height 0: until `allow` is called, no block is made."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.height = 0
        self._changed = changed

    def allow(self, height: int) -> None:
        """The program is ready for all blocks up to this height. A height below an earlier one is ignored."""
        if height > self.height:
            self.height = height
            self._changed()


class Pacing:
    """The holds at this node and at the other miners of its network. For the event loop only."""

    def __init__(
        self,
        publish: Callable[[dict[str, Any]], None],
        clock: Clock,
        *,
        enabled: bool,
        others: Iterable[str] = (),
    ) -> None:
        """`publish` sends this node's pace, as JSON values, to the subscribers of the topic `pace`.

        `others` are the RPC addresses of the network's other miners. If not `enabled`, nobody can hold.
        """
        self.enabled: Final = enabled
        self._publish = publish
        self._published = Pace()
        self._work = 0
        self._clock = clock
        self._holds: list[Hold] = []
        self._muster = 0
        self._others: dict[str, Pace | None] = dict.fromkeys(others)
        """By address; None until the other has answered or could not be reached."""
        self._listeners: list[Callable[[], None]] = []

    @property
    def pace(self) -> Pace:
        """What the programs at this node ask for."""
        limit = min((hold.height for hold in self._holds), default=None)
        return Pace(limit, len(self._holds), self._muster, self._work)

    def may_mine(self, height: int) -> bool:
        """Whether every program on the network is ready for a block of this height.

        False also until each other miner has answered, or could not be reached, for the first time; and,
        while programs hold, until this node has the best head of all miners.
        """
        paces = self._paces()
        if paces is None or any(pace.limit is not None and height > pace.limit for pace in paces):
            return False
        return not self.programs or all(pace.work <= self._work for pace in paces)

    @property
    def programs(self) -> int:
        """How many programs hold on the whole network, as far as it is known."""
        return sum(pace.programs for pace in self._paces() or ())

    def may_mine_empty(self) -> bool:
        """Whether blocks without transactions can be made: no muster waits for programs."""
        paces = self._paces()
        return paces is not None and sum(pace.programs for pace in paces) >= max(
            pace.muster for pace in paces
        )

    def hold(self) -> Hold:
        """Begins a hold; `release` ends it. Raises `HoldRefused` if this node's blocks wait for nobody."""
        if not self.enabled:
            raise HoldRefused
        hold = Hold(self._change)
        self._holds.append(hold)
        self._change()
        return hold

    def release(self, hold: Hold) -> None:
        """Ends a hold."""
        self._holds.remove(hold)
        self._change()

    def await_programs(self, count: int) -> None:
        """Asks for a muster of `count` programs; 0 ends it. Raises `HoldRefused`."""
        if not self.enabled:
            raise HoldRefused
        self._muster = count
        self._change()

    def moved(self, work: int) -> None:
        """The node has another head: the work up to it is told to the other miners."""
        if work != self._work:
            self._work = work
            self._change()

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls `callback` after every change; the returned function ends that."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    async def run(self) -> None:
        """The service: follows the other miners until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for url in self._others:
                tasks.create_task(self._follow(url), name=f"pace of {url}")

    def _paces(self) -> list[Pace] | None:
        """The pace of every miner of the network; None if one is not known yet."""
        others = list(self._others.values())
        known = [pace for pace in others if pace is not None]
        return [self.pace, *known] if len(known) == len(others) else None

    def _change(self) -> None:
        """Ends a muster that has enough programs, and tells everybody of the new state."""
        paces = self._paces()
        if paces is not None and sum(pace.programs for pace in paces) >= self._muster:
            self._muster = 0
        if self.pace != self._published:
            self._published = self.pace
            self._publish(asdict(self.pace))
        for callback in list(self._listeners):
            callback()

    async def _follow(self, url: str) -> None:
        """Keeps the other's state.

        One with which no connection can be made does not run, so nobody holds there. If only a connection has
        ended, what is known stays true until the next attempt.
        """
        while True:
            met = False
            try:
                async with RpcClient(url) as client, client.subscribe("pace", heartbeat_s=None) as events:
                    met = True
                    self._learn(url, await client.call("miner_pace"))
                    async for _, event in events:
                        self._learn(url, event)
            except (NodeUnreachable, RemoteError, AnswerInvalid, KeyError, TypeError, ValueError):
                # The last three: what answers there speaks another language.
                if not met:
                    self._learn(url, asdict(Pace()))
            await self._clock.sleep(RETRY_S)

    def _learn(self, url: str, state: dict[str, Any]) -> None:
        """Raises `KeyError`, `TypeError`, `ValueError` for a state that is no pace; the one before stays."""
        pace = Pace(**state)
        counts = (pace.programs, pace.muster, pace.work, *(() if pace.limit is None else (pace.limit,)))
        if any(type(count) is not int or count < 0 for count in counts):
            raise ValueError("a count of a pace is a whole number")
        if pace != self._others[url]:
            self._others[url] = pace
            self._change()
