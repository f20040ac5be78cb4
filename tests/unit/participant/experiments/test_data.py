"""Data sets of experiments are found, checked and read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from engram.participant.errors import ChecksumMismatch, DatasetNotFound
from engram.participant.experiments.data import DATA_SETS, DataFolder


def test_what_ships_along_is_as_published() -> None:
    for name, source in DATA_SETS.items():
        if source.ships:
            DataFolder().check(name)


def test_digits_letters_and_thyroid_have_the_published_numbers() -> None:
    digits = DataFolder().digits()
    assert (digits.rows, digits.inputs) == (1797, 64)
    letters = DataFolder().letters()
    assert (letters.train.rows, letters.test.rows, letters.train.inputs) == (16_000, 4_000, 16)
    assert int(letters.train.features.max()) == 15
    labels = np.concatenate([letters.train.labels, letters.test.labels])
    assert np.bincount(labels)[[0, 25]].tolist() == [789, 734], "A and Z"
    thyroid = DataFolder().thyroid()
    assert len(thyroid) == 9172
    assert Counter(row["referral_source"] for row in thyroid)["SVI"] == 2394
    assert thyroid[0]["TSH"] == "0.3"


def test_a_missing_folder_names_files_source_and_remedy(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFound, match="put its files into DIR/mnist") as missing:
        DataFolder().mnist()
    assert "train-images-idx3-ubyte.gz" in str(missing.value.expected)
    with pytest.raises(DatasetNotFound, match="zalandoresearch"):
        DataFolder(tmp_path).check("fashion-mnist")


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    for name in DATA_SETS["mnist"].files:
        (tmp_path / "mnist" / name).write_bytes(b"something else")
    with pytest.raises(ChecksumMismatch, match="fetch it again"):
        DataFolder(tmp_path).mnist()
