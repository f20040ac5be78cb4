"""The fast memory on disk: what `learn` has returned for survives a crash, and what is forgotten is gone.

Every batch is one sealed record (`sealed_log.py`), on disk before anything changes in memory. When the log
has grown to twice what the examples take, and after every forgetting, it is written anew: files that hold
nothing but the examples that are left replace the old ones in one step, and those are removed.

A disk that is full is an error; memory and disk are then as before, and the same call may be tried again.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from engram.nn.network import Features
from engram.participant.memory.disk import Disk, disk_errors
from engram.participant.memory.errors import (
    BatchTooLarge,
    FastMemoryDamaged,
    FastMemoryLocked,
    FastMemoryMismatch,
)
from engram.participant.memory.fast import Examples, FastLimits, FastMemory
from engram.participant.memory.fast_classes import ClassEntry, check_entry, check_label
from engram.participant.memory.fast_records import (
    MAX_BATCH_BYTES,
    MAX_BATCH_ROWS,
    ArrivedRecord,
    BoundRecord,
    ClassRecord,
    FastContent,
    FastRecord,
    FastState,
    KeptRecord,
)
from engram.participant.memory.reading import FrozenReader
from engram.participant.memory.reservoirs import Reservoirs
from engram.participant.memory.sealed_format import MAX_FILE_BYTES
from engram.participant.memory.sealed_log import (
    SealedLog,
    create_log,
    log_exists,
    open_log,
)
from engram.participant.notices import Notice, Report
from engram.primitives.codec import decode, encode
from engram.primitives.errors import CodecError
from engram.primitives.keys import PrivateKey

LOCK_NAME: Final = "lock"
REWRITE_FACTOR: Final = 2
"""The log is written anew before it grows beyond so many times what its examples take …"""
REWRITE_SLACK_BYTES: Final = 1 << 20
"""… and this."""
RECORD_ROWS_BYTES: Final = 8 << 20
"""Bytes of rows in one `KeptRecord`."""
DISK: Final = Disk()


class FastStore:
    """A fast memory in a folder of its own; `open` makes it. Close it, or use it in a `with` block."""

    def __init__(self, folder: Path, memory: FastMemory, log: SealedLog, lock: int) -> None:
        self.folder: Final = folder
        self.memory: Final = memory
        """For reading: examples, answers. Only the store may change it."""
        self._log = log
        self._lock = lock

    @classmethod
    def open(
        cls,
        folder: Path,
        key: PrivateKey,
        reader: FrozenReader,
        limits: FastLimits,
        *,
        seed: int = 0,
        report: Report = lambda notice: None,
        disk: Disk = DISK,
        max_file_bytes: int = MAX_FILE_BYTES,
    ) -> Self:
        """The fast memory of a folder; a new one if there is none. Its files open with this key only.

        `seed` counts for a new memory only. Other `limits` than before take effect at once. `report` is told
        if a crash had left a record that was never acknowledged, which is then dropped.

        Raises `FastMemoryLocked`, `FastMemoryKeyWrong`, `FastMemoryDamaged`, `FastMemoryMismatch`,
        `FastMemoryTooSmall`, `DiskFull`, `DiskFailure`.
        """
        memory, log = FastMemory(reader, limits, seed), None
        lock = _locked(folder)
        try:
            if not log_exists(folder):
                first = _records(memory, memory.examples(), memory.reservoirs.bounds, memory.table)
                log = create_log(folder, key, first, disk=disk, max_file_bytes=max_file_bytes)
                return cls(folder, memory, log, lock)
            log, contents = open_log(folder, key, disk=disk, max_file_bytes=max_file_bytes)
            store = cls(folder, _replayed(contents, reader, limits, folder), log, lock)
            if log.dropped_bytes:
                report(_dropped(folder, log.dropped_bytes))
            if store.memory.reservoirs.capacity != limits.capacity(reader.inputs, reader.values):
                store.memory.resize(limits)
                store._rewrite()
            return store
        except BaseException:
            if log is not None:
                log.close()
            os.close(lock)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def size_bytes(self) -> int:
        """The bytes of the files: of n examples of r bytes at most 2·n·(r + 10), a MiB, and a batch."""
        return self._log.size_bytes

    def learn(self, rows: npt.NDArray[Any], labels: npt.NDArray[Any]) -> int:
        """Learns a batch of rows (n, inputs) with labels (n,), as a whole or not at all.

        It is on disk when this returns how many of its examples were kept. Raises `FeatureCountMismatch`,
        `FeaturesNotIntegers`, `DatasetLabelOutOfRange`, `BatchTooLarge`, `DiskFull`, `DiskFailure`,
        `FastMemoryBroken`.
        """
        if labels.size > MAX_BATCH_ROWS or rows.size > MAX_BATCH_BYTES:
            raise BatchTooLarge(expected=(MAX_BATCH_ROWS, MAX_BATCH_BYTES), got=(labels.size, rows.size))
        arrival = self.memory.plan(rows, labels)
        if not len(arrival.labels):
            return 0
        record = ArrivedRecord(arrival.first, arrival.labels.astype("<u2").tobytes(), arrival.rows.tobytes())
        self._append(FastRecord(record))
        try:
            self.memory.apply(arrival)
        except BaseException:
            self._log.give_up("what was written could not be kept in memory")
            raise
        return len(arrival.kept)

    def set_entry(self, label: int, entry: ClassEntry) -> None:
        """Names a class, or says which class of the chain it is.

        Raises `ClassNameInvalid`, `DatasetLabelOutOfRange`, `DiskFull`, `DiskFailure`, `FastMemoryBroken`.
        """
        check_label(label)
        check_entry(entry)
        self._append(FastRecord(ClassRecord(label, entry.name, entry.chain_class)))
        self.memory.set_entry(label, entry)

    def forget(self, labels: Iterable[int], before: int, became: Mapping[int, int] | None = None) -> int:
        """Forgets what was consolidated: examples of these classes with numbers below `before`.

        `before` is that of the `Examples` that were consolidated. `became` says which classes of the chain
        they are now. When this returns how many examples it were, they stand in no file and no array. Raises
        `DiskFull`, `DiskFailure` and `FastMemoryBroken`.
        """
        chosen = sorted(set(labels))
        entries = {
            check_label(label): check_entry(replace(self.memory.entry(label), chain_class=number))
            for label, number in (became or {}).items()
        }
        generation, gone = self._log.generation, 0
        known = self.memory.examples()
        stays = ~(np.isin(known.labels, chosen) & (known.numbers < before))
        bounds = self.memory.reservoirs.bounds if stays.all() else {}
        left = _records(self.memory, known.where(stays), bounds, {**self.memory.table, **entries})
        try:
            self._log.rewrite(left)
        finally:
            if self._log.generation != generation:
                for label, entry in entries.items():
                    self.memory.set_entry(label, entry)
                gone = self.memory.forget(chosen, before)
        return gone

    def close(self) -> None:
        """Lets other programs use the folder."""
        self._log.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _append(self, record: FastRecord) -> None:
        content = encode(record)
        live = self.memory.size * (self.memory.reader.inputs + 10)
        most = REWRITE_FACTOR * live + REWRITE_SLACK_BYTES
        if self._log.size_bytes + len(content) > max(most, REWRITE_SLACK_BYTES + len(content)):
            self._rewrite()
        self._log.append(content)

    def _rewrite(self) -> None:
        memory = self.memory
        self._log.rewrite(_records(memory, memory.examples(), memory.reservoirs.bounds, memory.table))


def _dropped(folder: Path, size: int) -> Notice:
    text = (
        f"{folder}: dropped {size} bytes of a record that a crash had cut short; nobody was told that it was "
        "learned"
    )
    return Notice(text, "record_dropped", bytes=size)


def _locked(folder: Path) -> int:
    """The lock of a folder, which is made if there is none. Raises `FastMemoryLocked`."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise FastMemoryLocked(got=str(folder)) from error
    return lock


