"""A node's process: its BLAS threads, and its signals where a clean stop takes for ever."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from engram.node.supervisor import Supervisor

HANGS = """
import asyncio
from types import SimpleNamespace
from engram.node.process import run_until_signal

class Hanging:
    ready = asyncio.Event()
    info = SimpleNamespace(rpc_url="ready")

    async def run(self):
        self.ready.set()
        await asyncio.Event().wait()

    def stop(self):
        print("stopping", flush=True)

asyncio.run(run_until_signal(Hanging(), lambda info: print(info.rpc_url, flush=True)))
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


LOGS = """
import sys
import engram.commands.run
from engram.node.process import import_logging_alone
import_logging_alone()
import engram.node.node
print(*(name for name in ("structlog", "rich", "pygments") if name in sys.modules))
import rich.console
import_logging_alone()
print(sys.modules["rich"].__name__)
"""


def test_a_node_loads_nothing_that_draws_on_terminals_and_others_get_it_later() -> None:
    assert subprocess.check_output([sys.executable, "-c", LOGS], text=True).split() == ["structlog", "rich"]


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


def test_the_service_manager_hears_of_readiness_life_and_the_end(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000"}
        with subprocess.Popen([sys.executable, "-c", HANGS], env={**os.environ, **told}) as process:
            heard = {manager.recv(4096) for _ in range(3)}
            while b"READY=1\nSTATUS=answers at ready" not in heard or b"WATCHDOG=1" not in heard:
                heard.add(manager.recv(4096))
            process.send_signal(signal.SIGTERM)
            while manager.recv(4096) != b"STOPPING=1":
                pass
            process.kill()


def test_without_a_service_manager_nothing_is_told(tmp_path: Path) -> None:
    Supervisor({}).tell(READY="1")
    Supervisor({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell(READY="1")
    Supervisor({"NOTIFY_SOCKET": "@engram-test-gone"}).tell(READY="1")
    assert Supervisor({"WATCHDOG_USEC": "-1"}).alive_every_s == 0
    assert Supervisor({"WATCHDOG_USEC": "3000000"}).alive_every_s == 1.5
