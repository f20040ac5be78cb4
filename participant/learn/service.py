"""Runs a learner as a program: its feeds, its endpoint, and a clean end at a signal."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import psutil

from engram.consensus.chainspec import spec_id
from engram.node.datadir import RunInfo, load_token, remove_run_info, write_run_info
from engram.node.process import stop_signals
from engram.participant.learn.endpoint import LearnEndpoint
from engram.participant.learn.feed import FolderFeed
from engram.participant.learn.learner import Learner
from engram.participant.learn.lines import LineFeed
from engram.participant.notices import Notice, Report
from engram.primitives.errors import StorageError

POLL_S: Final = 2.0
"""A folder is looked at again after so many seconds."""
REJECTED_LINES: Final = "rejected-lines.jsonl"


class LearnService:
    """A learner with its feeds and its endpoint."""

    def __init__(
        self,
        learner: Learner,
        own: Path,
        report: Report,
        *,
        folders: Sequence[Path] = (),
        stream: BinaryIO | None = None,
        port: int = 0,
        keeps: bool = False,
    ) -> None:
        """`own` is the learner's own folder, in which `run.json` says where it answers.

        Raises `FeedFolderMissing`.
        """
        self._learner = learner
        self._own = own
        self._report = report
        self._feeds = [FolderFeed(folder, learner.take, report, keeps=keeps) for folder in folders]
        self._stream = stream
        self.endpoint: Final = LearnEndpoint(learner, load_token(own), port)

    async def run(self) -> None:
        """Runs until it is cancelled. Raises what `Learner.run` and `LearnEndpoint.run` raise."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.endpoint.run())
                group.create_task(self._announce())
                group.create_task(self._learner.run())
                for feed in self._feeds:
                    group.create_task(self._feed(feed))
                if self._stream is not None:
                    group.create_task(self._lines(self._stream))
        finally:
            remove_run_info(self._own)

    async def _announce(self) -> None:
        await self.endpoint.serving.wait()
        trust, process = self._learner.memories.slow.trust, psutil.Process()
        info = RunInfo(
            *(process.pid, self.endpoint.url, self.endpoint.port, 0, trust.model.hex(), trust.spec.name),
            *(spec_id(trust.spec).hex(), process.create_time()),
        )
        write_run_info(self._own, info)
        self._report(Notice(f"answers at {self.endpoint.url}", "answering", url=self.endpoint.url))

    async def _feed(self, feed: FolderFeed) -> None:
        while True:
            try:
                await feed.look()
            except StorageError as error:
                self._report(Notice(f"{error}; it is tried again", "feed_failed", code=error.code))
            await asyncio.sleep(POLL_S)

    async def _lines(self, stream: BinaryIO) -> None:
        rejected = self._own / REJECTED_LINES
        await LineFeed(
            stream, self._learner.memories.inputs, self._learner.learn, rejected, self._report
        ).run()


async def until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Runs until the work ends, or SIGINT or SIGTERM stops it; a second signal ends the process at once.

    What is on the disk is complete at every moment. Raises what the work raises.
    """
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
    stopping = False

    def stop(number: signal.Signals) -> None:
        nonlocal stopping
        if stopping:
            os._exit(128 + number)
        stopping = True
        task.cancel()

    obeyed = stop_signals()
    for number in obeyed:
        loop.add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not stopping:
            raise
    finally:
        for number in obeyed:
            loop.remove_signal_handler(number)
