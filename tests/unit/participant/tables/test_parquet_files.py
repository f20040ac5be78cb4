"""Parquet files: columns of numbers and one of labels; what pyarrow cannot read is named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from engram.participant.tables.converting import converted
from engram.participant.tables.mapping import mapped
from engram.participant.tables.raw import RawTable, ReadOptions
from engram.participant.tables.reading import read
from engram.primitives.errors import ChainError


def put(folder: Path, columns: dict[str, Any], **options: Any) -> Path:
    path = folder / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path, **options)
    return path


def labels(table: RawTable) -> list[str | None]:
    return [table.labels.names[code] if code >= 0 else None for code in table.labels.codes]


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(ChainError) as caught:
        read(path, ReadOptions(**options))
    return caught.value.code


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
def test_numbers_and_words_are_read(tmp_path: Path, compression: str) -> None:
    columns = {
        "a": [1, 2, None],
        "kind": ["oak", None, "elm"],
        "b": [0.5, 1.5, 2.5],
        "c": [True, False, None],
    }
    table = read(put(tmp_path, columns, compression=compression))
    assert (table.columns, labels(table)) == (("a", "b", "c"), ["oak", None, "elm"])
    expected = np.array([[1, 0.5, 1], [2, 1.5, 0], [np.nan, 2.5, np.nan]])
    assert np.array_equal(table.features, expected, equal_nan=True)
    assert (table.column.place, table.column.how) == ("kind", "words")


@pytest.mark.parametrize(
    ("columns", "place", "how"),
    [
        ({"a": [5, 6], "target": [0, 1], "b": [7, 8]}, "target", "named"),
        ({"x": [0, 1] * 3, "b": [7, 8] * 3, "c": [9, 3] * 3}, "x", "values"),
        ({"x": pyarrow.array(["u", "v"]).dictionary_encode(), "b": [7, 8]}, "x", "words"),
    ],
)
def test_the_label_column_is_found(tmp_path: Path, columns: dict[str, Any], place: str, how: str) -> None:
    table = read(put(tmp_path, columns))
    assert (table.column.place, table.column.how, table.column.doubtful) == (place, how, False)


def test_a_mapping_finds_the_columns_of_a_later_file(tmp_path: Path) -> None:
    first = converted(read(put(tmp_path, {"a": [0.0, 0.5], "b": [4, 8], "kind": ["u", "v"]})), None)
    later = put(tmp_path, {"note": ["x"], "kind": ["v"], "b": [6], "a": [0.0]})
    rows = mapped(read(later, first.mapping.options(ReadOptions())), first.mapping)
    assert (rows.features.tolist(), rows.labels.tolist()) == ([[0, 128]], [1])


def test_a_long_file_is_read_in_pieces(tmp_path: Path) -> None:
    values = np.arange(40_000) % 256
    told: list[tuple[int, int]] = []
    path = put(tmp_path, {"a": values, "b": values[::-1], "label": values % 3}, row_group_size=7_000)
    table = read(path, ReadOptions(progress=lambda done, size: told.append((done, size))))
    assert (table.features.dtype.name, table.rows) == ("uint8", 40_000)
    assert np.array_equal(table.features[:, 0], values)
    assert labels(table) == [str(value % 3) for value in values]
    assert told[-1][0] == told[-1][1] == path.stat().st_size


@pytest.mark.parametrize(
    ("columns", "options", "code"),
    [
        ({"a": ["x"], "b": ["y"], "c": [1]}, {}, "value_not_number"),
        ({"a": [[1]], "label": [1]}, {}, "value_not_number"),
        ({"a": [1], "label": [[1]]}, {}, "value_not_number"),
        ({"label": [1]}, {}, "labels_missing"),
        ({"a": [1], "b": [2]}, {"drop": ("a",)}, "labels_missing"),
        ({"a": [1], "b": [2]}, {"label": "c"}, "column_not_found"),
        ({"a": pyarrow.array([], "int64"), "label": pyarrow.array([], "int64")}, {}, "empty_dataset"),
        ({"a": [1], "label": ["x" * 300]}, {}, "dataset_too_large"),
        ({"day": ["2024-01-01", "2024-01-02"], "b": [0, 1]}, {}, "value_not_number"),
        ({"label": [0, 1], "class": [0, 1], "b": [0, 1]}, {}, "labels_missing"),
    ],
)
def test_what_is_no_table_of_rows_is_refused(
    tmp_path: Path, columns: dict[str, Any], options: dict[str, Any], code: str
) -> None:
    assert refused(put(tmp_path, columns), **options) == code


def test_a_file_that_unpacks_to_much_is_refused_by_its_description(tmp_path: Path) -> None:
    column = pyarrow.chunked_array([pyarrow.array(np.zeros(2**20, np.uint8))] * 17)
    path = put(tmp_path, {"a": column, "label": column}, compression="zstd")
    assert path.stat().st_size < 2**20
    assert refused(path) == "dataset_too_large"


def test_a_long_word_that_rows_repeat_is_held_once(tmp_path: Path) -> None:
    """Seen: a file of 11 kB took seven gigabytes."""
    words = pyarrow.DictionaryArray.from_arrays(np.arange(2**14) % 2, pyarrow.array(["a" * 2**16, "b"]))
    path = put(tmp_path, {"a": np.zeros(2**14, np.uint8), "label": words}, store_schema=False)
    pool = pyarrow.proxy_memory_pool(usual := pyarrow.default_memory_pool())
    pyarrow.set_memory_pool(pool)
    try:
        assert refused(path) == "dataset_too_large"
        assert 0 < pool.max_memory() < 2**24
    finally:
        pyarrow.set_memory_pool(usual)


def test_broken_files_are_named(tmp_path: Path) -> None:
    path = put(tmp_path, {"a": [1, 2], "label": [0, 1]})
    raw = path.read_bytes()
    for content, code in (
        (raw[:-1], "dataset_damaged"),
        (raw[: len(raw) // 2], "dataset_damaged"),
        (b"PAR1", "dataset_damaged"),
        (raw[:-8] + b"\xff\xff\xff\x7fPAR1", "dataset_damaged"),
        (raw[:-4] + b"PARE", "dataset_encrypted"),
        (b"PAR1" + bytes(200) + raw[-8:], "dataset_damaged"),
    ):
        path.write_bytes(content)
        assert refused(path) == code


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, {"a": [1], "label": [0]})
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ChainError, match=r'-m pip install "engram\[parquet\]"') as caught:
        read(path)
    assert caught.value.code == "reader_missing"
