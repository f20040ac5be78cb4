"""A node in a thread of its own, for programs that are no node but need one beside them.

Its event loop is its own, so a program that blocks, or runs another loop, does not stop it.
"""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog

from engram.consensus.chainspec import ChainSpec
from engram.node.concurrency import cause_of
from engram.node.config import Config
from engram.node.files import make_folder, open_log
from engram.node.node import Node
from engram.primitives.types import Address


@contextmanager
def running_node(
    config: Config, spec: ChainSpec, *, names: Mapping[Address, str] | None = None
) -> Iterator[Node]:
    """The node, answering; stopped and joined at the end. It mines while transactions wait or a round runs.

    `names` are what the program calls accounts on a chain for development, see `Node`.
    What it logs goes to `node.log` in its data directory: standard output is the program's. Raises what kept
    the node from starting, and at the end what ended it before its time.
    """
    make_folder(config.data_dir)
    with io.TextIOWrapper(open_log(config.data_dir / "node.log"), "utf-8", "backslashreplace") as stream:
        before = structlog.get_config()
        structlog.configure(logger_factory=structlog.WriteLoggerFactory(stream))
        try:
            thread = _NodeThread(Node(config, spec, mine_on_demand=True, names=names))
            thread.start()
            try:
                yield thread.wait_until_ready()
            finally:
                thread.stop()
        finally:
            structlog.configure(**before)


class _NodeThread(threading.Thread):
    def __init__(self, node: Node) -> None:
        super().__init__(name="node", daemon=True)
        self._node = node
        self._loop = asyncio.new_event_loop()
        self._answering = threading.Event()
        self._failure: BaseException | None = None

    def run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseExceptionGroup as group:
            self._failure = cause_of(group)
        except BaseException as error:  # handed to the thread that waits
            self._failure = error
        finally:
            self._answering.set()
            self._loop.close()

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._node.run())
            group.create_task(self._tell_answering())

    async def _tell_answering(self) -> None:
        await self._node.ready.wait()
        self._answering.set()

    def wait_until_ready(self) -> Node:
        self._answering.wait()
        self._raise_failure()
        return self._node

    def stop(self) -> None:
        if self.is_alive() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._node.stop)
        self.join()
        self._raise_failure()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
