"""Reliable cancellation for a task that handles the failure of a task group and then goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def in_own_task(work: Coroutine[Any, Any, T]) -> T:
    """Runs `work` in a task of its own; returns its result or raises its error.

    Raises `CancelledError` instead if the caller was cancelled meanwhile.

    It is meant for work that contains a task group whose failure the caller handles. Before Python 3.13 a
    task group can confuse the cancellation of its parent task. If a child fails at the moment when the parent
    is cancelled, the cancellation is lost; and a parent that nobody cancelled can stay marked as cancelled.
    With a parent task of its own, the group can do no such harm to the caller.
    """
    caller = asyncio.current_task()
    assert caller is not None, "a coroutine runs inside of a task"
    before = caller.cancelling()
    try:
        return await asyncio.create_task(work)
    finally:
        if caller.cancelling() > before:
            raise asyncio.CancelledError
