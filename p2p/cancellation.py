"""Cancellation of those who handle the failure of a task group and go on. No tasks but the one it starts."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def in_own_task(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, or what it raises; but `CancelledError` if the caller was cancelled meanwhile.

    Before Python 3.13 a task group forgets that its parent was cancelled where a child fails at that moment,
    and leaves its parent marked as cancelled where nobody cancelled it; so groups get a parent of their own.
    """
    caller = asyncio.current_task()
    assert caller is not None, "no task runs"
    before = caller.cancelling()
    try:
        return await asyncio.create_task(work)
    finally:
        if caller.cancelling() > before:
            raise asyncio.CancelledError
