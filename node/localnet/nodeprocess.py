"""One `engram run` in a process of its own, as a localnet handles it: started, stopped, killed, frozen.

Nothing is known of the node but its data directory and what it says there: settings go in by `engram.toml`,
its address comes back on its standard output, its log is appended to `node.log`.
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
from engram.node.keystore import write_private

LOG_NAME: Final = "node.log"
START_S: Final = 60.0
STOP_S: Final = 30.0
_TAIL_BYTES: Final = 64 * 1024


def run_command(data_dir: Path) -> list[str]:
    """The command line of a node that says where it listens in one line of JSON."""
    return [sys.executable, "-m", "engram.cli", "run", "--json", "--data-dir", str(data_dir)]


def environment_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without ENGRAM_* variables, which are meant for another node and would win over its
    file.
    """
    return {name: value for name, value in environment.items() if not name.startswith("ENGRAM_")}


def write_settings(data_dir: Path, **settings: object) -> None:
    """Writes engram.toml; in force from the node's next start."""
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
    write_private(data_dir / CONFIG_NAME, "".join(lines).encode())


def announced(line: bytes) -> RunInfo | None:
    """What a node says of itself in its first line, once it is ready; None for anything else."""
    try:
        return RunInfo(**json.loads(line))
    except (ValueError, TypeError):
        return None


def not_started(data_dir: Path, said: str) -> NodeFailed:
    """The error for a node that has not started: what it said instead, and the end of its log."""
    return NodeFailed(
        f"{data_dir.name} did not start\n{said}{tail(data_dir / LOG_NAME, 5)}", got=data_dir.name
    )


def tail(path: Path, lines: int) -> str:
    """The last lines of a text file; nothing where there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])


class NodeProcess:
    """A node on a data directory that already holds its chain.json."""

    def __init__(self, name: str, data_dir: Path) -> None:
        self.name: Final = name
        self.data_dir: Final = data_dir
        self.info: RunInfo | None = None
        """Where it listens, while it runs."""
        self.is_paused = False
        self._process: asyncio.subprocess.Process | None = None
        self._client: RpcClient | None = None

    @property
    def client(self) -> RpcClient:
        """An open client with the admin's token, while the node runs. Raises `NodeFailed` otherwise."""
        if self._client is None:
            raise NodeFailed(f"{self.name} does not run", got=self.name)
        return self._client

    @property
    def is_running(self) -> bool:
        """Started and not ended, frozen or not."""
        return self._client is not None and self._process is not None and self._process.returncode is None

    async def start(self) -> RunInfo:
        """Starts it and waits until it answers. Raises `NodeFailed` with the end of its log."""
        with (self.data_dir / LOG_NAME).open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *run_command(self.data_dir),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=environment_of(os.environ),
                start_new_session=True,  # Ctrl-C is for whoever started the network, who stops its nodes
            )
        try:
            self.info = await self._announced(self._process)
        except BaseException:
            await self.kill()
            raise
        self._client = await RpcClient.of_data_dir(self.info.rpc_url, self.data_dir).__aenter__()
        return self.info

    async def stop(self) -> int:
        """Ends it as an operator does; its exit status. Kills it where it does not end."""
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
        """Ends it as a power cut does."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            await self._ended(self._process)

    def pause(self) -> None:
        """Freezes it: it keeps its connections and answers nobody."""
        self.is_paused = True
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Ends the pause."""
        self.is_paused = False
        self._signal(signal.SIGCONT)

    def log_tail(self, lines: int = 20) -> str:
        """The last lines that the node wrote."""
        return tail(self.data_dir / LOG_NAME, lines)

    async def _announced(self, process: asyncio.subprocess.Process) -> RunInfo:
        """What the process says of itself once it is ready. Raises `NodeFailed`."""
        assert process.stdout is not None
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
