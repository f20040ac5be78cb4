"""A node in a process of its own, from which benchmarks sync: `python -m benchmarks.source_node FOLDER`.

It serves the chain of a data directory and prints its port in one line. It ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from benchmarks.chain import COIN, easy_spec, key
from benchmarks.nodes import node_setup, running_node
from engram.consensus.chainspec import Allocation, ChainSpec

ALICE: Final = key(3)
PURSE: Final = 100_000 * COIN


def source_spec() -> ChainSpec:
    """The chain that is synced: Alice has enough to fill every block of it."""
    return replace(easy_spec(ALICE), allocations=(Allocation(ALICE.address, PURSE),))


@contextmanager
def source_node(folder: Path) -> Iterator[int]:
    """Runs such a process; gives the port at which it answers peers."""
    command = [sys.executable, "-m", "benchmarks.source_node", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None, "a pipe was asked for"
        assert process.stdout is not None, "a pipe was asked for"
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError("the node to sync from did not start")
            yield int(line)
        finally:
            process.stdin.close()
            process.wait()


async def _serve(folder: Path) -> None:
    with structlog.testing.capture_logs():
        async with running_node(source_spec(), node_setup(folder)) as node:
            print(node.peers.port, flush=True)
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
