"""Calls that compute for long, such as predictions and proofs, in threads of their own.

They wait in a short line, so that they hold neither the threads that answer everything else nor all places of
requests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from engram.node.concurrency import ReaderThreads
from engram.node.rpc.jsonrpc import TOO_BUSY, RpcFault

T = TypeVar("T")

SLOW_THREADS: Final = 2
MAX_SLOW_CALLS: Final = 16
"""How many of these calls are in hand at once, those that wait included."""


class SlowCalls:
    """Runs calls that compute for long."""

    def __init__(self, threads: ReaderThreads) -> None:
        self._threads = threads
        self._in_hand = 0

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """The result of `work(*arguments)`. Raises `RpcFault` if too many calls wait already."""
        if self._in_hand >= MAX_SLOW_CALLS:
            raise RpcFault(
                TOO_BUSY,
                "the node computes too much at once; ask again later, or another node",
                expected=f"at most {MAX_SLOW_CALLS} at once",
            )
        self._in_hand += 1
        try:
            return await self._threads.run(work, *arguments)
        finally:
            self._in_hand -= 1
