"""The signals of a node's process, where a clean stop takes for ever."""

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


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_node_at_once(second: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", HANGS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(second)
        assert process.wait() == 128 + second
