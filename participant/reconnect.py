"""Waiting on a node that may be restarted meanwhile: requests that are asked again, events that go on.

A round goes on while one node is down, and what an actor owes it is worth a bond: so nothing ends because a
connection did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from engram.node.client import RpcClient
from engram.node.errors import NodeUnreachable
from engram.participant.notices import Notice, Report

T = TypeVar("T")

PATIENCE_S: Final = 3600.0
"""How long a node may be away."""
_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 5.0


class PatientClient(RpcClient):
    """A client that outlives its node. A node that never answered is refused at once: the address is wrong.

    A request may reach the node twice: handing in a transaction that waits already is no error to a `Wallet`.
    """

    def __init__(
        self, find: Callable[[], str], report: Report, *, token: str = "", patience_s: float = PATIENCE_S
    ) -> None:
        """`find` says where the node answers now: a restarted one may have another port."""
        super().__init__(find(), token)
        self._find = find
        self._report = report
        self._patience_s = patience_s
        self._met = False

    async def call(self, method: str, **params: Any) -> Any:
        """As `RpcClient.call`; raises `NodeUnreachable` only after the node was away for too long."""
        return await self._patiently(lambda: super(PatientClient, self).call(method, **params))

    async def blob(self, identity: bytes) -> bytes:
        """As `RpcClient.blob`, with the patience of `call`."""
        return await self._patiently(lambda: super(PatientClient, self).blob(identity))

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        waited_s, pause_s = 0.0, _FIRST_PAUSE_S
        while True:
            try:
                answer = await ask()
            except NodeUnreachable as error:
                if not self._met or waited_s >= self._patience_s:
                    raise
                if not waited_s:
                    self._report(Notice(f"{error.message}; trying again", "node_unreachable", url=self.url))
                await asyncio.sleep(pause_s)
                waited_s, pause_s = waited_s + pause_s, min(2 * pause_s, _LONGEST_PAUSE_S)
                self.url = self._find().rstrip("/")
            else:
                if waited_s:
                    self._report(Notice("the node answers again", "node_reached", url=self.url))
                self._met = True
                return answer


async def watch(
    client: RpcClient,
    look: Callable[[], Awaitable[T | None]],
    *topics: str,
    concerns: Callable[[str, Any], bool] = lambda topic, event: True,
) -> T:
    """What `look` gives, once it gives something: it is asked at once and after every event that concerns it.

    A stream of events that ends is taken up again; raises `NodeUnreachable` where the client's own patience
    ends, and what `look` raises.
    """
    while True:
        try:
            async with client.subscribe(*topics) as events:
                while (found := await look()) is None:
                    while not concerns(*await anext(events)):
                        continue
                return found
        except NodeUnreachable:
            await client.call("chain_head")
