"""A memory folder: what one participant knows of one model beside the chain.

- `memory.json`: what every author of the model must know, see `memory_file`;
- `sums/ID.sums` and `mixtures/ID.mixtures`: files of sums and of mixtures of rows, named by their content id;
- `founding`: the network that the founder has learned, see `founded_network`; only the founder has it.

Every file is written in one step and never changed. A file that is damaged or has the wrong name is refused
by its name, and nothing is removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Final

from engram.node.keystore import write_private
from engram.participant.memory.disk import disk_errors
from engram.participant.memory.errors import (
    FoundingMalformed,
    MemoryFolderInvalid,
    MixturesMalformed,
    StatisticsMalformed,
    StatisticsRepeated,
)
from engram.participant.memory.founded_network import (
    MOST_FOUNDING_BYTES,
    FoundedNetwork,
    read_founding,
    write_founding,
)
from engram.participant.memory.memory_file import load_memory, save_memory
from engram.participant.memory.mixture_set import MixtureSet, merge_sets
from engram.participant.memory.mixtures import Mixture
from engram.participant.memory.mixtures_file import MOST_BYTES, read_set, set_id, write_set
from engram.participant.memory.playing import Memory
from engram.participant.memory.statistics import Statistics, check, merge
from engram.participant.memory.statistics_file import content_id, most_bytes, read, read_header, write
from engram.primitives.errors import InvalidInput
from engram.primitives.types import Hash

MEMORY_DIRECTORY: Final = "memory"
"""In a data directory: the folder of memory folders, each named after its model."""
_SLACK: Final = 2**16
"""So many bytes more than its canonical ones a deflated file may have."""


def folder_of(data_dir: Path, model: Hash) -> MemoryFolder:
    """The default memory folder of a model."""
    return MemoryFolder(data_dir / MEMORY_DIRECTORY / model.hex())


class MemoryFolder:
    """One memory folder. Files are read when they are asked for, and checked each time."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    @classmethod
    def create(cls, path: Path, memory: Memory, network: FoundedNetwork) -> MemoryFolder:
        """A new folder of a founder. Raises `MemoryFolderInvalid` if there is one already, `DiskFull`."""
        folder = cls(path)
        if folder._memory_file.exists():
            raise MemoryFolderInvalid(f"{path} holds a memory already: choose another folder", got=str(path))
        with disk_errors(path):
            write_private(folder._founding_file, write_founding(network))
            save_memory(folder._memory_file, memory)
        return folder

    @cached_property
    def memory(self) -> Memory:
        """What every author must know. Raises `MemoryFileInvalid`, `MemoryFolderInvalid`."""
        if not self._memory_file.exists():
            raise MemoryFolderInvalid(
                f"{self.path} has no memory.json: `engram memory found` makes one, or copy that of the "
                "model's founder into the folder",
                got=str(self.path),
            )
        return load_memory(self._memory_file)

    def founding(self) -> FoundedNetwork:
        """The network that the founder has learned. Raises `FoundingMalformed`, `MemoryFolderInvalid`."""
        if not self._founding_file.exists():
            raise MemoryFolderInvalid(
                f"{self.path} has no founding: only the folder that `engram memory found` has made has one",
                got=str(self.path),
            )
        raw = read_bounded(self._founding_file, MOST_FOUNDING_BYTES, FoundingMalformed)
        with naming(self._founding_file):
            return read_founding(raw)

    def statistics(self) -> Statistics | None:
        """All sums of the folder together; None if there are none.

        A file whose rows are all in another one is left out. Raises `StatisticsRepeated` if two files share
        rows otherwise, and what `read_statistics` raises.
        """
        sources = {path: self._sources(path) for path in self._files("sums")}
        total: Statistics | None = None
        for path in covering(sources):
            each = self._named_statistics(path)
            total = each if total is None else merge(_with_ids((total, each)))
        return total

    def mixture_set(self) -> MixtureSet | None:
        """All mixtures of the folder together; None if there are none. Raises as `statistics`."""
        found = {path: self._named_mixtures(path) for path in self._files("mixtures")}
        sources = {path: frozenset(each.sources or (set_id(each),)) for path, each in found.items()}
        chosen = [found[path] for path in covering(sources)]
        return merge_sets([(each, set_id(each)) for each in chosen]) if chosen else None

    def mixtures(self) -> dict[int, Mixture]:
        """The mixture of each class. Raises as `mixture_set`."""
        found = self.mixture_set()
        return dict(found.mixtures) if found is not None else {}

    def keep(self, given: Statistics | MixtureSet) -> Path:
        """Writes sums or mixtures to a file of their own; its path. The same again change nothing.

        Raises `StatisticsRepeated` if a file of the folder shares only some of their rows, `BankMismatch`,
        `TooFewRowsToHide`, `DiskFull`.
        """
        rule, least = self.memory.rule, self.memory.least_rows
        if isinstance(given, Statistics):
            check(given, rule.bank_id, rule.neurons, least_rows=least)
            kind, own, raw = "sums", content_id(given), write(given)
            known = {path: self._sources(path) for path in self._files(kind)}
        else:
            kind, own, raw = "mixtures", set_id(given), write_set(given)
            read_set(
                raw, self.memory.rule.bank_id, self.memory.rule.values, least_rows=self.memory.least_rows
            )
            found = {path: self._named_mixtures(path) for path in self._files(kind)}
            known = {path: frozenset(each.sources or (set_id(each),)) for path, each in found.items()}
        path = self.path / kind / f"{own.hex()}.{kind}"
        if not path.exists():
            covering({**known, path: frozenset(given.sources or (own,))})
            with disk_errors(self.path):
                write_private(path, raw)
        return path

    def read_statistics(self, path: Path) -> Statistics:
        """The sums in a file, anywhere, if they fit this model.

        Raises `StatisticsMalformed`, `BankMismatch`, `TooFewRowsToHide`, `StatisticsForged`, `SumsOverflow`.
        """
        rule = self.memory.rule
        raw = read_bounded(path, most_bytes(rule.neurons), StatisticsMalformed)
        with naming(path):
            return read(raw, rule.bank_id, rule.neurons, least_rows=self.memory.least_rows)

    def read_mixtures(self, path: Path) -> MixtureSet:
        """The mixtures in a file, anywhere, if they fit this model.

        Raises `MixturesMalformed`, `BankMismatch`, `TooFewRowsToHide`, `MixturesForged`.
        """
        rule = self.memory.rule
        raw = read_bounded(path, MOST_BYTES, MixturesMalformed)
        with naming(path):
            return read_set(raw, rule.bank_id, rule.values, least_rows=self.memory.least_rows)

    @property
    def _memory_file(self) -> Path:
        return self.path / "memory.json"

    @property
    def _founding_file(self) -> Path:
        return self.path / "founding"

    def _files(self, kind: str) -> list[Path]:
        return sorted((self.path / kind).glob(f"*.{kind}"))

    def _sources(self, path: Path) -> frozenset[Hash]:
        """The files that were added up to the sums of a file: itself, if none are named."""
        raw = read_bounded(path, most_bytes(self.memory.rule.neurons), StatisticsMalformed)
        with naming(path):
            header = read_header(raw)
        try:
            return frozenset(header.sources or (bytes.fromhex(path.stem),))
        except ValueError as error:
            raise _misnamed(path, StatisticsMalformed) from error

    def _named_statistics(self, path: Path) -> Statistics:
        found = self.read_statistics(path)
        if content_id(found).hex() != path.stem:
            raise _misnamed(path, StatisticsMalformed)
        return found

    def _named_mixtures(self, path: Path) -> MixtureSet:
        found = self.read_mixtures(path)
        if set_id(found).hex() != path.stem:
            raise _misnamed(path, MixturesMalformed)
        return found


