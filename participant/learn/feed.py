"""Feeds on a folder: every file that is put there is learned once and then removed, or kept aside if damaged.

A file must arrive in one step, by a rename within one file system: write it under a name that begins with a
dot or ends in `.part` or `.tmp`, which is not looked at, and rename it. Its name in the journal is the hash
of its content, so the same rows are learned once, however often the file is delivered.

A file that is no data set, or whose rows do not fit the model, goes to `rejected/`, with the reason as text
beside it. Nothing in that folder is ever removed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from engram.node.files import write_private
from engram.participant.datasets import Dataset, load_source
from engram.participant.learn.errors import FeedFolderMissing
from engram.participant.memory.disk import disk_errors
from engram.participant.notices import Notice, Report
from engram.participant.tables.examining import refuse_doubtful
from engram.participant.tables.raw import ReadOptions
from engram.primitives.errors import InvalidInput
from engram.primitives.types import Hash

REJECTED: Final = "rejected"
TAKEN: Final = "taken"
UNFINISHED: Final = (".part", ".tmp", "~")
_PIECE: Final = 2**20
_LAYOUT: Final = ReadOptions(hint="last")
"""Nobody is there to be asked: without titles, the last column holds the labels."""

Take = Callable[[Hash, Dataset], Awaitable[int | None]]
"""Learns a batch exactly once; how many rows it has, or None if it was learned before."""


class FolderFeed:
    """A folder on which a participant feeds."""

    def __init__(self, folder: Path, take: Take, report: Report, *, keeps: bool = False) -> None:
        """`keeps` moves files that were learned to `taken/` instead of removing them.

        Raises `FeedFolderMissing`.
        """
        if not folder.is_dir():
            raise FeedFolderMissing(f"there is no folder {folder}", got=str(folder))
        self._folder = folder
        self._take = take
        self._report = report
        self._keeps = keeps

    async def look(self) -> int:
        """Takes in every file that is there now, by name; how many files it has dealt with.

        Raises `DiskFull`, `DiskFailure`, and what the fast memory's disk refuses; the file then stays.
        """
        files = await asyncio.to_thread(self._waiting)
        for path in files:
            await self._feed(path)
        return len(files)

    def _waiting(self) -> list[Path]:
        with disk_errors(self._folder):
            return sorted(
                path
                for path in self._folder.iterdir()
                if path.is_file() and not path.name.startswith(".") and not path.name.endswith(UNFINISHED)
            )

    async def _feed(self, path: Path) -> None:
        try:
            with disk_errors(self._folder):
                name = await asyncio.to_thread(digest_of, path)
            data, doubts = await asyncio.to_thread(load_source, str(path), _LAYOUT)
            guesses = [doubt for doubt in doubts if doubt.code == "label_guessed"]
            refuse_doubtful(path.name, guesses, "give the column with the labels the title `label`")
            rows = await self._take(name, data)
        except InvalidInput as error:
            await asyncio.to_thread(self._reject, path, error)
            return
        await asyncio.to_thread(self._done, path)
        if rows is None:
            text = f"{path.name} was learned before and is not learned again"
            self._report(Notice(text, "fed_again", file=path.name))
        else:
            self._report(Notice(f"learned {rows} rows of {path.name}", "fed", file=path.name, rows=rows))

    def _done(self, path: Path) -> None:
        with disk_errors(self._folder):
            if self._keeps:
                self._move(path, TAKEN)
            else:
                path.unlink(missing_ok=True)

    def _reject(self, path: Path, error: InvalidInput) -> None:
        with disk_errors(self._folder):
            target = self._free(path, REJECTED)
            write_private(target.with_name(target.name + ".reason"), f"{error} [{error.code}]\n".encode())
            os.rename(path, target)
        text = f"{path.name} was not learned and is in {REJECTED}/: {error}"
        self._report(Notice(text, "rejected", file=path.name, code=error.code))

    def _move(self, path: Path, folder: str) -> None:
        os.rename(path, self._free(path, folder))

    def _free(self, path: Path, folder: str) -> Path:
        """A free name in a folder of its own, which is made if there is none."""
        target = self._folder / folder / path.name
        target.parent.mkdir(exist_ok=True, mode=0o700)
        number = 0
        while target.exists():
            number += 1
            target = target.with_name(f"{number}-{path.name}")
        return target


def digest_of(path: Path) -> Hash:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.digest()
