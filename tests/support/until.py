"""Waiting for what tells nobody when it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.support.p2p_chain import WAIT_S


async def until(happened: Callable[[], object]) -> None:
    """Returns once `happened` is true; what it looks at is changed by threads, which get the processor."""
    async with asyncio.timeout(WAIT_S):
        while not happened():  # noqa: ASYNC110 (nothing tells when it changes)
            await asyncio.sleep(0.001)