def covering(sources: dict[Path, frozenset[Hash]]) -> list[Path]:
    """The files whose sources no other file has all of, sorted by path.

    Raises `StatisticsRepeated` if two of these share a source: their rows would be counted twice.
    """
    chosen: list[Path] = []
    seen: dict[Hash, Path] = {}
    for path in sorted(sources, key=lambda each: (-len(sources[each]), each)):
        own = sources[path]
        if any(own <= sources[other] for other in chosen):
            continue
        if shared := sorted(own & seen.keys()):
            raise StatisticsRepeated(
                f"{path} and {seen[shared[0]]} share some rows, and neither holds all rows of the other: "
                "use one of them",
                got=shared[0],
            )
        seen |= dict.fromkeys(own, path)
        chosen.append(path)
    return sorted(chosen)


def _with_ids(items: Sequence[Statistics]) -> list[tuple[Statistics, Hash]]:
    return [(each, content_id(each)) for each in items]


def _misnamed(path: Path, kind: type[InvalidInput]) -> InvalidInput:
    return kind(
        f"{path} does not have the name of its content: it was changed or renamed; restore it from a copy, "
        "or remove it",
        got=path.name,
    )


def read_bounded(path: Path, most: int, kind: type[InvalidInput]) -> bytes:
    """The bytes of a file that holds so many, at most. Raises an error of this kind for a larger one."""
    size = path.stat().st_size
    if size > most + _SLACK:
        raise kind(f"{path} is too large", expected=most, got=size)
    return path.read_bytes()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Puts the file's name in front of the message of what is wrong with it."""
    try:
        yield
    except InvalidInput as error:
        raise type(error)(f"{path}: {error.message}", expected=error.expected, got=error.got) from error
