"""Waiting for what tells nobody when it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engram.node.clock import FakeClock
from tests.support.p2p_chain import WAIT_S

STEP_MS = 100
STEP_S = 0.003
"""So long may what a step of `pass_until` has begun take in other threads before the next step."""


async def until(happened: Callable[[], object]) -> None:
    """Returns once `happened` is true; what it looks at is changed by threads, which get the processor."""
    async with asyncio.timeout(WAIT_S):
        while not happened():  # noqa: ASYNC110 (nothing tells when it changes)
            await asyncio.sleep(0.001)


async def pass_until(clock: FakeClock, happened: Callable[[], object]) -> None:
    """Lets the time of a clock pass, thirty times faster than it does, until `happened` is true."""
    async with asyncio.timeout(WAIT_S):
        while not happened():
            clock.advance(STEP_MS)
            await asyncio.sleep(STEP_S)
