"""A node as a process of its own: its threads, its signals, its end. Imports nothing that starts threads."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from engram.node.datadir import RunInfo
    from engram.node.node import Node

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_BLAS_THREADS: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


def use_one_blas_thread() -> None:
    """One thread for matrix products, unless the operator's environment says otherwise.

    Takes effect before numpy is imported only. Blocks are verified one at a time beside miner and event loop:
    more threads would take turns with those.
    """
    for name in _BLAS_THREADS:
        os.environ.setdefault(name, "1")


async def run_until_signal(node: Node, ready: Callable[[RunInfo], None]) -> None:
    """Runs the node until SIGINT or SIGTERM stops it; a second signal ends the process at once.

    `ready` is told where the node answers. Raises what `Node.run` raises.
    """
    loop = asyncio.get_running_loop()
    stopping = False

    def stop(number: signal.Signals) -> None:
        nonlocal stopping
        if stopping:
            os._exit(128 + number)  # what is on disk is whole at every moment
        stopping = True
        node.stop()

    async def announce() -> None:
        await node.ready.wait()
        assert node.info is not None
        ready(node.info)

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        async with asyncio.TaskGroup() as group:
            announcement = group.create_task(announce())
            await node.run()
            announcement.cancel()
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
