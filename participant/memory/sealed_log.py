"""An append-only log of sealed records in bounded files, which can be replaced as a whole in one step.

A folder holds one **generation** of the log, `NNNNNN/`, with files `NNNNNN.sealed`. A file is

    head     magic (16) ‖ salt (32) ‖ generation (u32) ‖ file (u32) ‖ last (16) ‖ mark (16) ‖ check (8)
    records  length (u32) ‖ nonce (12) ‖ check (4) ‖ sealed (length) ‖ bytes 0xFF up to a multiple of 32

in big-endian integers. The salt is random, so every file has a key of its own (`node.sealing`). A nonce is
the record's place in its file (u32) and 8 random bytes: two records of a file never share one, also not where
a record was cut off and another one took its place. `last` is the tag of the last record of the file before.
A record is sealed together with the head of its file, its place and the tag of the record before it. So no
record can be changed, moved, or taken out from between others. That the newest records were cut off at the
border of a record, or that a whole older folder was put back, cannot be seen.

The checks are parts of hashes and need no key: they tell a damaged length from a torn record. A record is on
disk when `append` returns. A crash can only tear the last record of the last file, which nobody was told of;
`open_log` drops it.

Rewriting makes a new generation beside the old one and renames it in one step; then the old files are
removed. What a file system or a drive keeps of removed files is still sealed.
"""

from __future__ import annotations

import os
import secrets
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from engram.node.errors import SealBroken
from engram.node.sealing import MARK_BYTES, NONCE_BYTES, TAG_BYTES, Sealer
from engram.participant.memory.disk import Disk, disk_errors
from engram.participant.memory.errors import FastMemoryBroken, FastMemoryDamaged, FastMemoryKeyWrong
from engram.participant.memory.sealed_format import (
    CHECK_BYTES,
    FIRST_TAG,
    HEAD_BYTES,
    LEFTOVER,
    MAGIC,
    MAX_FILE_BYTES,
    MAX_RECORD_BYTES,
    PURPOSE,
    RECORD_HEAD_BYTES,
    SALT_BYTES,
    SealedFile,
    aligned,
    belongs,
    folder_name,
    generations,
    is_torn,
    record_head,
    short_hash,
)
from engram.primitives.errors import StorageError
from engram.primitives.keys import PrivateKey


