"""Blocking work in threads that are never left behind, and the one error that a task group answers for.

A cancelled task leaves its thread at work. LevelDB must not be closed while a thread reads it, so whoever
starts a thread waits for it: `in_worker` for a single call, `ReaderThreads.close` for a node's readers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final, TypeVar

from engram.node.errors import ChainStopped
from engram.primitives.errors import ChainError

R = TypeVar("R")


async def in_worker(executor: Executor, work: Callable[..., R], *arguments: object) -> R:
    """The result of `work(*arguments)` in a thread of the executor.

    A cancelled caller still waits until the thread is done: what it has begun it ends, and nobody closes a
    database under it.
    """
    running = asyncio.get_running_loop().run_in_executor(executor, work, *arguments)
    running.add_done_callback(_heard)  # a cancelled caller does not ask how it ended
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await finished(running)
        raise


async def finished(*running: asyncio.Future[R]) -> None:
    """Returns once all of these are done; a cancellation that comes meanwhile is raised then."""
    cancelled = False
    while pending := [future for future in running if not future.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


def _heard(running: asyncio.Future[R]) -> None:
    """Marks an error as known: asyncio logs those that nobody asked for."""
    if not running.cancelled():
        running.exception()


T = TypeVar("T")

READER_THREADS: Final = 8


class ReaderThreads:
    """The threads in which one node reads its disk and decodes what peers send."""

    def __init__(self, count: int = READER_THREADS) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="engram-reader")

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """The result of `work(*arguments)`, computed in a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def close(self) -> None:
        """Waits for what runs, and drops what has not begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def cause_of(error: BaseException) -> BaseException:
    """The leaf to answer for: a bug before a chain error; last, that others lost the chain by it."""
    return min(_leaves(error), key=_rank)


def _rank(leaf: BaseException) -> int:
    if isinstance(leaf, ChainStopped):
        return 2
    return 1 if isinstance(leaf, ChainError) else 0


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
