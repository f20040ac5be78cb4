"""Rows from files as programs read them: with labels, and without where a model shall only answer them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import engram
from engram.library.rows import Rows, dataset_of
from engram.participant.errors import DatasetMismatch, EmptyDataset, FeatureOutOfRange
from engram.participant.tables.converting import converted, save_rows
from engram.participant.tables.errors import ValuesMissing
from engram.participant.tables.raw import ReadOptions
from engram.participant.tables.reading import read


def test_features_are_read_with_labels_and_without(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("1,5,1\n0,6,0\n")
    assert engram.load_features(path, label="none").tolist() == [[1, 5, 1], [0, 6, 0]]
    assert engram.load_features(path, label="first").tolist() == [[5, 1], [6, 0]]
    assert engram.load_features("digits").shape == (1797, 64)
    with pytest.raises(ValuesMissing, match=r"have no labels.*engram\.load_features\(FILE"):
        engram.load_data(path, label="none")


def test_repeated_rows_of_a_stream_are_left_out() -> None:
    images = np.arange(6).reshape(3, 1, 2)[[0, 1, 0, 2, 1]]
    X, y = engram.without_repeats(images, ["a", "b", "a", "c", "a"])
    assert (X.tolist(), y.tolist()) == (images[[0, 1, 3, 4]].tolist(), ["a", "b", "c", "a"])
    none, labels = engram.without_repeats(images[:0], [])
    assert (len(none), len(labels)) == (0, 0)
    for rows, names in ((images, ["a"]), ([1, 2], [0, 1]), ([["x"]], [[0]])):
        with pytest.raises(DatasetMismatch):
            engram.without_repeats(rows, names)


def test_features_are_read_by_a_mapping_and_from_what_it_has_made(tmp_path: Path) -> None:
    first, asked, made = tmp_path / "first.csv", tmp_path / "asked.csv", tmp_path / "asked.npz"
    first.write_text("wide,long,kind\n0.5,10,oak\n2.5,30,elm\n")
    mapping = converted(read(first), None).mapping
    mapping.save(tmp_path / "first.mapping.json")
    asked.write_text("long,wide\n30,0.5\n10,2.5\n")
    by_mapping = engram.load_features(asked, mapping=tmp_path / "first.mapping.json")
    assert by_mapping.tolist() == [[0, 255], [255, 0]]
    done = converted(read(asked, mapping.options(ReadOptions())), mapping)
    assert (done.labelled, done.mapping.classes) == (False, ("elm", "oak"))
    save_rows(made, done.rows)
    assert np.array_equal(engram.load_features(made), by_mapping), "no column of it is taken for labels"
    with pytest.raises(ValuesMissing, match="have no labels"):
        engram.load_data(made)
    with pytest.raises(ValuesMissing, match="have no labels"):
        converted(read(asked, ReadOptions(label="none")), None)


@pytest.mark.parametrize("X", [[], [[]], ()], ids=str)
def test_a_list_without_rows_is_told_as_such(X: list[int]) -> None:
    """numpy makes floats of it, and the message was that floats must be scaled."""
    with pytest.raises(EmptyDataset, match="no rows"):
        dataset_of(X, [])
    with pytest.raises(EmptyDataset, match="no rows"):
        Rows(X, 2)
    with pytest.raises(EmptyDataset, match="no rows"):
        engram.without_repeats(X, [])


def test_rows_without_labels_and_text_are_told_as_such() -> None:
    with pytest.raises(DatasetMismatch, match="no labels"):
        dataset_of([[1, 2]], [])
    for X in ("digits", [["1", "2"]], None):
        with pytest.raises(FeatureOutOfRange, match="no numbers"):
            dataset_of(X, [0])  # type: ignore[arg-type]
