"""The worker threads in which one node reads its disk and decodes what peers send. No work of its own.

A cancelled task leaves its thread at work; so each node has its own threads, and waits for them before it
closes the store that they read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

COUNT: Final = 8


class Threads:
    """Runs functions outside the event loop."""

    def __init__(self, count: int = COUNT) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="engram-reader")

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """The result of `work(*arguments)`, computed in a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def close(self) -> None:
        """Waits for what runs, and drops what has not begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)
