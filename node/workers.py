"""Running blocking work in a thread without leaving it behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

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
