"""Measures what encryption costs between two ends of a connection: carrying bytes, and dialling.

Both ends are in one process and share one core, so a ratio here is worse than any that two machines see.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from benchmarks.measure import Pairs, Row, interleaved
from engram.p2p.encryption import Encryption
from engram.p2p.link import Link, PeerAddress
from engram.p2p.transport import WebSocketTransport

HOST: Final = "127.0.0.1"
FRAME: Final = random.Random(1).randbytes(4 * 1024 * 1024)
"""As large as a large block."""
MEGABYTE: Final = 1_000_000
LEAST_SPEED: Final = 0.3
MOST_DIALLING: Final = 4.0


def rows(quick: bool) -> Iterable[Row]:
    frames, dials, pairs = (2, 2, 1) if quick else (10, 10, 7)
    carried = _compared(lambda port: port.carry(frames), pairs)
    megabytes = frames * len(FRAME) / MEGABYTE
    yield Row(
        "encrypted_frames_mb_per_s",
        megabytes / carried.median_candidate_s,
        megabytes / carried.median_baseline_s,
        carried.speed,
        f"ratio to plain >= {LEAST_SPEED}",
        carried.speed >= LEAST_SPEED,
    )
    dialled = _compared(lambda port: port.dial(dials), pairs)
    yield Row(
        "encrypted_dial_ms",
        dialled.median_candidate_s / dials * 1_000,
        dialled.median_baseline_s / dials * 1_000,
        1 / dialled.speed,
        f"ratio to plain <= {MOST_DIALLING:g}",
        1 / dialled.speed <= MOST_DIALLING,
    )


@dataclass(frozen=True)
class _Port:
    """A place to dial, and a connection that stands."""

    transport: WebSocketTransport
    address: PeerAddress
    accepted: AsyncIterator[Link]
    near: Link
    far: Link

    async def carry(self, frames: int) -> None:
        """Carries so many frames to the end that was dialled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_send(self.near, frames))
            for _ in range(frames):
                await self.far.receive()

    async def dial(self, times: int) -> None:
        """Makes so many connections, one after the other; far fewer than `HandshakePace` admits at once."""
        for _ in range(times):
            (await self.transport.dial(self.address)).abort()
            (await anext(self.accepted)).abort()


async def _send(link: Link, frames: int) -> None:
    for _ in range(frames):
        await link.send(FRAME)


async def _opened(stack: AsyncExitStack, encryption: Encryption) -> _Port:
    transport = await stack.enter_async_context(WebSocketTransport(encryption=encryption))
    listener = await stack.enter_async_context(transport.listen(HOST, 0))
    address, accepted = PeerAddress(HOST, listener.port), listener.links()
    near = await transport.dial(address)
    far = await anext(accepted)
    for link in (near, far):
        stack.callback(link.abort)
        link.open_up()
    return _Port(transport, address, accepted, near, far)


def _compared(program: Callable[[_Port], Awaitable[None]], pairs: int) -> Pairs:
    """The program with TLS against the same without."""

    async def run(port: _Port) -> None:
        await program(port)

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            encrypted = runner.run(_opened(stack, Encryption.ALWAYS))
            plain = runner.run(_opened(stack, Encryption.NEVER))
            return interleaved(lambda: runner.run(run(encrypted)), lambda: runner.run(run(plain)), pairs)
        finally:
            runner.run(stack.aclose())
