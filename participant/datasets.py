"""Labelled rows as training and rounds use them, and where they come from by name: files, MNIST, shipped
digits.

A feature is a whole number from 0 to 255, a label a whole number below 65,536, because the chain can hold no
others. A file that holds anything else (NaN, fractions, negative numbers) is refused with a message that
names the file; nothing is rounded. Files are read in `tables/`. No node and no training stand here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engram.participant import errors
from engram.participant.tables.applying import is_converted, mapping_beside
from engram.participant.tables.channels import shape_laid_out
from engram.participant.tables.examining import DataWarning, file_doubts
from engram.participant.tables.idx import read_idx_pair
from engram.participant.tables.mapping import load_mapping, mapped, mapped_features
from engram.participant.tables.raw import RawTable, ReadOptions
from engram.participant.tables.reading import read
from engram.participant.tables.values import plain_features, plain_labels

MNIST_SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
FASHION_SHA256 = {
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
PUBLISHED_SETS = {"MNIST": MNIST_SHA256, "Fashion-MNIST": FASHION_SHA256}


@dataclass(frozen=True, repr=False)
class Dataset:
    """Rows of features, each with its label."""

    features: npt.NDArray[np.uint8]
    """(rows, inputs) uint8."""
    labels: npt.NDArray[np.uint16]
    """(rows,) uint16."""

    def __repr__(self) -> str:
        classes = np.unique(self.labels)
        known = f", labels {classes[0]} to {classes[-1]} ({len(classes)} classes)" if len(classes) else ""
        return f"Dataset({self.rows:,} rows of {self.inputs:,} features{known})"

    @property
    def rows(self) -> int:
        return int(self.features.shape[0])

    @property
    def inputs(self) -> int:
        return int(self.features.shape[1])

    def take(self, index: npt.NDArray[np.int64]) -> Dataset:
        """The rows at `index`, in that order."""
        return Dataset(self.features[index], self.labels[index])

    def of_classes(self, classes: Sequence[int]) -> Dataset:
        """The rows whose label is one of `classes`."""
        return self.take(np.flatnonzero(np.isin(self.labels, classes)))

    def shuffled(self, rng: np.random.Generator) -> Dataset:
        """The same rows in an order drawn from `rng`."""
        return self.take(rng.permutation(self.rows))

    def interleaved(self) -> Dataset:
        """The same rows in an order that spreads the rows of every class as evenly as possible."""
        return self.take(spread_places(self.labels))


def spread_places(labels: npt.NDArray[np.uint16]) -> npt.NDArray[np.int64]:
    """The places of rows with these labels, in an order that spreads the rows of every class evenly."""
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    spread = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes if size])
    return order[np.argsort(spread, kind="stable")]


def concatenate(sets: Sequence[Dataset]) -> Dataset:
    """All rows of `sets`, one set after the other."""
    return Dataset(np.concatenate([s.features for s in sets]), np.concatenate([s.labels for s in sets]))


def load_digits() -> Dataset:
    """The 1,797 8x8 digits of the UCI repository that ship inside the package (CC BY 4.0)."""
    with resources.as_file(resources.files("engram.participant.data").joinpath("digits.csv.gz")) as path:
        return plain_rows(read(path, ReadOptions(label="last", header=False)))


@dataclass(frozen=True)
class SplitDataset:
    """A data set that comes with test rows of its own."""

    train: Dataset
    test: Dataset
    name: str


def load_mnist_folder(folder: Path) -> SplitDataset:
    """The data set in the four idx files of MNIST or Fashion-MNIST in `folder`.

    Raises `DatasetNotFound`, which names the first missing file, and `ChecksumMismatch` if a file's SHA-256
    is not the published one.
    """
    for name in MNIST_SHA256:
        if not (folder / name).is_file():
            raise errors.DatasetNotFound(f"{folder} lacks {name}", expected=sorted(MNIST_SHA256))
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in MNIST_SHA256}
    known = next((title for title, published in PUBLISHED_SETS.items() if published == digests), None)
    if known is None:
        wrong = next(name for name in MNIST_SHA256 if digests[name] != MNIST_SHA256[name])
        raise errors.ChecksumMismatch(
            f"{wrong} is not the published file; fetch it again",
            expected=MNIST_SHA256[wrong],
            got=digests[wrong],
        )
    train = load_idx(folder / "train-images-idx3-ubyte.gz", folder / "train-labels-idx1-ubyte.gz")
    test = load_idx(folder / "t10k-images-idx3-ubyte.gz", folder / "t10k-labels-idx1-ubyte.gz")
    return SplitDataset(train, test, known)


def load(source: str, options: ReadOptions | None = None, mapping: Path | None = None) -> Dataset:
    """The rows of `source`: `digits`, or a file or folder as `tables.reading.read` takes it.

    Raises what `load_source` raises.
    """
    return load_source(source, options, mapping)[0]


def load_source(
    source: str, options: ReadOptions | None = None, mapping: Path | None = None
) -> tuple[Dataset, tuple[DataWarning, ...]]:
    """The rows of `source`, and what is doubtful about how the file was read.

    `mapping`: a file that `engram data convert` has written, which says what bytes and classes the values and
    labels become. Raises what `read`, `load_mapping`, `mapped` and `plain_rows` raise.
    """
    if source == "digits":
        return load_digits(), ()
    if mapping is None:
        table = read(Path(source), options)
        return plain_rows(table), file_doubts(table)
    known = load_mapping(mapping)
    table = read(Path(source), known.options(options or ReadOptions()))
    rows = mapped(table, known)
    missing = "values_missing" if known.fill else ""
    doubts = tuple(warning for warning in file_doubts(table) if warning.code != missing)
    return Dataset(rows.features, rows.labels), doubts


def _none() -> npt.NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Questions:
    """Rows that a model is to answer, with the labels that their file gives them."""

    features: npt.NDArray[np.uint8]
    labels: tuple[int | None, ...]
    """The class of each row, None where the file gives none that is known; () if it has no labels."""
    classes: tuple[str, ...]
    """The label of each class, if a mapping names them."""
    shape: tuple[int, ...] = ()
    """The shape of a row in the order of its values: (inputs,), or that of a picture."""
    mapping: Path | None = None
    """The mapping that was used."""
    filled: npt.NDArray[np.int64] = field(default_factory=_none)
    """How many missing values of each row the mapping has filled."""
    beyond: npt.NDArray[np.int64] = field(default_factory=_none)
    """How many values of each row lie beyond the mapping's range, so that they became 0 or 255."""


