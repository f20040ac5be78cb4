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


PREPARES = """
import signal
from engram.node.process import end_cleanly_until_it_runs

end_cleanly_until_it_runs()
print("preparing, SIGHUP", signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN, flush=True)
while True:
    signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_node_that_is_stopped_while_it_prepares_ends_cleanly(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PREPARES], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "preparing, SIGHUP True\n"
        process.send_signal(number)
        assert process.wait() == 0


def test_under_nohup_the_end_of_the_terminal_stops_nothing() -> None:
    command = ["nohup", sys.executable, "-c", PREPARES]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "preparing, SIGHUP False\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_node_at_once(second: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", HANGS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(second)
        assert process.wait() == 128 + second
