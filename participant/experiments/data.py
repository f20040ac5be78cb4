"""The data sets of experiments: where each comes from, under which licence, and how its files are checked.

Small ones ship with Engram. The others lie in a folder of the user's, each in a subfolder of its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np

from engram.participant.datasets import (
    FASHION_SHA256,
    MNIST_SHA256,
    Dataset,
    SplitDataset,
    load_digits,
    load_idx,
)
from engram.participant.errors import ChecksumMismatch, DatasetNotFound
from engram.participant.tables.raw import ReadOptions
from engram.participant.tables.reading import read
from engram.participant.tables.text import text_rows

LETTERS_TRAIN: Final = 16_000
"""By convention the first 16,000 letters are training rows, the last 4,000 test rows."""


@dataclass(frozen=True)
class DataSource:
    """A data set: its files with their SHA-256, and whom to thank for it."""

    title: str
    source: str
    licence: str
    files: Mapping[str, str]
    ships: bool
    """Whether Engram brings the files along."""


DATA_SETS: Final[Mapping[str, DataSource]] = {
    "digits": DataSource(
        "Optical recognition of handwritten digits, test file",
        "E. Alpaydin, C. Kaynak, UCI Machine Learning Repository, 1998, DOI 10.24432/C50P49",
        "CC BY 4.0",
        {"digits.csv.gz": "e31b7ccbf8cc2b158de948b1bb7a67bf39a856fb064b3aa8ef489f12a2dc4b63"},
        ships=True,
    ),
    "letters": DataSource(
        "Letter recognition",
        "D. Slate, UCI Machine Learning Repository, 1991, DOI 10.24432/C5ZP40",
        "CC BY 4.0",
        {"letters.csv.gz": "8decc5c86b04f99d7197502be1fbd9fe50f47cfed43dbdbf1435ec36952e9654"},
        ships=True,
    ),
    "thyroid": DataSource(
        "Thyroid disease records of the Garvan Institute",
        "R. Quinlan, UCI Machine Learning Repository, 1987, DOI 10.24432/C5D010",
        "CC BY 4.0",
        {"thyroid.csv.gz": "3e29cdc6c4aa354101e764eeafe9b5b208a283d7ff2468fa5584c6573705dc4a"},
        ships=True,
    ),
    "mnist": DataSource(
        "MNIST",
        "Y. LeCun, C. Cortes, C. J. C. Burges, http://yann.lecun.com/exdb/mnist/",
        "CC BY-SA 3.0",
        MNIST_SHA256,
        ships=False,
    ),
    "fashion-mnist": DataSource(
        "Fashion-MNIST",
        "Zalando SE, https://github.com/zalandoresearch/fashion-mnist (folder data/fashion)",
        "MIT",
        FASHION_SHA256,
        ships=False,
    ),
}


@dataclass(frozen=True)
class DataFolder:
    """Finds data sets; `folder` holds a subfolder for each one that does not ship with Engram."""

    folder: Path | None = None

    def check(self, name: str) -> None:
        """Raises `DatasetNotFound` if a file is missing, `ChecksumMismatch` if it is not as published."""
        for file in DATA_SETS[name].files:
            self._bytes_of(name, file)

    def digits(self) -> Dataset:
        """1,797 digits of 8 x 8 pixels."""
        self.check("digits")
        return load_digits()

    def letters(self) -> SplitDataset:
        """20,000 letters of 16 features; the labels are 0 for A to 25 for Z."""
        with self._shipped("letters", "letters.csv.gz") as path:
            table = read(path, ReadOptions(label="first", header=True))
        both = Dataset(table.features.astype(np.uint8), table.labels.codes.astype(np.uint16))
        order = np.arange(both.rows)
        parts = both.take(order[:LETTERS_TRAIN]), both.take(order[LETTERS_TRAIN:])
        return SplitDataset(*parts, "letters")

    def thyroid(self) -> list[dict[str, str]]:
        """9,172 records, each with the names of the first line; an empty text is a missing value."""
        with self._shipped("thyroid", "thyroid.csv.gz") as path:
            first, *lines = text_rows(path)
        return [dict(zip(first, line, strict=True)) for line in lines]

    def mnist(self) -> SplitDataset:
        """60,000 training and 10,000 test digits of 28 x 28 pixels."""
        return self._images("mnist")

    def fashion(self) -> SplitDataset:
        """60,000 training and 10,000 test pieces of clothing of 28 x 28 pixels."""
        return self._images("fashion-mnist")

    def _images(self, name: str) -> SplitDataset:
        self.check(name)
        assert self.folder is not None, "the check has found the files in it"
        at = self.folder / name
        train, test = (
            load_idx(at / f"{part}-images-idx3-ubyte.gz", at / f"{part}-labels-idx1-ubyte.gz")
            for part in ("train", "t10k")
        )
        return SplitDataset(train, test, DATA_SETS[name].title)

    @contextmanager
    def _shipped(self, name: str, file: str) -> Iterator[Path]:
        self.check(name)
        with resources.as_file(resources.files("engram.participant.data").joinpath(file)) as path:
            yield path

    def _bytes_of(self, name: str, file: str) -> bytes:
        wanted = DATA_SETS[name]
        if wanted.ships:
            raw = resources.files("engram.participant.data").joinpath(file).read_bytes()
        else:
            path = None if self.folder is None else self.folder / name / file
            if path is None or not path.is_file():
                place = f"DIR/{name}" if self.folder is None else str(self.folder / name)
                raise DatasetNotFound(
                    f"{wanted.title} is missing: put its files into {place}, and name DIR with --data; "
                    f"they come from {wanted.source}",
                    expected=sorted(wanted.files),
                )
            raw = path.read_bytes()
        if (digest := hashlib.sha256(raw).hexdigest()) != wanted.files[file]:
            raise ChecksumMismatch(
                f"{file} of {name} is not the published file; fetch it again from {wanted.source}",
                expected=wanted.files[file],
                got=digest,
            )
        return raw
