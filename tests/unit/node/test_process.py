"""A node's process: its BLAS threads, and its signals where a clean stop takes for ever."""

import os
import signal
import subprocess
import sys

import pytest

HANGS = """
import asyncio
from engram.node.process import run_until_signal

class Hanging:
    ready = asyncio.Event()
    info = "ready"

    async def run(self):
        self.ready.set()
        await asyncio.Event().wait()

    def stop(self):
        print("stopping", flush=True)

asyncio.run(run_until_signal(Hanging(), lambda info: print(info, flush=True)))
"""

THREADS = """
import sys
import engram.commands.run
from engram.node.process import use_one_blas_thread
assert "numpy" not in sys.modules
use_one_blas_thread()
import numpy, psutil
print(psutil.Process().num_threads())
"""


@pytest.mark.skipif(os.cpu_count() == 1, reason="one processor gets one thread in any case")
def test_one_blas_thread_unless_the_operator_says_otherwise() -> None:
    def threads(**environment: str) -> int:
        inherited = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
        command = [sys.executable, "-c", THREADS]
        return int(subprocess.check_output(command, env={**inherited, **environment}))

    assert threads() == 1
    assert threads(OPENBLAS_NUM_THREADS="2") == 2


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_node_at_once(second: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", HANGS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(second)
        assert process.wait() == 128 + second