def _records(
    memory: FastMemory, known: Examples, bounds: Mapping[int, int], table: Mapping[int, ClassEntry]
) -> Iterator[bytes]:
    """The records of a log that holds these examples, bounds and classes of a memory, and nothing else."""
    sampling = memory.reservoirs
    yield encode(
        FastRecord(
            FastState(
                sampling.seed,
                sampling.capacity,
                memory.reader.inputs,
                memory.next_number,
                len(known.numbers),
                tuple(BoundRecord(label, key) for label, key in sorted(bounds.items())),
                tuple(
                    ClassRecord(label, entry.name, entry.chain_class)
                    for label, entry in sorted(table.items())
                ),
            )
        )
    )
    step = max(1, RECORD_ROWS_BYTES // memory.reader.inputs)
    for begin in range(0, len(known.numbers), step):
        chunk = slice(begin, begin + step)
        yield encode(
            FastRecord(
                KeptRecord(
                    known.numbers[chunk].astype("<u8").tobytes(),
                    known.labels[chunk].astype("<u2").tobytes(),
                    known.rows[chunk].tobytes(),
                )
            )
        )


def _replayed(
    contents: Iterator[bytes], reader: FrozenReader, limits: FastLimits, folder: Path
) -> FastMemory:
    """The memory that these records make. Raises `FastMemoryDamaged`, `FastMemoryMismatch`."""
    try:
        return _Replay(reader, folder).run(contents, limits)
    except CodecError as error:
        raise FastMemoryDamaged(f"{folder}: a record is not one that Engram writes: {error}") from error


class _Replay:
    """Reads records one after another; the network reads the rows that are left at the end."""

    def __init__(self, reader: FrozenReader, folder: Path) -> None:
        self._reader = reader
        self._folder = folder
        self._reservoirs = Reservoirs(0, 0)
        self._rows: dict[int, tuple[int, Features]] = {}
        self._table: dict[int, ClassEntry] = {}
        self._next = 0

    def run(self, contents: Iterator[bytes], limits: FastLimits) -> FastMemory:
        state = decode(FastRecord, next(contents, b"")).content
        if not isinstance(state, FastState):
            raise self._wrong("the first record is no state")
        if state.inputs != self._reader.inputs:
            raise FastMemoryMismatch(expected=self._reader.inputs, got=state.inputs)
        self._reservoirs = Reservoirs(state.seed, state.capacity)
        while len(self._rows) < state.examples:
            self._keep(decode(FastRecord, next(contents, b"")).content)
        kept = [(number, label) for number, (label, _) in self._rows.items()]
        self._reservoirs.restore(kept, {each.label: each.key for each in state.bounds})
        self._next = state.next_number
        for each in state.classes:
            self._take(each)
        for raw in contents:
            self._take(decode(FastRecord, raw).content)
        memory = FastMemory(self._reader, limits, state.seed)
        memory.restore(self._reservoirs, self._rows, self._next)
        for label, entry in self._table.items():
            memory.set_entry(label, entry)
        return memory

    def _keep(self, record: FastContent) -> None:
        if not isinstance(record, KeptRecord) or not record.labels:
            raise self._wrong("examples of the state are missing")
        labels = np.frombuffer(record.labels, "<u2").tolist()
        numbers = np.frombuffer(record.numbers, "<u8").tolist()
        if len(numbers) != len(labels):
            raise self._wrong("examples have no numbers")
        rows = self._rows_of(record.rows, len(labels))
        self._rows |= dict(zip(numbers, zip(labels, rows, strict=True), strict=True))

    def _take(self, record: FastContent) -> None:
        if isinstance(record, ClassRecord):
            self._table[record.label] = ClassEntry(record.name, record.chain_class)
        elif isinstance(record, ArrivedRecord) and record.first == self._next:
            labels = np.frombuffer(record.labels, "<u2").tolist()
            kept, lost = self._reservoirs.arrive_all(self._next, labels)
            for number in lost:
                del self._rows[number]
            for place, row in zip(kept, self._rows_of(record.rows, len(kept)), strict=True):
                self._rows[self._next + place] = labels[place], row
            self._next += len(labels)
        else:
            raise self._wrong("a record stands where it cannot")

    def _rows_of(self, raw: bytes, count: int) -> Features:
        if len(raw) != count * self._reader.inputs:
            raise self._wrong("a record has another number of rows than it says")
        return np.frombuffer(raw, np.uint8).reshape(count, self._reader.inputs)

    def _wrong(self, what: str) -> FastMemoryDamaged:
        return FastMemoryDamaged(f"{self._folder}: {what}")