class SealedLog:
    """The log of a folder; `open_log` and `create_log` make it. One process at a time may use a folder."""

    def __init__(self, folder: Path, key: PrivateKey, disk: Disk, max_file_bytes: int) -> None:
        self.folder: Final = folder
        self.generation = 0
        self.size_bytes = 0
        """Of all files."""
        self.dropped_bytes = 0
        """What a crash had left of a record that nobody was told of."""
        self._key = key
        self._disk = disk
        self._max_file_bytes = max_file_bytes
        self._number = 0
        self._file: SealedFile | None = None
        self._descriptor = -1
        self._failure: StorageError | None = None

    def append(self, content: bytes) -> None:
        """Writes a record, which is on disk when this returns.

        Raises `DiskFull` and `DiskFailure`; the log is then what it was before. If not even that could be
        made sure of, this and every later call raise `FastMemoryBroken`.
        """
        if self._failure is not None:
            raise self._failure
        assert self._file is not None, "a log has a file before anything is appended"
        before, number, descriptor = self._file, self._number, self._descriptor
        size = before.size
        try:
            with disk_errors(self.folder):
                self._append(content)
        except StorageError:
            self._restore(before, number, descriptor, size)
            raise
        except BaseException:
            self.give_up("it was interrupted")
            raise
        if self._descriptor != descriptor:
            os.close(descriptor)

    def rewrite(self, contents: Iterable[bytes]) -> None:
        """Replaces everything by these records, in one step; there must be one at least.

        When it returns, the old files are gone. Raises `DiskFull` and `DiskFailure`: if `generation` is what
        it was, everything is as before; if not, the new records stand, and the next opening removes what is
        left of the old ones. Raises `FastMemoryBroken` as `append` does.
        """
        if self._failure is not None:
            raise self._failure
        fresh = SealedLog(self.folder, self._key, self._disk, self._max_file_bytes)
        fresh.generation = self.generation + 1
        try:
            with disk_errors(self.folder):
                fresh._write_new(contents)
        except BaseException as error:
            fresh.close()
            if not isinstance(error, StorageError):
                self.give_up("it was interrupted")
            raise
        old = self.folder / folder_name(self.generation)
        self.close()
        self.generation, self.size_bytes = fresh.generation, fresh.size_bytes
        self._number, self._file, self._descriptor = fresh._number, fresh._file, fresh._descriptor
        try:
            with disk_errors(self.folder):
                self._disk.sync_folder(self.folder)
        except BaseException:
            self.give_up("the disk did not confirm a new name")
            raise
        with disk_errors(self.folder):
            _remove_folder(self._disk, old)
            self._disk.sync_folder(self.folder)

    def give_up(self, reason: str | None) -> None:
        """Refuses everything until the log is opened again, because files and memory may differ."""
        self._failure = FastMemoryBroken(got=reason)

    def close(self) -> None:
        """Gives the file back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write_new(self, contents: Iterable[bytes]) -> None:
        """Writes a generation under a temporary name, and renames it when it is whole.

        The new name is on the disk when the caller has synced the folder.
        """
        temporary, final = (self.folder / (folder_name(self.generation) + end) for end in (".new", ""))
        _remove_folder(self._disk, temporary)
        self._disk.make_folder(temporary)
        try:
            self._start(temporary, 0, FIRST_TAG)
            for content in contents:
                before = self._descriptor
                self._append(content, sync=False)
                if self._descriptor != before:
                    os.close(before)
            self._disk.sync(self._descriptor)
            self._disk.sync_folder(temporary)
            self._disk.rename(temporary, final)
        except OSError:
            with suppress(OSError):
                _remove_folder(self._disk, temporary)
            raise
        assert self._file is not None, "the generation has been started"
        self._file.path = final / self._file.path.name

    def _append(self, content: bytes, *, sync: bool = True) -> None:
        assert self._file is not None, "a log has a file before anything is appended"
        assert len(content) <= MAX_RECORD_BYTES, "callers bound what they append at once"
        whole = aligned(RECORD_HEAD_BYTES + len(content) + TAG_BYTES)
        if self._file.records and self._file.size + whole > self._max_file_bytes:
            if not sync:
                self._disk.sync(self._descriptor)
            self._start(self._file.path.parent, self._number + 1, self._file.tag)
        file = self._file
        nonce = file.records.to_bytes(4, "big") + secrets.token_bytes(NONCE_BYTES - 4)
        length = len(content) + TAG_BYTES
        sealed = file.sealer.seal(nonce, content, belongs(file, length))
        record = (record_head(file, length, nonce) + sealed).ljust(whole, b"\xff")
        self._disk.write(self._descriptor, record, file.size)
        if sync:
            self._disk.sync(self._descriptor)
        file.size += whole
        file.records += 1
        file.tag = sealed[-TAG_BYTES:]
        self.size_bytes += whole

    def _start(self, folder: Path, number: int, last: bytes) -> None:
        """Begins a file. The one before it stays open, in case this has to be undone."""
        salt, path = secrets.token_bytes(SALT_BYTES), folder / f"{number:06d}.sealed"
        sealer = Sealer(self._key, salt, PURPOSE)
        body = MAGIC + salt + struct.pack(">II", self.generation, number) + last + sealer.mark
        head = body + short_hash(body, CHECK_BYTES)
        descriptor = self._disk.create(path)
        try:
            self._disk.write(descriptor, head, 0)
            self._disk.sync(descriptor)
            self._disk.sync_folder(folder)
        except OSError:
            os.close(descriptor)
            with suppress(OSError):
                self._disk.remove(path)
            raise
        self._number, self._descriptor = number, descriptor
        self._file = SealedFile(path, head, sealer, last)
        self.size_bytes += HEAD_BYTES

    def _restore(self, before: SealedFile, number: int, descriptor: int, size: int) -> None:
        """Undoes a record that could not be written."""
        try:
            if self._descriptor != descriptor:
                assert self._file is not None, "a new file was begun"
                os.close(self._descriptor)
                self.size_bytes -= HEAD_BYTES
                started = self._file.path
                self._file, self._number, self._descriptor = before, number, descriptor
                self._disk.remove(started)
                self._disk.sync_folder(started.parent)
            else:
                self._disk.truncate(descriptor, size)
                self._disk.sync(descriptor)
        except OSError as error:
            self.give_up(error.strerror)


def create_log(
    folder: Path,
    key: PrivateKey,
    contents: Iterable[bytes],
    *,
    disk: Disk,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> SealedLog:
    """A new log in an existing folder that holds none, with these first records; whole or absent after a
    crash. Raises `DiskFull`, `DiskFailure`.
    """
    log = SealedLog(folder, key, disk, max_file_bytes)
    log.generation = 1
    try:
        with disk_errors(folder):
            log._write_new(contents)
            disk.sync_folder(folder)
    except BaseException:
        log.close()
        raise
    return log


def log_exists(folder: Path) -> bool:
    """Whether a folder holds a log."""
    return bool(generations(folder))


def open_log(
    folder: Path, key: PrivateKey, *, disk: Disk, max_file_bytes: int = MAX_FILE_BYTES
) -> tuple[SealedLog, Iterator[bytes]]:
    """The log of a folder, and its records, which must all be read before the first `append`.

    Remains of an interrupted rewriting are removed. While the records are read, a torn last one is cut off
    and counted in `dropped_bytes`. Raises `FastMemoryKeyWrong`, `FastMemoryDamaged`, which names the file,
    `DiskFull`, `DiskFailure`.
    """
    log = SealedLog(folder, key, disk, max_file_bytes)
    found = generations(folder)
    log.generation = found[-1]
    with disk_errors(folder):
        for path in sorted(folder.iterdir()):
            if LEFTOVER.fullmatch(path.name) and path.name != folder_name(log.generation):
                _remove_folder(disk, path)
    return log, _LogReader(log).records()


class _LogReader:
    """Reads a generation from its first record to its last."""

    def __init__(self, log: SealedLog) -> None:
        self._log = log
        self._folder = log.folder / folder_name(log.generation)

    def records(self) -> Iterator[bytes]:
        log = self._log
        paths = sorted(self._folder.glob(f"{'[0-9]' * 6}.sealed"))
        if [path.name for path in paths] != [f"{number:06d}.sealed" for number in range(len(paths))]:
            raise FastMemoryDamaged(f"{self._folder}: a file of the fast memory is missing", got=len(paths))
        if not paths:
            raise FastMemoryDamaged(f"{self._folder}: the files of the fast memory are missing", got=0)
        last = FIRST_TAG
        for number, path in enumerate(paths):
            with disk_errors(log.folder):
                raw = path.read_bytes()
            final = number == len(paths) - 1
            if final and number and is_torn(raw[:HEAD_BYTES], 0, HEAD_BYTES):
                self._drop_file(path, len(raw))
                break
            file = self._opened(path, raw, number, last)
            yield from self._records_of(file, raw, final)
            last, log._file, log._number = file.tag, file, number
            log.size_bytes += file.size
        assert log._file is not None, "the first file has been read"
        with disk_errors(log.folder):
            log._descriptor = os.open(log._file.path, os.O_RDWR)
            surplus = os.fstat(log._descriptor).st_size - log._file.size
            if surplus:
                log.dropped_bytes += surplus
                log._disk.truncate(log._descriptor, log._file.size)
                log._disk.sync(log._descriptor)

    def _drop_file(self, path: Path, size: int) -> None:
        with disk_errors(self._log.folder):
            self._log._disk.remove(path)
            self._log._disk.sync_folder(path.parent)
        self._log.dropped_bytes += size

    def _opened(self, path: Path, raw: bytes, number: int, last: bytes) -> SealedFile:
        head = raw[:HEAD_BYTES]
        body, check = head[:-CHECK_BYTES], head[-CHECK_BYTES:]
        if len(head) < HEAD_BYTES or not head.startswith(MAGIC) or check != short_hash(body, CHECK_BYTES):
            raise FastMemoryDamaged(f"{path}: the head of the file is damaged", got=len(head))
        at = len(MAGIC) + SALT_BYTES
        salt, rest = head[len(MAGIC) : at], head[at:]
        sealer = Sealer(self._log._key, salt, PURPOSE)
        if rest[8 + TAG_BYTES : 8 + TAG_BYTES + MARK_BYTES] != sealer.mark:
            raise FastMemoryKeyWrong(f"{path} was written with another private key")
        placed = struct.pack(">II", self._log.generation, number) + last
        if rest[: len(placed)] != placed:
            raise FastMemoryDamaged(
                f"{path} does not follow the file before it: records were taken out, or files exchanged"
            )
        return SealedFile(path, head, sealer, last)

    def _records_of(self, file: SealedFile, raw: bytes, final: bool) -> Iterator[bytes]:
        while file.size < len(raw):
            begin = file.size + RECORD_HEAD_BYTES
            head = raw[file.size : begin]
            length, nonce = int.from_bytes(head[:4], "big"), head[4 : 4 + NONCE_BYTES]
            if len(head) < RECORD_HEAD_BYTES or head != record_head(file, length, nonce):
                if final and (len(head) < RECORD_HEAD_BYTES or not any(head)):
                    return
                raise self._damaged(file)
            end = file.size + aligned(RECORD_HEAD_BYTES + length)
            if final and len(raw) <= end and is_torn(raw[file.size :], file.size, end - file.size):
                return
            sealed, filling = raw[begin : begin + length], raw[begin + length : end]
            try:
                content = file.sealer.open(nonce, sealed, belongs(file, length))
            except SealBroken as error:
                raise self._damaged(file) from error
            if filling != b"\xff" * (end - begin - length):
                raise self._damaged(file)
            file.size = end
            file.records += 1
            file.tag = sealed[-TAG_BYTES:]
            yield content

    def _damaged(self, file: SealedFile) -> FastMemoryDamaged:
        return FastMemoryDamaged(
            f"{file.path}: record {file.records} at byte {file.size} is damaged", got=file.size
        )


def _remove_folder(disk: Disk, folder: Path) -> None:
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            disk.remove(path)
        disk.remove(folder)
