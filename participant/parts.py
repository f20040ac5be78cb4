"""Splits a data set into salted parts, and keeps the secrets of openers and witnesses in files. No network.

An opener or witness who loses the salts, the nonce or the parts cannot reveal and loses a bond. So they are
written to disk and synced before anything is sent, and can be read again after a crash.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import numpy.typing as npt

from engram.nn.data import parse_part, part_bytes, part_commitment
from engram.node.errors import FileDamaged, NotAFile
from engram.node.files import read_plain, write_private
from engram.participant.datasets import Dataset, spread_places
from engram.participant.errors import NotEnoughRows, SecretsInvalid, SecretsNotFound
from engram.primitives.codec import decode, encode
from engram.primitives.errors import CodecError
from engram.primitives.types import Hash, Size
from engram.statemachine.content import blob_id

ROUNDS_DIRECTORY: Final = "rounds"
"""Name of the folder in a data directory for secrets: of opened rounds, of sealed parts and of commits."""

Entropy = Callable[[int], bytes]
"""A function that gives as many random bytes as it is asked for."""


@dataclass(frozen=True)
class SaltedPart:
    """One part of a data set with its salt: what is needed to commit to it and to reveal it."""

    salt: Hash
    raw: Annotated[bytes, Size(1, 2**26)]
    """The part's rows as the chain encodes them, see `nn.data.part_bytes`."""

    @property
    def commitment(self) -> Hash:
        """The hash of salt and rows, which is all that the chain knows until the part is revealed.

        Without the salt, anybody could find out which rows of a public data set a part holds by trying.
        """
        return part_commitment(self.salt, self.raw)

    @property
    def content(self) -> Hash:
        """The id of the rows as a blob, without the salt. Who can guess the rows can guess this, too."""
        return blob_id(self.raw)

    @property
    def labels(self) -> frozenset[int]:
        """The labels of the part's rows, each once."""
        return frozenset(self._labels().tolist())

    def rows_below(self, classes: int) -> int:
        """How many of the part's rows have one of the first `classes` labels."""
        return int(np.count_nonzero(self._labels() < classes))

    def _labels(self) -> npt.NDArray[np.uint16]:
        rows, inputs = (int.from_bytes(self.raw[at : at + 4], "little") for at in (0, 4))
        return parse_part(self.raw, rows=rows, inputs=inputs, classes=2**16).labels


@dataclass(frozen=True)
class RoundSecrets:
    """What only the opener, or one witness, of a round knows until they reveal it."""

    nonce: Hash
    parts: Annotated[tuple[SaltedPart, ...], Size(1, 256)]

    def part(self, commitment: Hash) -> SaltedPart | None:
        """The part with this commitment; None if it is not among these secrets."""
        return next((part for part in self.parts if part.commitment == commitment), None)


def split_parts(
    data: Dataset, count: int, rows: int, rng: np.random.Generator, entropy: Entropy
) -> list[SaltedPart]:
    """Splits data into `count` disjoint parts of exactly `rows` rows, with about the same mix of classes.

    Raises `NotEnoughRows` if the data have fewer than `count * rows` rows.
    """
    if data.rows < count * rows:
        raise NotEnoughRows(
            f"the data set is too small for {count} parts of {rows} rows",
            expected=count * rows,
            got=data.rows,
        )
    chosen = deal(data.shuffled(rng), count, rows)
    return [SaltedPart(entropy(32), part_bytes(part.features, part.labels)) for part in chosen]


def deal(data: Dataset, count: int, rows: int) -> list[Dataset]:
    """Deals data into `count` disjoint sets of exactly `rows` rows, class by class as cards are dealt.

    Each set gets about the same number of rows of every class. Rows that are left over are dropped.
    """
    return [data.take(places) for places in deal_places(data.labels, count, rows)]


def deal_places(labels: npt.NDArray[np.uint16], count: int, rows: int) -> list[npt.NDArray[np.int64]]:
    """The places of the rows that `deal` deals, of rows with these labels."""
    taken = spread_places(labels)[: count * rows]
    cards = taken[np.argsort(labels[taken], kind="stable")]
    return [cards[start::count] for start in range(count)]


def save_secrets(path: Path, secrets: RoundSecrets) -> None:
    """Writes the file, readable by its owner only, and syncs it. A crash never leaves a part of a file."""
    write_private(path, encode(secrets))


def load_secrets(path: Path) -> RoundSecrets:
    """Reads what `save_secrets` has written.

    Raises `SecretsNotFound` if the file is missing, `SecretsInvalid` if it is damaged.
    """
    try:
        return decode(RoundSecrets, read_plain(path, 2**30), max_bytes=2**30)
    except FileNotFoundError as error:
        raise SecretsNotFound(f"{path} is missing; without it the parts cannot be revealed") from error
    except (CodecError, FileDamaged, NotAFile) as error:
        raise SecretsInvalid(f"{path} is damaged: {error}") from error
