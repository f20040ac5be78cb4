"""A growth round of the participant's own: which rows are cut off for its parts, and what is saved before it.

Parts are made of rows that are cut off before anything is trained: of new classes and, for what the growth
may not lose, of classes that the chain knows. They become public with the round. A row that was in a part of
an earlier round is in no part again, but may be taught.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np

from engram.nn.data import parse_part
from engram.node.errors import FileDamaged, NotAFile
from engram.node.files import read_plain, write_private
from engram.participant.datasets import Dataset, concatenate
from engram.participant.learn.errors import LessonDamaged, RowsMissing
from engram.participant.learn.lessons import MOST_CLASSES, renumbered
from engram.participant.memory.fast import Examples
from engram.participant.parts import RoundSecrets
from engram.primitives.codec import decode, encode
from engram.primitives.errors import CodecError
from engram.primitives.types import U16, Hash, Size
from engram.statemachine.rules import Rules
from engram.statemachine.transactions.open_round import OpenRound

PART_ROWS: Final = 100
"""The most rows of a part, unless the participant wants more."""
LEAST_NEW: Final = 4
"""One row of so many in a part is of a new class, at least."""
HOLD_SHARE: Final = 0.3
"""The most of the new rows that are cut off."""


@dataclass(frozen=True)
class LabelPair:
    """A label and the class of the chain that it is to become."""

    label: U16
    chain_class: U16


@dataclass(frozen=True)
class OpeningRecord:
    """A round that is about to be opened, or was."""

    payload: OpenRound
    pairs: Annotated[tuple[LabelPair, ...], Size(1, MOST_CLASSES)]

    @property
    def became(self) -> dict[int, int]:
        """Label -> class of the chain."""
        return {pair.label: pair.chain_class for pair in self.pairs}


_MOST_BYTES: Final = 2**24


class Openings:
    """The rounds that a participant opens, each in a file of its own, named by its nonce hash."""

    def __init__(self, folder: Path) -> None:
        self._folder: Final = folder

    def save(self, record: OpeningRecord) -> None:
        """Writes the file in one step."""
        write_private(self._path(record.payload.terms.nonce_hash), encode(record))

    def find(self, nonce: Hash) -> OpeningRecord | None:
        """The record of a round; None if there is none. Raises `LessonDamaged`."""
        path = self._path(nonce)
        try:
            return decode(OpeningRecord, read_plain(path, _MOST_BYTES))
        except FileNotFoundError:
            return None
        except (CodecError, FileDamaged, NotAFile) as error:
            raise LessonDamaged(f"{path} is damaged: {error}", got=path.name) from error

    def names(self) -> list[Hash]:
        """The nonce hashes of all records."""
        return [bytes.fromhex(path.stem) for path in self._folder.glob(f"{'[0-9a-f]' * 64}.opening")]

    def remove(self, nonce: Hash) -> None:
        """Removes a record."""
        self._path(nonce).unlink(missing_ok=True)

    def _path(self, nonce: Hash) -> Path:
        return self._folder / f"{nonce.hex()}.opening"


@dataclass(frozen=True)
class CutOff:
    """Rows that are cut off for the parts of a round, numbered as on the chain."""

    data: Dataset
    parts: int
    rows: int
    """Rows of each part."""


def cut_off(
    known: Examples,
    old: Mapping[int, int],
    new: Mapping[int, int],
    rules: Rules,
    used: frozenset[bytes],
    *,
    part_rows: int = PART_ROWS,
    share: float = HOLD_SHARE,
    least_rows: int,
) -> CutOff:
    """Chooses rows for the parts, at random: of `old` classes and of `new` ones (label -> class).

    Half of each part are rows of new classes, or fewer where there are few, down to a quarter. At most
    `share` of the rows of a new class are taken, and `least_rows` are left to teach. Rows in `used`
    are in no part. Raises `RowsMissing`, which says how many rows of what are lacking.
    """
    rng = np.random.default_rng(list(os.urandom(16)))
    parts = rules.min_parts
    olds = _spread(known, old, used, rng, lambda count: count)
    news = _spread(known, new, used, rng, lambda count: max(0, min(int(share * count), count - least_rows)))
    least = -(-rules.min_sealed_rows // rules.min_sealed)
    least_old = -(-rules.min_old_rows // rules.min_sealed)
    least_new = max(1, len(new))
    for rows in range(max(part_rows, least), max(least, least_old + least_new) - 1, -1):
        from_new = min(rows // 2, rows - least_old, len(news) // parts)
        from_old = rows - from_new
        if from_new >= max(rows // LEAST_NEW, least_new) and parts * from_old <= len(olds):
            chosen = [known_rows(known, olds[: parts * from_old], old)]
            chosen.append(known_rows(known, news[: parts * from_new], new))
            return CutOff(concatenate(chosen), parts, rows)
    rows = max(least, least_old + least_new)
    from_new = max(rows // LEAST_NEW, least_new)
    from_old = rows - from_new
    raise RowsMissing(
        f"a round needs {parts} parts of {rows} rows: {parts * from_old} rows of classes that the chain "
        f"knows and {parts * from_new} to cut off of the new ones, none of which was in a part "
        "before: feed more",
        expected=(parts * from_old, parts * from_new),
        got=(len(olds), len(news)),
    )


def known_rows(known: Examples, places: Sequence[int], became: Mapping[int, int]) -> Dataset:
    """The examples at these places, numbered as on the chain."""
    index = np.array(places, dtype=np.int64)
    return Dataset(known.rows[index], renumbered(known, became)[index])


def rows_in(secrets: RoundSecrets) -> frozenset[bytes]:
    """The features of all rows in the parts of a round."""
    found = set[bytes]()
    for part in secrets.parts:
        rows, inputs = (int.from_bytes(part.raw[at : at + 4], "little") for at in (0, 4))
        given = parse_part(part.raw, rows=rows, inputs=inputs, classes=2**16)
        found |= {row.tobytes() for row in given.features}
    return frozenset(found)


def _spread(
    known: Examples, wanted: Mapping[int, int], used: frozenset[bytes], rng: np.random.Generator, most: Any
) -> list[int]:
    """Places of examples of these labels, each class in turn, in random order, `most(count)` of each."""
    turns: list[tuple[int, int, int]] = []
    for label in wanted:
        mine = np.flatnonzero(known.labels == label)
        free = [place for place in mine.tolist() if known.rows[place].tobytes() not in used]
        count = most(len(mine))
        turns += [(turn, label, place) for turn, place in enumerate(rng.permutation(free).tolist()[:count])]
    return [place for _, _, place in sorted(turns)]
