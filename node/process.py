"""Runs a node as the main task of a process: limits its BLAS threads and ends it on signals.

This module imports nothing that starts threads, so that `use_one_blas_thread` can still take effect.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from engram.node.supervisor import Supervisor

if TYPE_CHECKING:
    from engram.node.datadir import RunInfo
    from engram.node.node import Node

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_BLAS_THREADS: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


def use_one_blas_thread() -> None:
    """Limits matrix products to one thread, unless the operator's environment says otherwise.

    It must be called before numpy is imported; afterwards it has no effect. The node verifies one block at a
    time, and the miner and the event loop run beside that: more threads would only compete with them.
    """
    for name in _BLAS_THREADS:
        os.environ.setdefault(name, "1")


async def run_until_signal(node: Node, ready: Callable[[RunInfo], None]) -> None:
    """Runs the node until SIGINT or SIGTERM stops it; a second signal ends the process at once.

    The service manager is told when it is ready and when it stops. `ready` is called once, when clients and
    peers can connect, with the addresses of the node. Raises what `Node.run` raises.
    """
    loop = asyncio.get_running_loop()
    supervisor = Supervisor(os.environ)
    stopping = False

    def stop(number: signal.Signals) -> None:
        nonlocal stopping
        if stopping:
            os._exit(128 + number)  # safe: the files on disk are complete at every moment
        stopping = True
        supervisor.tell(STOPPING="1")
        node.stop()

    async def announce() -> None:
        await node.ready.wait()
        assert node.info is not None, "a node sets it before it is ready"
        ready(node.info)
        supervisor.tell(READY="1", STATUS=f"answers at {node.info.rpc_url}")

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(announce()), group.create_task(supervisor.show_life())]
            await node.run()
            for task in beside:
                task.cancel()
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
