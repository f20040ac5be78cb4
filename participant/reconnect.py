"""A client that repeats its requests while its node is restarted, and a wait that outlasts the event stream.

A round goes on while one node is down, and a participant who misses a phase loses a bond. So a participant
must not give up because a connection has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from engram.node.client import RpcClient
from engram.node.errors import ForeignAnswer, NodeUnreachable
from engram.participant.notices import Notice, Report

T = TypeVar("T")

PATIENCE_S: Final = 3600.0
"""How long a node may be unreachable before a client gives up, in seconds."""
FOREIGN_PATIENCE_S: Final = 30.0
"""How long something else may answer at the node's address, as a proxy does while the node starts again."""
MOST_FOREIGN_STREAMS: Final = 5
"""After so many streams in a row that hold no event of a node, `watch` gives up."""
_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 5.0


class PatientClient(RpcClient):
    """A client that waits for its node to come back and then repeats the request.

    If the node has never answered, the client does not wait: the address is probably wrong. A request may
    reach the node twice. That does no harm: a `Wallet` accepts that the node has a transaction already.
    """

    def __init__(
        self, find: Callable[[], str], report: Report, *, token: str = "", patience_s: float = PATIENCE_S
    ) -> None:
        """`find` gives the node's present address, because a node may have another port after a restart.

        `report` is told when the node is lost and when it is back. After `patience_s` seconds without an
        answer the client gives up; after 30 seconds if what answers is no node.
        """
        super().__init__(find(), token)
        self._find = find
        self._report = report
        self._patience_s = patience_s
        self._met = False

    async def call(self, method: str, **params: Any) -> Any:
        """As `RpcClient.call`, but raises `NodeUnreachable` only after `patience_s` seconds of trying."""
        return await self._patiently(lambda: super(PatientClient, self).call(method, **params))

    async def blob(self, identity: bytes) -> bytes:
        """As `RpcClient.blob`, but repeated as `call` is."""
        return await self._patiently(lambda: super(PatientClient, self).blob(identity))

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        waited_s, pause_s = 0.0, _FIRST_PAUSE_S
        while True:
            try:
                answer = await ask()
            except NodeUnreachable as error:
                patience_s = self._patience_s
                if isinstance(error, ForeignAnswer):
                    patience_s = min(patience_s, FOREIGN_PATIENCE_S)
                if not self._met or waited_s >= patience_s:
                    raise
                if not waited_s:
                    self._report(Notice(f"{error.message}; trying again", "node_unreachable", url=self.url))
                await asyncio.sleep(pause_s)
                waited_s, pause_s = waited_s + pause_s, _longer(pause_s)
                self.url = self._find().rstrip("/")
            else:
                if waited_s:
                    self._report(Notice("the node answers again", "node_reached", url=self.url))
                self._met = True
                return answer


class Streams:
    """Streams of events that break one after another: how long to wait before the next, and when to stop.

    A node that starts again breaks one stream. One that breaks every stream before its first event would
    otherwise be asked without a pause for ever.
    """

    def __init__(self) -> None:
        self._pause_s = 0.0
        self._foreign = 0

    def lives(self) -> None:
        """An event has come."""
        self._pause_s, self._foreign = 0.0, 0

    async def broken(self, client: RpcClient, error: NodeUnreachable) -> None:
        """Waits until the node answers, and longer if streams break again and again.

        Raises the error after `MOST_FOREIGN_STREAMS` streams in a row without an event of a node, and
        `NodeUnreachable` when the client gives up.
        """
        if isinstance(error, ForeignAnswer):
            self._foreign += 1
            if self._foreign >= MOST_FOREIGN_STREAMS:
                raise error
        await client.call("chain_head")
        await asyncio.sleep(self._pause_s)
        self._pause_s = _longer(self._pause_s)


def _longer(pause_s: float) -> float:
    return min(2 * pause_s, _LONGEST_PAUSE_S) if pause_s else _FIRST_PAUSE_S


async def watch(
    client: RpcClient,
    look: Callable[[], Awaitable[T | None]],
    *topics: str,
    concerns: Callable[[str, Any], bool] = lambda topic, event: True,
) -> T:
    """Calls `look` until it gives something other than None, and returns that.

    `look` is called at once and again after every event of `topics` for which `concerns` is true, never by a
    timer. If the event stream breaks, it is opened again. If the client holds the blocks of a test network,
    the next block is allowed whenever `look` has seen the head and goes on waiting; `topics` must then
    contain `heads`. Raises `NodeUnreachable` when the client gives up, and what `look` raises.
    """
    streams = Streams()
    while True:
        try:
            async with client.subscribe(*topics) as events:
                while True:
                    seen = int((await client.call("chain_head"))["height"]) if client.holds else 0
                    if (found := await look()) is not None:
                        return found
                    await client.ready(seen + 1)
                    while not concerns(*await anext(events)):
                        streams.lives()
                    streams.lives()
        except NodeUnreachable as error:
            await streams.broken(client, error)
