"""Programs as a user starts them, for benchmarks: Engram's node and those that it is compared with."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ENGRAM: Final = Path(sys.executable).with_name("engram")
ANSWER_S: Final = 30.0
"""Seconds after which a program that has not answered, or not ended, is broken."""
LIBRARIES: Final = "import numpy, aiohttp"
"""Most of what a node has to load. A Python that does just this says how fast the machine is."""


@dataclass(frozen=True)
class NodeProcess:
    """A process of `engram run`."""

    process: subprocess.Popen[str]
    url: str
    folder: Path


@contextmanager
def dev_node(*options: str) -> Iterator[NodeProcess]:
    """Runs `engram run --dev` in a new folder, and stops it as a service manager does."""
    with (
        tempfile.TemporaryDirectory(prefix="engram-bench-") as folder,
        node_process(Path(folder), "--dev", *options) as node,
    ):
        yield node


@contextmanager
def node_process(folder: Path, *options: str) -> Iterator[NodeProcess]:
    """Runs `engram run` on a data directory, and stops it as a service manager does."""
    command = [str(ENGRAM), "run", "--json", "--data-dir", str(folder), *options]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as log,
        subprocess.Popen(
            [*command, "--rpc-port", "0", "--p2p-port", "0"], stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        assert process.stdout is not None, "a pipe was asked for"
        line = process.stdout.readline()
        if not line:
            log.seek(0)
            raise RuntimeError(f"the node did not start: {log.read()}")
        try:
            yield NodeProcess(process, json.loads(line)["rpc_url"], folder)
        finally:
            process.send_signal(signal.SIGTERM)  # SIGINT is ignored in the background of a shell
            process.wait(ANSWER_S)


@contextmanager
def rpc_server(command: Sequence[str], port_option: str, method: str) -> Iterator[str]:
    """Runs another program's JSON-RPC server on a free port until it answers `method`; gives its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen(
        [*command, port_option, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            give_up_s = time.monotonic() + ANSWER_S
            while True:
                try:
                    ask(url, method)
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > give_up_s:
                        raise RuntimeError(f"{command[0]} did not start") from None
                    time.sleep(0.002)
            yield url
        finally:
            process.terminate()
            process.wait(ANSWER_S)


def ask(url: str, method: str, params: object = ()) -> Any:
    """The result of one JSON-RPC request over a connection of its own."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
        return json.load(answer)["result"]


def python(program: str) -> str:
    """What another Python prints that runs this program."""
    return output([sys.executable, "-c", program])


def output(command: Sequence[str]) -> str:
    """What a program prints, which has to succeed."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
