"""Runs blocking work in threads that are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from engram.node.concurrency import finished

R = TypeVar("R")


async def in_thread(work: Callable[[], R]) -> R:
    """The result of `work`. A caller that is cancelled goes on only when the thread has ended, so that no
    file is closed while a thread uses it.
    """
    running = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await finished(running)
        running.exception()  # fetched, so that asyncio does not log it as an exception nobody handled
        raise
