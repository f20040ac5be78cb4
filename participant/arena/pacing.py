"""Who waits at which height, so that a block comes when everybody waits for it and not before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from engram.node.client import HEARTBEAT_S
from engram.participant.reconnect import PatientClient


class Pacer:
    """Knows who waits at which height."""

    def __init__(self) -> None:
        self.height = 0
        self.before_block: Callable[[], Coroutine[Any, Any, bool]] | None = None
        """Called before each block, with everybody waiting; True if everybody has to look again first."""
        self._seen: dict[object, int | None] = {}
        """Height that a waiting actor has seen; None for one that is busy."""
        self._changed = asyncio.Event()
        self._mined = asyncio.Event()

    def set(self, actor: object, seen: int | None) -> None:
        """The actor waits and has seen this height, or is busy."""
        self._seen[actor] = seen
        self._changed.set()

    def leave(self, actor: object) -> None:
        """No block waits for the actor any more."""
        self._seen.pop(actor, None)
        self._changed.set()

    async def settled(self, height: int) -> None:
        """Waits until the node has done everything that its head of this height asks for."""
        while self.height < height:
            self._mined.clear()
            await self._mined.wait()

    def moved(self, height: int) -> None:
        """The node's head has this height, and its mempool has followed."""
        self.height = height
        self._mined.set()

    async def run(self, mine: Callable[[], Coroutine[Any, Any, int]]) -> None:
        """Mines for ever. `mine` makes one block and returns its height."""
        while True:
            while not self._seen or any(at is None or at < self.height for at in self._seen.values()):
                self._changed.clear()
                await self._changed.wait()
            if self.before_block is not None:
                before = dict(self._seen)
                self._seen = dict.fromkeys(before)
                if await self.before_block():
                    continue
                self._seen = before
            self.moved(await mine())


class PacedClient(PatientClient):
    """The client of one actor. It hears of a head when the node's mempool has dropped what that head refuses:
    the news of a drop could come after the next block.
    """

    def __init__(self, find: Callable[[], str], pacer: Pacer) -> None:
        super().__init__(find, lambda notice: None, patience_s=60.0)
        self._pacer = pacer

    @asynccontextmanager
    async def subscribe(
        self, *topics: str, heartbeat_s: float | None = HEARTBEAT_S
    ) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        async with super().subscribe(*topics, heartbeat_s=heartbeat_s) as events:
            seen = int((await self.call("chain_head"))["height"])
            await self._pacer.settled(seen)
            yield self._paced(events, seen)

    async def _paced(
        self, events: AsyncIterator[tuple[str, Any]], seen: int
    ) -> AsyncIterator[tuple[str, Any]]:
        while True:
            self._pacer.set(self, seen)
            try:
                topic, event = await anext(events)
            finally:
                self._pacer.set(self, None)
            if topic == "heads":
                seen = int(event["height"])
                await self._pacer.settled(seen)
            yield topic, event
