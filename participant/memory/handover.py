"""Files that owners hand over instead of rows, of sums or of mixtures: read, merged, written, described."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engram.node.files import write_private
from engram.participant.memory.disk import disk_errors
from engram.participant.memory.errors import (
    GrowthNamesOther,
    HandoverMixed,
    HandoverUnknown,
    MixturesMalformed,
    StatisticsMalformed,
)
from engram.participant.memory.folder import MemoryFolder, covering, naming, read_bounded
from engram.participant.memory.mixture_set import MixtureSet, merge_sets
from engram.participant.memory.mixtures_file import MIXTURES_MAGIC, MOST_BYTES, read_set, set_id, write_set
from engram.participant.memory.statistics import Statistics, merge
from engram.participant.memory.statistics_file import (
    MAGIC,
    content_id,
    most_bytes,
    read,
    read_header,
    write,
)
from engram.primitives.types import ZERO_HASH, Hash

MOST_NEURONS: Final = 16_384
"""Sums over more neurons are read only where a memory says how many there are."""

Given = Statistics | MixtureSet


@dataclass(frozen=True, eq=False)
class HandoverFile:
    """A file that has been read and checked."""

    path: Path
    given: Given
    identity: Hash
    """Its content id."""

    @property
    def sources(self) -> frozenset[Hash]:
        """The files whose rows it holds: itself, if it names none."""
        return frozenset(self.given.sources or (self.identity,))

    @property
    def rows(self) -> dict[int, int]:
        """The rows of each class."""
        if isinstance(self.given, Statistics):
            return dict(zip(self.given.classes, self.given.counts.tolist(), strict=True))
        return {label: self.given.count(label) for label in self.given.classes}

    def facts(self) -> dict[str, Any]:
        """What the file says, as JSON values."""
        given = self.given
        shown: dict[str, Any] = {
            "file": str(self.path),
            "kind": kind_of(given),
            "id": self.identity.hex(),
            "bank": given.bank.hex(),
            "classes": {str(label): rows for label, rows in self.rows.items()},
            "rows": sum(self.rows.values()),
            "sources": [each.hex() for each in given.sources],
        }
        if isinstance(given, Statistics):
            return {**shown, "neurons": given.neurons}
        components = {str(label): len(found) for label, found in given.mixtures.items()}
        return {**shown, "values": given.values, "components": components}


def kind_of(given: Given) -> str:
    """`sums` or `mixtures`."""
    return "sums" if isinstance(given, Statistics) else "mixtures"


def identity_of(given: Given) -> Hash:
    """The content id of sums or mixtures."""
    return content_id(given) if isinstance(given, Statistics) else set_id(given)


def read_file(path: Path, folder: MemoryFolder | None = None) -> HandoverFile:
    """A file of sums or mixtures, if rows can have them, and if they fit the memory, where one is given.

    Without a memory, what the file says about its own bank is taken for true. Raises `HandoverUnknown` for
    another file, and what `read` and `read_set` raise, with the file's name.
    """
    with path.open("rb") as stream:
        begin = stream.read(max(len(MAGIC), len(MIXTURES_MAGIC)))
    if begin.startswith(MAGIC):
        found: Given = folder.read_statistics(path) if folder else _own_statistics(path)
    elif begin.startswith(MIXTURES_MAGIC):
        found = folder.read_mixtures(path) if folder else _own_mixtures(path)
    else:
        raise HandoverUnknown(f"{path} is neither a file of sums nor one of mixtures", got=begin[:12])
    return HandoverFile(path, found, identity_of(found))


def merge_files(files: Sequence[HandoverFile]) -> tuple[Given, list[Path]]:
    """All rows of the files together, and the files that were left out because others hold all their rows.

    The same for every order. Raises `HandoverMixed` if some are sums and some mixtures, `StatisticsMissing`
    for none, `BankMismatch`, `StatisticsRepeated`, `SumsOverflow`.
    """
    kinds = {kind_of(each.given) for each in files}
    if len(kinds) > 1:
        raise HandoverMixed(got=tuple(sorted(kinds)))
    chosen = set(covering({each.path: each.sources for each in files}))
    kept = {each.identity: each.given for each in files if each.path in chosen}
    left = [each.path for each in files if each.path not in chosen]
    sums = [(given, own) for own, given in kept.items() if isinstance(given, Statistics)]
    sets = [(given, own) for own, given in kept.items() if isinstance(given, MixtureSet)]
    return (merge_sets(sets) if sets else merge(sums)), left


def write_file(path: Path, given: Given) -> None:
    """Writes sums or mixtures, in one step. Raises `DiskFull`, `DiskFailure`."""
    raw = write(given) if isinstance(given, Statistics) else write_set(given)
    with disk_errors(path.parent):
        write_private(path, raw)


def check_named(given: Given, named: Hash) -> None:
    """Raises `GrowthNamesOther` unless a growth that names this content id names these sums or mixtures."""
    if named == ZERO_HASH:
        raise GrowthNamesOther("the growth names no sums or mixtures", got=named)
    if (own := identity_of(given)) != named:
        raise GrowthNamesOther(expected=named, got=own)


def _own_statistics(path: Path) -> Statistics:
    raw = read_bounded(path, most_bytes(MOST_NEURONS), StatisticsMalformed)
    with naming(path):
        header = read_header(raw)
        if header.neurons > MOST_NEURONS:
            raise StatisticsMalformed(
                "sums over so many neurons are read with --memory only",
                expected=MOST_NEURONS,
                got=header.neurons,
            )
        return read(raw, header.bank, header.neurons)


def _own_mixtures(path: Path) -> MixtureSet:
    raw = read_bounded(path, MOST_BYTES, MixturesMalformed)
    with naming(path):
        return read_set(raw)
