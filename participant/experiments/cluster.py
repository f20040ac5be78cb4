"""Has cells computed on a Dask cluster, the extra `dask`. Rows come back; the workers keep nothing."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Final

from engram.node.extras import install_command
from engram.participant.experiments.errors import LibraryMissing, SchedulerUnreachable
from engram.participant.experiments.scheduler import Schedule
from engram.participant.experiments.working import CellOutcome, CellTask, compute

CONNECT_S: Final = 20
"""How long the scheduler may take to answer."""


def cluster(address: str) -> Schedule:
    """The Dask scheduler at `address`, such as tcp://host:8786.

    Every worker has Engram installed and the data folder at the same path, and gives a task one thread:
    `dask worker --nthreads 1`. Raises `LibraryMissing`, `SchedulerUnreachable`.
    """
    if find_spec("distributed") is None:
        raise LibraryMissing(f"--scheduler needs Dask: {install_command('dask')}", got="distributed")

    def schedule(tasks: Sequence[CellTask]) -> Generator[CellOutcome, None, None]:
        from distributed import Client, as_completed

        try:
            client = Client(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise SchedulerUnreachable(got=address) from error
        with client:
            named = {client.submit(compute, replace(task, log=None), pure=False): task for task in tasks}
            for future in as_completed(list(named), loop=client.loop):
                task = named[future]
                if future.status == "finished":
                    yield future.result()
                else:
                    text = f"the cluster lost it: {future.exception()}"
                    yield CellOutcome(task.cell.name, 0.0, {}, text + "\n", text)
                future.release()

    return schedule
