"""Reads labelled rows from files: the digits that ship with Engram, MNIST's idx files, csv and npz.

A feature is a whole number from 0 to 255, a label a whole number below 65,536, because the chain can hold no
others. A file that holds anything else (NaN, fractions, negative numbers) is refused with a message that
names the file; nothing is rounded. No node and no training stand here.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engram.participant import errors

MAX_VALUES = 2**30
"""Most bytes that a compressed file may unpack to; reading stops there."""
SHOWN_LETTERS = 40
"""How many letters of a bad row an error shows."""

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


@dataclass(frozen=True)
class Dataset:
    """Rows of features, each with its label."""

    features: npt.NDArray[np.uint8]
    """(rows, inputs) uint8."""
    labels: npt.NDArray[np.uint16]
    """(rows,) uint16."""

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
        order = np.argsort(self.labels, kind="stable")
        sizes = np.bincount(self.labels)
        spread = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes if size])
        return self.take(order[np.argsort(spread, kind="stable")])


def concatenate(sets: Sequence[Dataset]) -> Dataset:
    """All rows of `sets`, one set after the other."""
    return Dataset(np.concatenate([s.features for s in sets]), np.concatenate([s.labels for s in sets]))


def load_digits() -> Dataset:
    """The 1,797 8x8 digits of the UCI repository that ship inside the package (CC BY 4.0)."""
    raw = resources.files("engram.participant.data").joinpath("digits.csv.gz").read_bytes()
    return _from_table(gzip.decompress(raw).decode("ascii"), "digits")


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


def load(source: str) -> Dataset:
    """The rows of `source`: `digits`, a folder of idx files (its training rows), .csv, .csv.gz or .npz.

    Raises `DatasetNotFound`, `ChecksumMismatch`, `ForeignDataset`, `EmptyDataset`, `FeatureOutOfRange` or
    `DatasetLabelOutOfRange`.
    """
    if source == "digits":
        return load_digits()
    path = Path(source)
    if path.is_dir():
        return load_mnist_folder(path).train
    if not path.is_file():
        raise errors.DatasetNotFound(
            f"there is no data set at {source}", expected="digits, a folder of idx files, .csv, .npz"
        )
    if path.name.endswith(".npz"):
        return load_npz(path)
    if path.name.endswith((".csv", ".csv.gz")):
        return load_csv(path)
    raise errors.ForeignDataset(
        f"{source} is of an unknown kind", expected=".csv, .csv.gz, .npz or a folder of idx files"
    )


def load_csv(path: Path) -> Dataset:
    """Reads comma-separated whole numbers: one row on each line, its label last, no line of titles."""
    raw = _bytes_of(path)
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError as error:
        raise errors.ForeignDataset(f"{path.name} is not plain text") from error
    return _from_table(text, path.name)


def load_npz(path: Path) -> Dataset:
    """Reads a numpy archive with the arrays `features` (rows, inputs) and `labels` (rows,).

    Archives with pickled objects are refused, because loading them could run code.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            features, labels = archive["features"], archive["labels"]
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise errors.ForeignDataset(
            f"{path.name} has no readable arrays `features` and `labels`: {error}"
        ) from error
    return _checked(features, labels, path.name)


def load_idx(images: Path, labels: Path) -> Dataset:
    """Reads two files in MNIST's idx format (big-endian magic and dimensions, then bytes), gzipped or not."""
    pixels = _read_idx(images)
    inputs = int(np.prod(pixels.shape[1:], dtype=np.int64))
    return _checked(pixels.reshape(pixels.shape[0], inputs), _read_idx(labels), images.name)


def _read_idx(path: Path) -> npt.NDArray[np.uint8]:
    raw = _bytes_of(path)
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08" or not 1 <= raw[3] <= 4:
        raise errors.ForeignDataset(
            f"{path.name} is not an idx file of bytes", expected="00 00 08 0n", got=raw[:4]
        )
    ndim = raw[3]
    if len(raw) < 4 + 4 * ndim:
        raise errors.ForeignDataset(f"{path.name} ends inside its header", got=len(raw))
    dims = struct.unpack(f">{ndim}I", raw[4 : 4 + 4 * ndim])
    size = 1
    for dim in dims:
        size *= dim
    if size != len(raw) - 4 - 4 * ndim:
        raise errors.ForeignDataset(
            f"{path.name} does not have the length that its header gives",
            expected=size,
            got=len(raw) - 4 - 4 * ndim,
        )
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim).reshape(dims)


def _bytes_of(path: Path) -> bytes:
    if not path.is_file():
        raise errors.DatasetNotFound(f"there is no file at {path}")
    raw = path.read_bytes()
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        with gzip.open(path) as stream:
            data = stream.read(MAX_VALUES + 1)
    except (OSError, EOFError) as error:
        raise errors.ForeignDataset(f"{path.name} is a damaged gzip file: {error}") from error
    if len(data) > MAX_VALUES:
        raise errors.ForeignDataset(f"{path.name} is too large", expected=MAX_VALUES)
    return data


def _from_table(text: str, name: str) -> Dataset:
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise errors.EmptyDataset(f"{name} holds no rows")
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(np.array([int(cell) for cell in line.split(",")], dtype=np.int64))
        except (ValueError, OverflowError) as error:
            raise errors.ForeignDataset(
                f"{name}: row {number} is not whole numbers separated by commas, the label last; "
                "remove a line of titles",
                got=line[:SHOWN_LETTERS],
            ) from error
        if len(rows[-1]) != len(rows[0]):
            raise errors.ForeignDataset(
                f"{name}: row {number} differs from the first row in length",
                expected=len(rows[0]),
                got=len(rows[-1]),
            )
    table = np.stack(rows)
    return _checked(table[:, :-1], table[:, -1], name)


def _checked(features: npt.NDArray[np.generic], labels: npt.NDArray[np.generic], name: str) -> Dataset:
    if features.ndim != 2 or labels.ndim != 1 or features.shape[0] != labels.shape[0]:
        raise errors.ForeignDataset(
            f"{name}: features must have the shape (rows, inputs), labels the shape (rows,)",
            got=(features.shape, labels.shape),
        )
    if features.size == 0:
        raise errors.EmptyDataset(f"{name} holds no rows or no features")
    if not _whole(features, 255):
        raise errors.FeatureOutOfRange(
            f"{name}: a feature is not a whole number from 0 to 255; scale and round them first"
        )
    if not _whole(labels, 65_535):
        raise errors.DatasetLabelOutOfRange(f"{name}: a label is not a whole number from 0 to 65,535")
    return Dataset(
        np.ascontiguousarray(features, dtype=np.uint8), np.ascontiguousarray(labels, dtype=np.uint16)
    )


def _whole(values: npt.NDArray[np.generic], largest: int) -> bool:
    if values.dtype.kind not in "uif":
        return False
    if values.dtype.kind == "f" and not bool(np.all(np.isfinite(values) & (values == np.floor(values)))):
        return False
    return int(values.min()) >= 0 and int(values.max()) <= largest
