"""A mapping gives every later file the same classes and the same bytes, and is kept and read without loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.participant.datasets import load
from engram.participant.tables.converting import converted, save_rows
from engram.participant.tables.examining import examine
from engram.participant.tables.mapping import DataMapping, fitted, load_mapping, mapped
from engram.participant.tables.raw import RawTable, ReadOptions
from engram.participant.tables.reading import read
from engram.primitives.errors import ChainError

FIRST = "id,wide,long,kind\n1,0.5,-10,oak\n2,1.0,30,elm\n3,1.5,10,oak\n"
LATER = "kind,long,note,wide\nelm,10,old,1.0\nash,90,new,0.0\n"


def table(folder: Path, text: str, **options: Any) -> RawTable:
    path = folder / "rows.csv"
    path.write_text(text)
    return read(path, ReadOptions(**options))


def code_of(caught: pytest.ExceptionInfo[ChainError]) -> str:
    return caught.value.code


def test_values_are_scaled_by_columns_and_labels_numbered(tmp_path: Path) -> None:
    done = converted(table(tmp_path, FIRST, drop=("id",)), None)
    assert done.mapping.classes == ("elm", "oak")
    assert done.rows.labels.tolist() == [1, 0, 1]
    assert done.rows.features.tolist() == [[0, 0], [128, 255], [255, 128]]


def test_a_later_file_follows_the_mapping(tmp_path: Path) -> None:
    """Other order of columns, a column more, a label more, values beyond the range."""
    mapping = fitted(table(tmp_path, FIRST, drop=("id",)))
    mapping.save(tmp_path / "rows.mapping.json")
    kept = load_mapping(tmp_path / "rows.mapping.json")
    assert kept == mapping
    (tmp_path / "later.csv").write_text(LATER)
    later = read(tmp_path / "later.csv", kept.options(ReadOptions()))
    with pytest.raises(ChainError, match="'ash'") as caught:
        mapped(later, kept)
    assert code_of(caught) == "label_unknown"
    done = converted(later, kept, extend=True)
    assert done.mapping.classes == ("elm", "oak", "ash")
    assert done.rows.labels.tolist() == [0, 2]
    assert done.rows.features.tolist() == [[128, 128], [0, 255]]
    assert done.rows.beyond == 2
    assert "values_beyond" in [warning.code for warning in done.warnings]


def test_a_feature_of_the_mapping_is_never_taken_for_the_labels(tmp_path: Path) -> None:
    """Seen: one title was another, so the last feature became the labels and was said to be missing."""
    mapping = fitted(table(tmp_path, "mean,girth,kind\n1.5,10,oak\n2.5,30,elm\n"))
    (tmp_path / "later.csv").write_text("average,girth\n1.5,10\n2.5,12\n")
    with pytest.raises(
        ChainError, match="lacks columns of the mapping: 'mean'; it has the columns"
    ) as caught:
        read(tmp_path / "later.csv", mapping.options(ReadOptions()))
    assert str(caught.value).count("'mean'") == 1
    assert "it has the columns 'average', 'girth'" in str(caught.value)
    assert code_of(caught) == "mapping_mismatch"
    (tmp_path / "named.csv").write_text("mean,girth,kind\n1.5,10,oak\n")
    with pytest.raises(ChainError, match="'girth' is a feature of the mapping") as named:
        read(tmp_path / "named.csv", mapping.options(ReadOptions(label="girth")))
    assert code_of(named) == "mapping_mismatch"


@pytest.mark.parametrize("rows", ["1.5,12.5 cm,oak\n", "1.5,10,oak\n" * 150 + "1.5,12.5 cm,oak\n"])
def test_a_cell_with_a_unit_is_named_and_no_column_is_to_be_left_out(tmp_path: Path, rows: str) -> None:
    """The features of a mapping can be neither dropped nor taken for labels, so neither is proposed."""
    mapping = fitted(table(tmp_path, "mean,girth,kind\n1.5,10,oak\n2.5,30,elm\n"))
    (tmp_path / "later.csv").write_text("mean,girth,kind\n" + rows)
    with pytest.raises(ChainError, match=r"'?girth'? holds '12.5 cm', which is no number") as caught:
        read(tmp_path / "later.csv", mapping.options(ReadOptions()))
    assert code_of(caught) == "value_not_number"
    assert "row 1," in str(caught.value) or "line 152," in str(caught.value)
    assert "write the number alone" in str(caught.value)
    assert "--drop" not in str(caught.value)


def test_rows_without_labels_are_said_to_lack_labels(tmp_path: Path) -> None:
    mapping = fitted(table(tmp_path, "mean,girth,kind\n1.5,10,oak\n2.5,30,elm\n"))
    (tmp_path / "later.csv").write_text("mean,girth\n1.5,10\n")
    asked = read(tmp_path / "later.csv", mapping.options(ReadOptions(label="none")))
    with pytest.raises(ChainError, match=r"have no labels.*load_features") as none:
        mapped(asked, mapping)
    assert "--missing" not in str(none.value)
    (tmp_path / "later.csv").write_text("mean,girth,kind\n1.5,10,oak\n2.5,12,\n")
    some = read(tmp_path / "later.csv", mapping.options(ReadOptions()))
    with pytest.raises(ChainError, match=r"lacks labels in 1 row, row 2: .*out$") as one:
        mapped(some, mapping)
    assert code_of(none) == code_of(one) == "values_missing"


def test_values_that_the_mapping_fills_are_not_to_be_filled_again(tmp_path: Path) -> None:
    mapping = fitted(table(tmp_path, "mean,girth,kind\n1.5,10,oak\n2.5,,elm\n"), missing="mean")
    later = table(tmp_path, "mean,girth,kind\n1.5,,oak\n2.5,12,elm\n")
    found = {warning.code: warning for warning in examine(later, mapping).warnings}
    assert "values_missing" not in found
    assert found["values_filled"].message.startswith("1 values are missing; the mapping fills each")
    assert "--missing" not in found["values_filled"].remedy


def test_a_mapping_keeps_the_comma_before_fractions(tmp_path: Path) -> None:
    mapping = fitted(table(tmp_path, "a;b;kind\n1,5;2;x\n3,5;4;y\n", decimal=","))
    mapping.save(tmp_path / "m.json")
    kept = load_mapping(tmp_path / "m.json")
    later = read(tmp_path / "rows.csv", kept.options(ReadOptions()))
    assert mapped(later, kept).features.tolist() == [[0, 0], [255, 255]]


def test_what_was_converted_is_what_the_mapping_makes_of_the_file(tmp_path: Path) -> None:
    done = converted(table(tmp_path, FIRST, drop=("id",)), None)
    save_rows(tmp_path / "rows.npz", done.rows)
    done.mapping.save(tmp_path / "rows.mapping.json")
    plain = load(str(tmp_path / "rows.npz"))
    again = load(str(tmp_path / "rows.csv"), mapping=tmp_path / "rows.mapping.json")
    assert plain.features.tolist() == again.features.tolist() == done.rows.features.tolist()
    assert plain.labels.tolist() == again.labels.tolist() == done.rows.labels.tolist()


@pytest.mark.parametrize(
    ("values", "scale", "low", "high"),
    [
        ([[0, 255], [7, 9]], "auto", (0,), (255,)),
        ([[0, 255], [7, 9]], "columns", (0, 9), (7, 255)),
        ([[0.25, 1], [0.5, 0.5]], "auto", (0.25, 0.5), (0.5, 1)),
        ([[0.25, 1], [0.5, 0.5]], "all", (0,), (1,)),
        ([[-0.25, 1], [0.5, 0.5]], "all", (-1,), (1,)),
        ([[-3, 1], [0.5, 7]], "all", (-3,), (7,)),
    ],
)
def test_the_range_is_that_of_columns_or_of_all(
    tmp_path: Path, values: list[list[float]], scale: str, low: tuple[float], high: tuple[float]
) -> None:
    np.savez(tmp_path / "a.npz", x=np.array(values), y=np.array([0, 1]))
    mapping = fitted(read(tmp_path / "a.npz"), scale)
    assert (mapping.low, mapping.high) == (low, high)


def test_a_margin_leaves_room_for_later_values(tmp_path: Path) -> None:
    found = table(tmp_path, "1.5,0.5,a\n2.5,1,b\n")
    mapping = fitted(found, margin=0.5)
    assert (mapping.low, mapping.high) == ((1.0, 0.25), (3.0, 1.25))
    later = mapped(table(tmp_path, "1.0,1.25,a\n3.0,0.25,b\n"), mapping)
    assert (later.features.tolist(), later.beyond) == ([[0, 255], [255, 0]], 0)


def test_pictures_have_one_range(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.full((2, 2, 2), 0.5), y=np.array([0, 1]))
    done = converted(read(tmp_path / "a.npz"), None)
    assert (done.mapping.low, done.mapping.high) == ((0.0,), (1.0,))
    assert set(done.rows.features.ravel().tolist()) == {128}


def test_values_that_stay_must_be_bytes(tmp_path: Path) -> None:
    done = converted(table(tmp_path, "5,7,a\n6,8,b\n"), None, scale="none")
    assert done.rows.features.tolist() == [[5, 7], [6, 8]]
    with pytest.raises(ChainError) as caught:
        converted(table(tmp_path, "0.5,7,a\n6,8,b\n"), None, scale="none")
    assert code_of(caught) == "feature_out_of_range"


def test_missing_values_are_refused_dropped_or_filled(tmp_path: Path) -> None:
    found = table(tmp_path, "a,b,label\n1.5,,x\n3.5,4,\n5.5,8,y\n7.5,0,x\n")
    with pytest.raises(ChainError) as caught:
        converted(found, None)
    assert code_of(caught) == "values_missing"
    dropped = converted(found, None, missing="drop")
    assert (dropped.rows.dropped, dropped.rows.labels.tolist()) == (2, [1, 0])
    filled = converted(found, None, missing="mean")
    assert (filled.rows.dropped, filled.rows.filled) == (1, 1)
    assert filled.mapping.fill == (4.5, 4.0)
    assert filled.rows.features.tolist()[0] == [0, 128]
    assert "values_missing" not in [warning.code for warning in filled.warnings]


def test_a_missing_value_among_bytes_does_not_scale_them(tmp_path: Path) -> None:
    done = converted(table(tmp_path, "10,20,a\n,40,b\n30,60,a\n"), None, missing="mean")
    assert done.rows.features.tolist() == [[10, 20], [20, 40], [30, 60]]


def test_a_file_of_which_no_row_is_left_is_empty(tmp_path: Path) -> None:
    with pytest.raises(ChainError) as caught:
        converted(table(tmp_path, "a,b,label\n,1,x\n,2,y\n"), None, missing="drop")
    assert code_of(caught) == "empty_dataset"


def test_numbers_too_far_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ChainError) as caught:
        converted(table(tmp_path, "-1e308,1,x\n1e308,2,y\n"), None)
    assert code_of(caught) == "feature_out_of_range"


@pytest.mark.parametrize("text", ["1,2,oak\n", "wide,tall,kind\n1,2,oak\n"])
def test_a_file_with_other_columns_is_refused(tmp_path: Path, text: str) -> None:
    mapping = fitted(table(tmp_path, FIRST, drop=("id",)))
    with pytest.raises(ChainError) as caught:
        mapped(table(tmp_path, "1," + text if text[0] == "1" else text), mapping)
    assert code_of(caught) == "mapping_mismatch"


def test_labels_that_are_numbers_keep_their_order(tmp_path: Path) -> None:
    done = converted(table(tmp_path, "5,9,10\n6,9,2\n7,9,10\n", label="last"), None)
    assert done.mapping.classes == ("2", "10")
    assert done.rows.labels.tolist() == [1, 0, 1]


GOOD = DataMapping(2, ("a", "b"), (0.0,), (1.0,), ("x", "y"), "kind", fill=(0.5, 0.5)).to_json()


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"version": 2},
        {"inputs": 0},
        {"inputs": True},
        {"inputs": 2.0},
        {"classes": []},
        {"classes": ["a", "a"]},
        {"classes": ["a", 1]},
        {"classes": "ab"},
        {"low": []},
        {"low": [0.0, 0.0]},
        {"low": [2.0]},
        {"low": [False]},
        {"low": [None]},
        {"low": ["0"]},
        {"high": [1e400]},
        {"low": [-1e308], "high": [1e308]},
        {"columns": ["x"]},
        {"columns": ["x", "y" * 1_000]},
        {"fill": [1.0]},
        {"label": None, "columns": None},
        {"size": [1]},
        {"size": [0, 4]},
        {"size": [4, 2.0]},
        {"grey": 1},
        {"decimal": ";"},
        {"decimal": None},
        {"high": [10**400]},
        {"fill": [10**400, 0]},
        {"label": ["kind"]},
        {"classes": ["a", "\ud800"]},
    ],
)
def test_a_mapping_that_is_none_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "a.mapping.json"
    path.write_text(json.dumps({**GOOD, **change}))
    with pytest.raises(ChainError, match=r"a\.mapping\.json") as caught:
        load_mapping(path)
    assert code_of(caught) == "mapping_invalid"


@pytest.mark.parametrize("content", ["", "[]", "{}", "7", "{", "null", "[" * 100_000])
def test_a_file_of_something_else_is_no_mapping(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ChainError) as caught:
        load_mapping(tmp_path / "a.json")
    assert code_of(caught) in ("mapping_invalid", "file_damaged")
