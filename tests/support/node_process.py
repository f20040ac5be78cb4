"""`engram run` as a real process on LevelDB and sockets: started, asked over RPC, stopped, killed.

What it logs goes to `node.log` in its data directory.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from engram.node.client import RpcClient

T = TypeVar("T")

PROGRAM: Final = (
    sys.executable,
    "-W",
    "error",
    "-c",
    "from engram.cli import main; main(prog_name='engram')",
)
"""`engram` of this tree with warnings as errors."""
LOG_NAME: Final = "node.log"
WAIT_S: Final = 600.0
"""No test depends on it: it turns a hang into a failure."""


def command(*words: str) -> list[str]:
    """The command line of `engram WORDS`."""
    return [*PROGRAM, *words]


def engram(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`engram WORDS`, run to its end."""
    return subprocess.run(
        command(*words),
        env={**os.environ, **environment},
        text=True,
        capture_output=True,
        timeout=WAIT_S,
        check=False,
    )


def refusal(*words: str, **environment: str) -> tuple[int, str]:
    """Exit status and code of `engram WORDS --json`, which fails."""
    result = engram(*words, "--json", **environment)
    assert result.returncode != 0, result.stdout
    assert "Traceback" not in result.stderr, result.stderr
    return result.returncode, str(json.loads(result.stdout)["error"]["code"])


class NodeCommand:
    """One node; after its end it can be started again on the same directory."""

    def __init__(
        self,
        data_dir: Path,
        *options: str,
        program: Sequence[str] = PROGRAM,
        ports: Sequence[str] = ("--rpc-port", "0", "--p2p-port", "0"),
    ) -> None:
        """`program` is what stands before the words of a command; `ports` are free ones unless it is said."""
        self.data_dir = data_dir
        self._program = program
        self._ports = ports
        self.options = options
        self.info: dict[str, Any] = {}
        """What it said of itself once it answered."""
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        return str(self.info["rpc_url"])

    @property
    def peer_address(self) -> str:
        return f"127.0.0.1:{self.info['p2p_port']}"

    @property
    def log(self) -> str:
        return (self.data_dir / LOG_NAME).read_text()

    def start(self, **environment: str) -> None:
        """Returns once the node answers."""
        words = ("run", "--json", "--data-dir", str(self.data_dir), *self._ports)
        with (self.data_dir / LOG_NAME).open("a") as log:
            self._process = subprocess.Popen(
                [*self._program, *words, *self.options],
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the node did not start:\n{self.log}"
        self.info = json.loads(line)
        assert "error" not in self.info, self.info

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> tuple[int, str]:
        """Exit status, and what it printed after it had started."""
        assert self._process is not None
        try:
            printed, _ = self._process.communicate(timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise AssertionError(f"the node did not end:\n{self.log}") from None
        status, self._process = self._process.returncode, None
        return status, printed

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends the node by a signal; its exit status."""
        self.send_signal(number)
        return self.wait()[0]

    def close(self) -> None:
        """Ends what still runs."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    def call(self, method: str, **params: Any) -> Any:
        """The result of one RPC request, with the token of the data directory."""
        return self.run(lambda client: client.call(method, **params))

    def run(self, action: Callable[[RpcClient], Awaitable[T]]) -> T:
        """What `action` gives with an open client."""

        async def with_client() -> T:
            async with asyncio.timeout(WAIT_S), RpcClient.of_data_dir(self.url, self.data_dir) as client:
                return await action(client)

        return asyncio.run(with_client())

    def wait_head(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first head of which this is true; woken by the node's events."""

        async def action(client: RpcClient) -> dict[str, Any]:
            async with client.subscribe("heads") as events:
                head: dict[str, Any] = await client.call("chain_head")
                while not wanted(head):
                    await anext(events)
                    head = await client.call("chain_head")
                return head

        try:
            return self.run(action)
        except TimeoutError:
            raise AssertionError(f"the head is {self.call('chain_head')}; the log:\n{self.log}") from None

    def wait_height(self, height: int) -> None:
        """Returns once the head has at least this height."""
        self.wait_head(lambda head: int(head["height"]) >= height)


@contextmanager
def processes(*nodes: NodeCommand) -> Iterator[Sequence[NodeCommand]]:
    """Starts the nodes one after another; none outlives the block."""
    try:
        for node in nodes:
            node.start()
        yield nodes
    finally:
        for node in nodes:
            node.close()
