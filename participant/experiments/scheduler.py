"""Has cells computed: here, each in a process of its own, or on a Dask cluster (`cluster.py`)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Final

from engram.participant.experiments.working import CellOutcome, CellTask, compute

PATIENCE_S: Final = 30.0
"""How long a process that is asked to stop may take to clear up."""
Schedule = Callable[[Sequence[CellTask]], Generator[CellOutcome, None, None]]
"""Has tasks computed, and yields their outcomes as they come; closing it stops what runs."""


def here(jobs: int) -> Schedule:
    """At most so many processes at one time, each for one cell, started afresh and with one numpy thread.

    They write to the files that their tasks name as logs.

    The caller has limited numpy to one thread in its environment, which the processes inherit. If the
    generator is closed before its end, they are stopped.
    """

    def schedule(tasks: Sequence[CellTask]) -> Generator[CellOutcome, None, None]:
        waiting, running = list(tasks), dict[Connection, tuple[CellTask, SpawnProcess]]()
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    task = waiting.pop(0)
                    receiver, process = _start(task)
                    running[receiver] = (task, process)
                for ready in wait(list(running)):
                    assert isinstance(ready, Connection), "only connections are waited for"
                    task, process = running[ready]
                    outcome = _outcome(task, ready, process)
                    del running[ready]
                    yield outcome
        finally:
            _stop([process for _, process in running.values()])

    return schedule


def _start(task: CellTask) -> tuple[Connection, SpawnProcess]:
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(task, sender), name=f"cell {task.cell.name}")
    process.start()
    sender.close()
    return receiver, process


def _work(task: CellTask, sender: Connection) -> None:
    # In a group of its own, so that Ctrl-C in the terminal reaches the parent alone, which then sends one.
    os.setpgrp()
    # A command that a script has started in the background ignores this signal, and its children would, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sender.send(compute(task))
    except KeyboardInterrupt:
        os._exit(128 + signal.SIGINT)


def _outcome(task: CellTask, receiver: Connection, process: SpawnProcess) -> CellOutcome:
    try:
        outcome = receiver.recv()
        assert isinstance(outcome, CellOutcome), "a worker sends its outcome and nothing else"
    except EOFError:
        process.join()
        text = f"its process ended with status {process.exitcode} before the cell was finished"
        outcome = CellOutcome(task.cell.name, 0.0, {}, text + "\n", text)
    receiver.close()
    process.join()
    return outcome


def _stop(processes: list[SpawnProcess]) -> None:
    for process in processes:
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, signal.SIGINT)
    for process in processes:
        process.join(PATIENCE_S)
        process.kill()
        process.join()
