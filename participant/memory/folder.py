"""A memory folder: what one participant knows of one model beside the chain.

- `memory.json`: what every author of the model must know, see `memory_file`;
- `sums/ID.sums` and `mixtures/ID.mixtures`: files of sums and of mixtures of rows, named by their content id;
- `founding`: the network that the founder has learned, see `founded_network`, and `trials.json`: what
  simulated growths have shown, see `trials`. Only the founder has these.

Every file is written in one step and never changed. A file that is damaged or has the wrong name is refused
by its name, and nothing is removed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Final

from engram.node.errors import FileDamaged
from engram.node.files import read_plain, write_private
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
from engram.participant.memory.mixtures_file import MIXTURES_MAGIC, MOST_BYTES, read_set, set_id, write_set
from engram.participant.memory.playing import Memory
from engram.participant.memory.statistics import Statistics, check, merge
from engram.participant.memory.statistics_file import (
    StatisticsHeader,
    content_id,
    most_bytes,
    read,
    read_header,
    write,
)
from engram.participant.memory.trials import Trials, load_trials, save_trials
from engram.primitives.errors import InvalidInput
from engram.primitives.types import Hash

MEMORY_DIRECTORY: Final = "memory"
"""In a data directory: the folder of memory folders, each named after its model."""
_SLACK: Final = 2**16
"""So many bytes more than its canonical ones a deflated file may have."""


def check_free_folder(path: Path) -> None:
    """Raises `MemoryFolderInvalid` if there is a file of this name, or a folder that is not empty."""
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise MemoryFolderInvalid(f"{path} is not free: name a new or an empty folder", got=str(path))


def folder_of(data_dir: Path, model: Hash) -> MemoryFolder:
    """The default memory folder of a model."""
    return MemoryFolder(data_dir / MEMORY_DIRECTORY / model.hex())


class MemoryFolder:
    """One memory folder. Files are read when they are asked for, and checked each time."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    @classmethod
    def create(
        cls,
        path: Path,
        memory: Memory,
        network: FoundedNetwork,
        trials: Trials,
        given: Statistics | MixtureSet | None = None,
    ) -> MemoryFolder:
        """A new folder of a founder, with sums or mixtures of their rows. It is there whole or not at all.

        Raises `MemoryFolderInvalid` if the folder is not free, `DiskFull`, and what `keep` raises.
        """
        check_free_folder(path)
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = cls(Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.")))
            try:
                save_memory(draft._memory_file, memory)
                write_private(draft._founding_file, write_founding(network))
                save_trials(draft._trials_file, trials)
                if given is not None:
                    draft.keep(given)
                os.rename(draft.path, path)
            finally:
                shutil.rmtree(draft.path, ignore_errors=True)
        return cls(path)

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

    @property
    def has_founding(self) -> bool:
        """Whether this is the folder of the founder."""
        return self._founding_file.exists()

    def founding(self) -> FoundedNetwork:
        """The network that the founder has learned. Raises `FoundingMalformed`, `MemoryFolderInvalid`."""
        if not self.has_founding:
            raise MemoryFolderInvalid(
                f"{self.path} has no founding: only the folder that `engram memory found` has made has one",
                got=str(self.path),
            )
        raw = read_bounded(self._founding_file, MOST_FOUNDING_BYTES, FoundingMalformed)
        with naming(self._founding_file):
            return read_founding(raw)

    @property
    def has_trials(self) -> bool:
        """Whether the simulated growths of the founding are there."""
        return self._trials_file.exists()

    def trials(self) -> Trials:
        """The simulated growths of the founding. Raises `MemoryFileInvalid`, also if there are none."""
        return load_trials(self._trials_file)

    def statistics(self, more: Sequence[Path] = (), below: int = 2**16) -> Statistics | None:
        """The sums of the folder and of more files together; None if there are none.

        Files with a class from `below` on are left out, and files whose rows are all in another one. Raises
        `StatisticsRepeated` if two files share rows otherwise, and what `read_statistics` raises.
        """
        headers = {path: self._header(path) for path in (*self._files("sums"), *more)}
        sources = {
            path: frozenset(header.sources or (self._name(path, inside=path not in more),))
            for path, header in headers.items()
            if max(header.classes) < below
        }
        total: Statistics | None = None
        for path in covering(sources):
            each = self.read_statistics(path) if path in more else self._named_statistics(path)
            total = each if total is None else merge(_with_ids((total, each)))
        return total

    def mixture_set(self, more: Sequence[Path] = (), below: int = 2**16) -> MixtureSet | None:
        """The mixtures of the folder and of more files together; None if there are none. As `statistics`."""
        found = {path: self._named_mixtures(path) for path in self._files("mixtures")}
        found |= {path: self.read_mixtures(path) for path in more}
        sources = {
            path: frozenset(each.sources or (set_id(each),))
            for path, each in found.items()
            if max(each.classes) < below
        }
        chosen = {set_id(found[path]): found[path] for path in covering(sources)}
        return merge_sets([(each, own) for own, each in chosen.items()]) if chosen else None

    def mixtures(self) -> dict[int, Mixture]:
        """The mixture of each class. Raises as `mixture_set`."""
        found = self.mixture_set()
        return dict(found.mixtures) if found is not None else {}

    def left_out(self, more: Sequence[Path], below: int) -> list[Path]:
        """Those of the files that `statistics` or `mixture_set` leave out for a class from `below` on.

        Raises `StatisticsMalformed`, `MixturesMalformed`, and what `read_mixtures` raises.
        """
        return [path for path in more if max(self._classes(path)) >= below]

    def _classes(self, path: Path) -> tuple[int, ...]:
        with path.open("rb") as stream:
            mixed = stream.read(len(MIXTURES_MAGIC)) == MIXTURES_MAGIC
        return self.read_mixtures(path).classes if mixed else self._header(path).classes

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

    @property
    def _trials_file(self) -> Path:
        return self.path / "trials.json"

    def _files(self, kind: str) -> list[Path]:
        return sorted((self.path / kind).glob(f"*.{kind}"))

    def _header(self, path: Path) -> StatisticsHeader:
        raw = read_bounded(path, most_bytes(self.memory.rule.neurons), StatisticsMalformed)
        with naming(path):
            return read_header(raw)

    def _name(self, path: Path, *, inside: bool) -> Hash:
        """The content id of a file of sums; inside the folder its name, which is checked when it is read."""
        if not inside:
            return content_id(self.read_statistics(path))
        try:
            return bytes.fromhex(path.stem)
        except ValueError as error:
            raise _misnamed(path, StatisticsMalformed) from error

    def _sources(self, path: Path) -> frozenset[Hash]:
        """The files that were added up to the sums of a file: itself, if none are named."""
        return frozenset(self._header(path).sources or (self._name(path, inside=True),))

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
    try:
        return read_plain(path, most + _SLACK)
    except FileDamaged:
        raise kind(f"{path} is too large", expected=most, got=path.stat().st_size) from None


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Puts the file's name in front of the message of what is wrong with it."""
    try:
        yield
    except InvalidInput as error:
        raise type(error)(f"{path}: {error.message}", expected=error.expected, got=error.got) from error
