"""Rows that are only to be answered need no labels: the user says so, or a mapping shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from engram.participant.datasets import load, load_questions
from engram.participant.tables.converting import converted
from engram.participant.tables.examining import examine
from engram.participant.tables.raw import ReadOptions
from engram.participant.tables.reading import read
from engram.primitives.errors import ChainError

ROWS = np.array([[5, 0], [6, 1], [7, 0], [8, 1]], dtype=np.uint8)
NONE = ReadOptions(label="none")


def put(folder: Path, kind: str) -> Path:
    path = folder / f"a.{kind}"
    match kind:
        case "csv":
            path.write_text("a,b\n" + "".join(f"{a},{b}\n" for a, b in ROWS.tolist()))
        case "npz":
            np.savez(path, x=ROWS.reshape(4, 2, 1))
        case "npy":
            np.save(path, ROWS)
        case _:
            pyarrow.parquet.write_table(pyarrow.table({"a": ROWS[:, 0], "b": ROWS[:, 1]}), path)
    return path


@pytest.mark.parametrize("kind", ["csv", "npz", "npy", "parquet"])
def test_rows_without_labels_are_read_where_these_are_not_needed(tmp_path: Path, kind: str) -> None:
    path = put(tmp_path, kind)
    asked = load_questions(str(path), NONE)
    assert (asked.features.tolist(), asked.labels) == (ROWS.tolist(), ())
    with pytest.raises(ChainError) as caught:
        load(str(path), NONE)
    assert caught.value.code == "values_missing", "nobody trains on such rows"
    assert examine(read(path, NONE)).facts["missing_labels"] == 4


@pytest.mark.parametrize("kind", ["csv", "npz", "npy", "parquet"])
def test_a_mapping_shows_that_there_are_no_labels(tmp_path: Path, kind: str) -> None:
    first = tmp_path / "first.csv"
    first.write_text("a,b,kind\n" if kind in ("csv", "parquet") else "")
    first.write_text(first.read_text() + "5,0,oak\n8,1,elm\n")
    mapping = tmp_path / "m.json"
    converted(read(first), None, scale="columns").mapping.save(mapping)
    asked = load_questions(str(put(tmp_path, kind)), None, mapping)
    assert asked.features.tolist() == [[0, 0], [85, 255], [170, 0], [255, 255]]
    assert (asked.labels, asked.classes) == ((), ("elm", "oak"))


def test_labels_that_a_mapping_does_not_know_do_not_matter_for_an_answer(tmp_path: Path) -> None:
    path, mapping = tmp_path / "a.csv", tmp_path / "m.json"
    path.write_text("a,b,kind\n5,0,oak\n8,1,elm\n")
    converted(read(path), None).mapping.save(mapping)
    path.write_text("note,kind,b,a\nold,ash,0,5\nnew,oak,1,8\nx,,0,5\n")
    asked = load_questions(str(path), None, mapping)
    assert (asked.features.tolist(), asked.labels) == ([[5, 0], [8, 1], [5, 0]], (None, 1, None))
