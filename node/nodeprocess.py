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
from contextlib import suppress
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

    @property
    def pid(self) -> int:
        """The process's id. Raises `NodeFailed` where there is none."""
        if self._process is None:
            raise NodeFailed(f"{self.name} was not started", got=self.name)
        return self._process.pid

    def configure(self, **settings: object) -> None:
        """Writes the node's settings, in force from the next start."""
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
        write_private(self.data_dir / CONFIG_NAME, "".join(lines).encode())

    async def start(self, environment: dict[str, str] | None = None) -> RunInfo:
        """Starts it and waits until it answers. Raises `NodeFailed` with the end of its log."""
        with (self.data_dir / LOG_NAME).open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "engram.cli", "run", "--json", "--data-dir", str(self.data_dir)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, **(environment or {})},
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
        path = self.data_dir / LOG_NAME
        if not path.is_file():
            return ""
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-lines:])

    async def _announced(self, process: asyncio.subprocess.Process) -> RunInfo:
        """What the process says of itself once it is ready."""
        assert process.stdout is not None
        line = b""
        with suppress(TimeoutError):
            line = await asyncio.wait_for(process.stdout.readline(), START_S)
        try:
            return RunInfo(**json.loads(line))
        except (ValueError, TypeError):
            raise NodeFailed(
                f"{self.name} did not start: {line!r} {self.log_tail(5)}", got=self.name
            ) from None

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
