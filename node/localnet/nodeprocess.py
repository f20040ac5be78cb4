"""One `engram run` in a process of its own, which a localnet starts, stops, kills and freezes.

The localnet handles a node as an operator does. It writes the node's settings to `engram.toml`, reads the
node's address from the first line of its standard output, and appends its log to `node.log` in the data
directory.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from engram.node.client import RpcClient
from engram.node.config import CONFIG_NAME
from engram.node.datadir import RunInfo
from engram.node.errors import NodeFailed
from engram.node.files import open_log, write_private

LOG_NAME: Final = "node.log"
START_S: Final = 300.0
STOP_S: Final = 120.0
_TAIL_BYTES: Final = 64 * 1024


def run_command(data_dir: Path) -> list[str]:
    """The command line that starts a node; the node then prints where it listens in one line of JSON."""
    return [sys.executable, "-m", "engram.cli", "run", "--json", "--data-dir", str(data_dir)]


def environment_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without ENGRAM_* variables, which would take precedence over the node's engram.toml."""
    return {name: value for name, value in environment.items() if not name.startswith("ENGRAM_")}


def write_settings(data_dir: Path, **settings: object) -> None:
    """Writes engram.toml. The settings take effect at the node's next start."""
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
    write_private(data_dir / CONFIG_NAME, "".join(lines).encode())


def announced(line: bytes) -> RunInfo | None:
    """Where a node listens, read from the first line that it prints; None if the line says something else."""
    try:
        return RunInfo(**json.loads(line))
    except (ValueError, TypeError):
        return None


def not_started(data_dir: Path, said: str) -> NodeFailed:
    """The error for a node that has not started, with what it printed and the end of its log."""
    return NodeFailed(
        f"{data_dir.name} did not start\n{said}{tail(data_dir / LOG_NAME, 5)}", got=data_dir.name
    )


def tail(path: Path, lines: int) -> str:
    """The last lines of a text file; empty if there is no such file."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])


class NodeProcess:
    """The process of one node. Its data directory must already hold a chain.json."""

    def __init__(self, name: str, data_dir: Path) -> None:
        self.name: Final = name
        self.data_dir: Final = data_dir
        self.info: RunInfo | None = None
        """Where the node listens; None while it does not run."""
        self.is_paused = False
        self._process: asyncio.subprocess.Process | None = None
        self._client: RpcClient | None = None

    @property
    def client(self) -> RpcClient:
        """An open client that may call admin methods. Raises `NodeFailed` if the node does not run."""
        if self._client is None:
            raise NodeFailed(f"{self.name} does not run", got=self.name)
        return self._client

    @property
    def is_running(self) -> bool:
        """Whether the process was started and has not ended. A paused node counts as running."""
        return self._client is not None and self._process is not None and self._process.returncode is None

    async def start(self) -> RunInfo:
        """Starts the node and waits until it answers. Raises `NodeFailed` with the end of its log."""
        with open_log(self.data_dir / LOG_NAME) as log:
            self._process = await asyncio.create_subprocess_exec(
                *run_command(self.data_dir),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=environment_of(os.environ),
                start_new_session=True,  # Ctrl-C must reach the localnet only, which then stops its nodes
            )
        try:
            self.info = await self._announced(self._process)
        except BaseException:
            await self.kill()
            raise
        self._client = await RpcClient.of_data_dir(self.info.rpc_url, self.data_dir).__aenter__()
        return self.info

    async def stop(self) -> int:
        """Ends the node by SIGTERM, or after `STOP_S` seconds by SIGKILL, and returns its exit status."""
        process = self._process
        if process is None:
            return 0
        self.resume()
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
        return await self._ended(process)

    async def kill(self) -> None:
        """Kills the node by SIGKILL, which is like a power cut to it."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            await self._ended(self._process)

    def pause(self) -> None:
        """Freezes the node: it keeps its connections but answers nobody."""
        self.is_paused = True
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a paused node go on."""
        self.is_paused = False
        self._signal(signal.SIGCONT)

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of the node's log."""
        return tail(self.data_dir / LOG_NAME, lines)

    async def _announced(self, process: asyncio.subprocess.Process) -> RunInfo:
        """Where the node listens, once it has printed that. Raises `NodeFailed`."""
        assert process.stdout is not None, "the process was started with a pipe"
        try:
            line = await asyncio.wait_for(process.stdout.readline(), START_S)
        except TimeoutError:
            raise not_started(self.data_dir, "") from None
        if (info := announced(line)) is None:
            said = (line + await process.stdout.read()).decode("utf-8", "replace")
            raise not_started(self.data_dir, said)
        return info

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        status = await process.wait()
        client, self._client = self._client, None
        self._process = self.info = None
        self.is_paused = False
        if client is not None:
            await client.__aexit__(None, None, None)
        return status

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
