"""Runs a node as the main task of a process: limits its BLAS threads and ends it on signals.

This module imports nothing that starts threads, so that `use_one_blas_thread` can still take effect.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from engram.node.supervisor import Supervisor

if TYPE_CHECKING:
    from engram.node.datadir import RunInfo
    from engram.node.node import Node

_BLAS_THREADS: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


def use_one_blas_thread() -> None:
    """Limits matrix products to one thread, unless the operator's environment says otherwise.

    It must be called before numpy is imported; afterwards it has no effect. The node verifies one block at a
    time, and the miner and the event loop run beside that: more threads would only compete with them.
    """
    for name in _BLAS_THREADS:
        os.environ.setdefault(name, "1")


def import_logging_alone() -> None:
    """Imports structlog without rich, which it would use to print errors in colours on a terminal.

    A node does not, and rich takes a tenth of the time of its start. It must be called while no other thread
    imports anything, and before structlog is imported; afterwards it has no effect. Whoever needs rich later
    gets it.
    """
    if "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # an import of it raises `ImportError`
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules["rich"]


def end_cleanly_until_it_runs() -> None:
    """Lets SIGTERM and SIGHUP end the process with status 0 while it only prepares to run a node.

    There is nothing to undo then. Once the node runs, `run_until_signal` stops it instead.
    """
    for number in stop_signals():
        if number is not signal.SIGINT:
            signal.signal(number, _end)


def _end(number: int, frame: object) -> None:
    raise SystemExit(0)


def stop_signals() -> list[signal.Signals]:
    """The signals that stop a program, less the ignored: `nohup` has it ignore SIGHUP, and so it must."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


async def run_until_signal(node: Node, ready: Callable[[RunInfo], None]) -> None:
    """Runs the node until SIGINT, SIGTERM or SIGHUP stops it; a second signal ends the process at once.

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

    obeyed = stop_signals()
    for number in obeyed:
        loop.add_signal_handler(number, stop, number)
    try:
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(announce()), group.create_task(supervisor.show_life())]
            await node.run()
            for task in beside:
                task.cancel()
    finally:
        for number in obeyed:
            loop.remove_signal_handler(number)