def load_questions(source: str, options: ReadOptions | None = None, mapping: Path | None = None) -> Questions:
    """The rows of `source` to be answered: they need no labels, and may have unknown ones.

    Without `mapping`, the one beside the file is used, if there is one: of a file that it has made for the
    names of its classes, of any other as if it were given.

    Raises what `read`, `load_mapping` and `mapped_features` or `plain_features` raise.
    """
    if source == "digits":
        digits = load_digits()
        return Questions(digits.features, tuple(digits.labels.tolist()), ())
    found = mapping or mapping_beside(source)
    known = None if found is None else load_mapping(found)
    classes = () if known is None else known.classes
    if mapping is None and is_converted(source):
        known = None
    asked = options or ReadOptions()
    table = read(Path(source), asked if known is None else known.options(asked))
    if known is None:
        features = plain_features(table)
        filled = beyond = _none()
    else:
        features, filled, beyond = mapped_features(table, known)
    shape = shape_laid_out(table, None if known is None else known.channels)
    if not table.labels.names:
        return Questions(features, (), classes, shape, found, filled, beyond)
    places = {name: place for place, name in enumerate(classes)}
    numbers = [
        (int(name) if name.isascii() and name.isdigit() else None) if known is None else places.get(name)
        for name in table.labels.names
    ]
    labels = tuple(numbers[code] if code >= 0 else None for code in table.labels.codes)
    return Questions(features, labels, classes, shape, found, filled, beyond)


def plain_rows(table: RawTable) -> Dataset:
    """The rows of a file that holds what the chain can hold.

    Raises `ValuesMissing`, `FeatureOutOfRange`, `DatasetLabelOutOfRange`.
    """
    return Dataset(plain_features(table), plain_labels(table))


def load_idx(images: Path, labels: Path) -> Dataset:
    """Reads two files in MNIST's idx format (big-endian magic and dimensions, then numbers), gzipped or
    not.
    """
    return plain_rows(read_idx_pair(images, labels, ReadOptions()))
