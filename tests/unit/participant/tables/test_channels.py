"""Pictures with channels before their lines are told from those with channels in each pixel, and a mapping
gives both the same rows.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engram.participant.datasets import load, load_questions
from engram.participant.tables.converting import converted, save_rows
from engram.participant.tables.examining import examine
from engram.participant.tables.mapping import fitted, load_mapping, mapped
from engram.participant.tables.raw import Channels, RawTable, ReadOptions
from engram.participant.tables.reading import read
from engram.primitives.errors import ChainError

LAST = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
"""Six pictures, five high and four wide, with three channels in each pixel."""
FIRST = np.ascontiguousarray(np.moveaxis(LAST, 3, 1))
KINDS = np.array([0, 1, 0, 1, 0, 1])


def npz(folder: Path, pictures: npt.NDArray[np.generic], name: str = "a.npz") -> Path:
    np.savez(folder / name, features=pictures, labels=np.resize(KINDS, len(pictures)))
    return folder / name


def idx(folder: Path, pictures: npt.NDArray[np.uint8]) -> Path:
    for name, array in (("images-idx3-ubyte", pictures), ("labels-idx1-ubyte", KINDS.astype(np.uint8))):
        head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        (folder / f"train-{name}").write_bytes(head + array.tobytes())
    return folder


@pytest.mark.parametrize("write", [npz, idx])
def test_the_shortest_axis_is_that_of_the_channels(tmp_path: Path, write: object) -> None:
    for pictures, axis in ((LAST, "last"), (FIRST, "first")):
        assert callable(write)
        found: RawTable = read(write(tmp_path, pictures))
        assert found.channels == Channels(axis, "guessed")
        assert found.features.tolist() == pictures.reshape(6, 60).tolist()
        assert examine(found).facts["channels"] == {"axis": axis, "found": "guessed"}


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((1, 28, 28), "first"),
        ((28, 28, 1), "last"),
        ((13, 64, 64), "first"),
        ((64, 64, 13), "last"),
        ((3, 24, 32), "first"),
        ((1, 1, 7), None),
        ((7, 1, 1), None),
        ((6, 6), None),
        ((36,), None),
        ((2, 3, 4, 5), None),
    ],
)
def test_shapes_that_say_where_their_channels_are(
    tmp_path: Path, shape: tuple[int, ...], axis: str | None
) -> None:
    found = read(npz(tmp_path, np.zeros((4, *shape), dtype=np.uint8)))
    assert found.channels == (None if axis is None else Channels(axis, "guessed"))


@pytest.mark.parametrize("shape", [(3, 3, 3), (3, 8, 3), (8, 8, 16), (16, 8, 8), (5, 2, 5)])
def test_a_shape_that_shows_nothing_is_refused_until_somebody_says_it(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    path = npz(tmp_path, np.zeros((4, *shape), dtype=np.uint8))
    for reading in (lambda: read(path), lambda: load(str(path))):
        with pytest.raises(ChainError, match="data convert --channels") as caught:
            reading()
        assert caught.value.code == "channels_unclear"
    for axis in ("first", "last"):
        assert read(path, ReadOptions(channels=axis)).channels == Channels(axis, "asked")


@pytest.mark.parametrize(("made_of", "later"), [(LAST, FIRST), (FIRST, LAST), (FIRST, FIRST)])
def test_rows_of_a_later_file_are_turned_to_the_order_of_the_mapping(
    tmp_path: Path, made_of: npt.NDArray[np.uint8], later: npt.NDArray[np.uint8]
) -> None:
    fitted(read(npz(tmp_path, made_of))).save(tmp_path / "a.mapping.json")
    kept = load_mapping(tmp_path / "a.mapping.json")
    path = npz(tmp_path, later, "later.npz")
    expected = made_of.reshape(6, 60).tolist()
    done = converted(read(path), kept)
    assert done.rows.features.tolist() == expected
    assert load(str(path), mapping=tmp_path / "a.mapping.json").features.tolist() == expected
    asked = load_questions(str(path), mapping=tmp_path / "a.mapping.json")
    assert (asked.features.tolist(), asked.shape) == (expected, made_of.shape[1:])
    save_rows(tmp_path / "done.npz", done.rows)
    assert load(str(tmp_path / "done.npz")).features.tolist() == expected


def test_a_mapping_of_before_channels_were_kept_turns_nothing(tmp_path: Path) -> None:
    fitted(read(npz(tmp_path, LAST))).save(tmp_path / "a.mapping.json")
    text = (tmp_path / "a.mapping.json").read_text()
    (tmp_path / "a.mapping.json").write_text(text.replace(' "channels": "last",\n', ""))
    kept = load_mapping(tmp_path / "a.mapping.json")
    assert kept.channels is None
    assert mapped(read(npz(tmp_path, FIRST)), kept).features.tolist() == FIRST.reshape(6, 60).tolist()
    (tmp_path / "a.mapping.json").write_text(text.replace('"last"', '"left"'))
    with pytest.raises(ChainError, match="neither first nor last"):
        load_mapping(tmp_path / "a.mapping.json")
