"""Lets the blocks of a test network wait for the programs that play on it.

A phase of a round lasts a number of blocks. On a network of strangers nobody waits for a slow computer; on a
network for tests or for a demonstration, the speed of the machine must not decide who misses a phase. There a
program **holds** blocks while it takes part: it opens a connection of its own to a node (`/hold`) and says up
to which height it is ready. The miner makes no block above the least such height. A hold ends with its
connection, so a program that has crashed holds nothing, while one that is only slow, or suspended, is waited
for.

Programs start one after another. So that no phase passes before all are there, an operator can ask for a
**muster**: until so many programs hold at the same time, only blocks with transactions are made. Once it is
met, it stands until the round has ended, so that no phase passes while one of them is away, either. A program
that has done its part says so before it closes its connection. For one that leaves without a word, because it
was interrupted or killed, the blocks wait until another takes its place, or until the operator says that they
need not (a muster of 0). Without a muster, nobody waits for who leaves.

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
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from engram.node import logs
from engram.node.client import RpcClient
from engram.node.clock import Clock
from engram.node.errors import AnswerInvalid, HoldRefused, MusterInvalid, NodeUnreachable, RemoteError

RETRY_S: Final = 0.25
"""Time between two attempts to reach another miner."""


@dataclass(frozen=True)
class Pace:
    """What one node asks of the miners."""

    limit: int | None = None
    """No block above this height, the least that a program is ready for; None if no program holds."""
    programs: int = 0
    """How many programs hold at this node."""
    finished: int = 0
    """How many programs have said here, since the node started, that they have done their part."""
    muster: int = 0
    """How many must hold on the whole network before blocks without transactions are made, as this node's
    operator has asked; who has finished since it was met is no longer counted. 0 if nobody has asked.
    """
    met: bool = False
    """Whether so many have held since the operator asked: whoever is missing now has left."""
    left: int | None = None
    """How many on the whole network have left before they had finished, as far as this node knows: so many
    must hold again. None where nobody is waited for.
    """
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
        round_runs: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        """`publish` sends this node's pace, as JSON values, to the subscribers of the topic `pace`.

        `others` are the RPC addresses of the network's other miners. If not `enabled`, nobody can hold.
        `round_runs` says whether the next block stands in the calendar of an open round; without it, a muster
        that is met never ends with a round.
        """
        self.enabled: Final = enabled
        self._publish = publish
        self._published = Pace()
        self._work = 0
        self._clock = clock
        self._holds: list[Hold] = []
        self._finished = 0
        self._muster = 0
        self._asked = 0
        """How many musters have begun or been ended."""
        self._met = False
        self._has_played = False
        """Whether a round has run since the muster was met."""
        self._round_runs = round_runs
        self._head_moved = asyncio.Event()
        self._left_changed = asyncio.Event()
        self._others: dict[str, Pace | None] = dict.fromkeys(others)
        """By address; None until the other has answered or could not be reached."""
        self._listeners: list[Callable[[], None]] = []

    @property
    def pace(self) -> Pace:
        """What the programs at this node ask for."""
        return replace(self._own, left=self.left)

    @property
    def _own(self) -> Pace:
        """The pace without what depends on other nodes."""
        limit = min((hold.height for hold in self._holds), default=None)
        return Pace(limit, len(self._holds), self._finished, self._muster, self._met, None, self._work)

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

    @property
    def left(self) -> int | None:
        """How many programs of a muster have left before they had finished; None if no muster is met."""
        needed = [pace.muster for pace in self._paces() or () if pace.met]
        return max(0, max(needed) - self.programs) if needed else None

    @property
    def waits(self) -> str | None:
        """Why no block without transactions is made, and the remedy, in words that continue a sentence; None
        if nothing forbids it, or not all other miners are known.
        """
        if self._paces() is None or self.may_mine_empty():
            return None
        remedy = f"`engram miner muster 0{self._asked_at}`"
        if self.left:
            it, its = ("it", "its command") if self.left == 1 else ("they", "their commands")
            return (
                f"makes no block without transactions, because {_programs(self.left)} left the round before "
                f"{it} had finished: give {its} again, or let the blocks go on: {remedy}"
            )
        needed = max(pace.muster for pace in self._paces() or ())
        return (
            f"makes no block without transactions until {_programs(needed)} play a round at once, and there "
            f"are {self.programs}: start the others, or let the blocks go on: {remedy}"
        )

    @property
    def _asked_at(self) -> str:
        """The option of the command that names the node at which the muster was asked for; empty if here."""
        url, most = "", self._muster
        for other, pace in self._others.items():
            if pace is not None and pace.muster > most:
                url, most = other, pace.muster
        return url and f" --rpc {url}"

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

    def release(self, hold: Hold, *, finished: bool = False) -> None:
        """Ends a hold. If its program has not `finished` its part, a muster that is met waits for it."""
        self._holds.remove(hold)
        if finished:
            self._finished += 1
            self._count_down(1)
        self._change()

    def await_programs(self, count: int) -> None:
        """Asks for a muster of `count` programs; 0 ends it. Raises `HoldRefused`, `MusterInvalid`."""
        if not self.enabled:
            raise HoldRefused
        if count < 0:
            raise MusterInvalid(expected=0, got=count)
        self._begin_muster(count)
        self._change()

    def moved(self, work: int) -> None:
        """The node has another head: the work up to it is told to the other miners."""
        if work != self._work:
            self._work = work
            self._head_moved.set()
            self._change()

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls `callback` after every change; the returned function ends that."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    async def run(self) -> None:
        """The service: follows the other miners and the rounds, and logs who is missing, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell(), name="missing programs")
            if self._round_runs is not None:
                tasks.create_task(self._follow_rounds(self._round_runs), name="rounds of a muster")
            for url in self._others:
                tasks.create_task(self._follow(url), name=f"pace of {url}")

    def _paces(self) -> list[Pace] | None:
        """The pace of every miner of the network; None if one is not known yet."""
        others = list(self._others.values())
        known = [pace for pace in others if pace is not None]
        return [self._own, *known] if len(known) == len(others) else None

    def _begin_muster(self, count: int) -> None:
        self._asked += 1
        self._muster, self._met, self._has_played = count, False, False

    def _count_down(self, finished: int) -> None:
        """So many programs have done their part: a muster that is met needs them no more."""
        if self._met:
            self._muster = max(0, self._muster - finished)
            self._met = self._muster > 0

    def _change(self) -> None:
        """Notes whether the muster is met, and by whom beyond those asked for; tells everybody of the new
        state.
        """
        if self._muster and self._paces() is not None and self.programs >= self._muster:
            self._muster = self.programs
            if not self._met:
                self._met = True
                self._head_moved.set()
        now = self.pace
        if now != self._published:
            if now.left != self._published.left:
                self._left_changed.set()
            self._published = now
            self._publish(asdict(now))
        for callback in list(self._listeners):
            callback()

    async def _tell(self) -> None:
        """Logs when programs are missing, and when the blocks go on. A node that stops logs nothing: its
        programs lose it only after this has ended.
        """
        log, missing = logs.get_logger("miner"), 0
        while True:
            await self._left_changed.wait()
            self._left_changed.clear()
            left = self.left or 0
            if left > missing:
                log.warning(f"the miner {self.waits}", code="program_left", left=left)
            elif missing and not left:
                log.info("the blocks wait for no program that has left any more")
            missing = left

    async def _follow_rounds(self, round_runs: Callable[[], Awaitable[bool]]) -> None:
        """Ends a muster that is met after a round has run, once none runs any more."""
        while True:
            await self._head_moved.wait()
            self._head_moved.clear()
            if not self._met:
                continue
            asked = self._asked
            runs = await round_runs()
            if asked != self._asked:  # for another muster meanwhile: look anew once it is met
                continue
            if runs:
                self._has_played = True
            elif self._has_played:
                self._begin_muster(0)
                self._change()

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
        pace, known = Pace(**state), self._others[url]
        counts = [pace.programs, pace.finished, pace.muster, pace.work]
        counts += [count for count in (pace.limit, pace.left) if count is not None]
        if {type(pace.met)} != {bool} or any(type(count) is not int or count < 0 for count in counts):
            raise ValueError("a count of a pace is a whole number")
        if pace != known:
            self._others[url] = pace
            if known is not None:  # a node that has started again counts from 0
                self._count_down(max(0, pace.finished - known.finished))
            self._change()


def _programs(count: int) -> str:
    return "1 program" if count == 1 else f"{count} programs"
