"""Feeds on a stream of JSON lines: {"row": [numbers], "label": number}, and a "name" if the class has one.

Lines that arrive together are learned together. A line that is damaged, or does not fit the model, is written
to a file with the reason and does not stop the stream.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from engram.node.files import write_private
from engram.participant.learn.errors import FeedInvalid
from engram.participant.memory.checks import check_features
from engram.participant.memory.fast_classes import ClassEntry, check_entry, check_free_labels
from engram.participant.notices import Notice, Report
from engram.primitives.errors import InvalidInput

MAX_LINE: Final = 4 << 20
BATCH: Final = 256
"""The most lines that are learned at once."""
WAITING: Final = 1_024
"""Lines that are read ahead; then the stream waits."""
REJECTED_BYTES: Final = 16 << 20
"""The file of damaged lines is put aside when it is larger, and the one put aside before is lost."""


@dataclass(frozen=True, eq=False)
class LabelledLine:
    """One labelled row."""

    row: Any
    """uint8 (inputs,)."""
    label: int
    name: str


Teach = Callable[[Any, Any, dict[int, str]], Awaitable[Any]]
"""Learns rows (n, inputs) with labels (n,), and names of labels."""


def parse_line(line: bytes, inputs: int) -> LabelledLine:
    """The row in a line.

    Raises `FeedInvalid`, `FeatureCountMismatch`, `FeaturesNotIntegers`, `DatasetLabelOutOfRange`,
    `ClassNameInvalid`.
    """
    if len(line) > MAX_LINE:
        raise FeedInvalid("the line is too long", expected=MAX_LINE, got=len(line))
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FeedInvalid(f"the line is no JSON: {error}") from error
    if not isinstance(content, dict) or not {"row", "label"} <= content.keys() <= {"row", "label", "name"}:
        raise FeedInvalid("the line is no object of row and label", expected='{"row": […], "label": n}')
    row, label, name = content["row"], content["label"], content.get("name", "")
    if not isinstance(row, list) or type(label) is not int or type(name) is not str:
        raise FeedInvalid("row is a list of numbers, label a whole number, name a text")
    checked = check_features(numbers_of([row]), inputs)
    named = check_free_labels(np.array([label]), 1)
    check_entry(ClassEntry(name))
    return LabelledLine(checked[0], int(named[0]), name)


def numbers_of(rows: list[Any]) -> Any:
    """Lists of numbers as an array; of type object, which every check refuses, if they are anything else."""
    try:
        found = np.array(rows)
    except ValueError:
        return np.zeros((len(rows), 0))
    return found if found.dtype.kind in "uif" else np.zeros((len(rows), 0))


class LineFeed:
    """A stream on which a participant feeds."""

    def __init__(self, stream: BinaryIO, inputs: int, teach: Teach, rejected: Path, report: Report) -> None:
        """`rejected` is the file for damaged lines."""
        self._stream = stream
        self._inputs = inputs
        self._teach = teach
        self._rejected = rejected
        self._report = report

    async def run(self) -> int:
        """Learns until the stream ends; how many lines were learned."""
        loop, lines = asyncio.get_running_loop(), asyncio.Queue[bytes](WAITING)
        threading.Thread(target=self._read, args=(loop, lines), daemon=True).start()
        learned = 0
        while line := await lines.get():
            batch = [line]
            with suppress(asyncio.QueueEmpty):
                while len(batch) < BATCH and batch[-1]:
                    batch.append(lines.get_nowait())
            learned += await self._learn([each for each in batch if each])
            if not batch[-1]:
                break
        self._report(Notice(f"the stream has ended after {learned} rows", "stream_ended", rows=learned))
        return learned

    def _read(self, loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[bytes]) -> None:
        """Reads in a thread, because a read of standard input cannot be cancelled; b"" is the end."""
        with suppress(RuntimeError):  # the program has ended, and its loop is closed
            while True:
                line = self._stream.readline(MAX_LINE + 2)
                if line.strip() or not line:
                    asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()
                if not line:
                    return

    async def _learn(self, batch: list[bytes]) -> int:
        good = []
        for line in batch:
            try:
                good.append(parse_line(line, self._inputs))
            except InvalidInput as error:
                await asyncio.to_thread(self._reject, line, error)
        if good:
            names = {each.label: each.name for each in good if each.name}
            rows, labels = np.stack([each.row for each in good]), np.array([each.label for each in good])
            await self._teach(rows, labels, names)
            self._report(Notice(f"learned {len(good)} lines", "lines_learned", rows=len(good)))
        return len(good)

    def _reject(self, line: bytes, error: InvalidInput) -> None:
        text = line[:MAX_LINE].decode("utf-8", "replace").rstrip("\n")
        record = json.dumps({"line": text, "reason": str(error), "code": error.code}) + "\n"
        if self._rejected.exists() and self._rejected.stat().st_size > REJECTED_BYTES:
            self._rejected.replace(self._rejected.with_suffix(".old"))
        if not self._rejected.exists():
            write_private(self._rejected, b"")
        with self._rejected.open("a", encoding="utf-8") as file:
            file.write(record)
        self._report(Notice(f"a line was not learned: {error}", "line_rejected", code=error.code))
