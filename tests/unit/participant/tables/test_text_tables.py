"""Tables of text: delimiters, titles, quotes and labels are found, and what is no number is refused by its
place.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from engram.participant.datasets import load
from engram.participant.tables.examining import file_doubts
from engram.participant.tables.raw import RawTable, ReadOptions
from engram.participant.tables.reading import read
from engram.primitives.errors import ChainError


def table(folder: Path, content: str | bytes, **options: object) -> RawTable:
    path = folder / "a.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read(path, ReadOptions(**options))  # type: ignore[arg-type]


def refusal(folder: Path, content: str | bytes, **options: object) -> ChainError:
    with pytest.raises(ChainError) as caught:
        table(folder, content, **options)
    return caught.value


def labels(found: RawTable) -> list[str | None]:
    return [found.labels.names[code] if code >= 0 else None for code in found.labels.codes]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " ", ":", "^", "~"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_any_delimiter_line_end_and_mark_give_the_same_rows(
    tmp_path: Path, delimiter: str, newline: str, mark: str
) -> None:
    lines = ["a,b,label", "1,2,0", "3,4,1", "5,6,0"]
    text = mark + newline.join(line.replace(",", delimiter) for line in lines) + newline
    found = table(tmp_path, text)
    assert (found.header, found.delimiter, found.columns) == (True, delimiter, ("a", "b"))
    assert found.features.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert (labels(found), found.column.place, found.column.how) == (["0", "1", "0"], "label", "named")


@pytest.mark.parametrize(
    ("text", "place", "how", "names"),
    [
        ("0,7,200\n1,9,13\n0,8,99\n1,3,7\n", "first", "values", ["0", "1", "0", "1"]),
        ("7,200,0\n9,13,1\n8,99,0\n3,7,1\n", "last", "values", ["0", "1", "0", "1"]),
        ("1,5,1\n0,6,0\n1,7,1\n0,8,0\n", "last", "guessed", ["1", "0", "1", "0"]),
        ("9,5,3\n8,6,7\n7,7,3\n6,8,7\n", "last", "guessed", ["3", "7", "3", "7"]),
        ("cat,5,3\ndog,6,7\n", "first", "words", ["cat", "dog"]),
        ("5,cat,3\n6,dog,7\n", "2", "words", ["cat", "dog"]),
        ("x,species,y2\n5,cat,3\n6,dog,7\n", "species", "words", ["cat", "dog"]),
        ("x,Class,y2\n5,3,3\n6,7,7\n", "Class", "named", ["3", "7"]),
        ("0,1,2,3,4,5,6,7,kind\n9,9,9,9,9,9,9,9,a\n8,8,8,8,8,8,8,8,b\n", "kind", "words", ["a", "b"]),
    ],
)
def test_the_label_column_is_found(tmp_path: Path, text: str, place: str, how: str, names: list[str]) -> None:
    found = table(tmp_path, text)
    assert (found.column.place, found.column.how, labels(found)) == (place, how, names)
    assert found.column.doubtful == (how == "guessed")


@pytest.mark.parametrize(
    ("text", "place", "how", "first"),
    [
        ("5,3,y\n4,2,n\n5,5,y\n", "last", "words", [5, 3]),
        ("5,3,target\n4,2,other\n5,5,target\n", "last", "words", [5, 3]),
        (",0,1,kind\n0,7,5,a\n1,6,5,b\n", "kind", "words", [0, 7, 5]),
        (",0,1,2\n9,7,5,0\n8,6,5,1\n7,7,5,0\n8,8,5,1\n", "2", "values", [9, 7, 5]),
        ("0,1,2,3,4,5,6,7\n" + "9,9,9,9,9,9,9,0\n8,8,8,8,8,8,8,1\n" * 2, "7", "values", [9] * 7),
        ("x,y,kind\n5,3,1\n6,7,0\n5,4,1\n6,8,0\n", "kind", "values", [5, 3]),
        ("x,y\n5,3\n6,7\n", "y", "named", [5]),
        ("y,class\n5,3\n6,7\n", "class", "named", [5]),
    ],
)
def test_titles_are_told_from_rows_and_coordinates_from_labels(
    tmp_path: Path, text: str, place: str, how: str, first: list[int]
) -> None:
    """A row whose label is called `y` was taken for titles, and the titles that pandas writes for a row."""
    found = table(tmp_path, text)
    assert (found.column.place, found.column.how, found.features[0].tolist()) == (place, how, first)


def test_a_first_line_that_counts_is_doubtful_until_somebody_says_what_it_is(tmp_path: Path) -> None:
    text = "0,1,2\n" + "9,7,0\n8,6,1\n" * 4
    assert "titles_doubtful" in [found.code for found in file_doubts(table(tmp_path, text))]
    for header in (True, False):
        assert "titles_doubtful" not in [
            found.code for found in file_doubts(table(tmp_path, text, header=header))
        ]


def test_one_of_several_columns_with_a_name_for_labels_is_not_chosen(tmp_path: Path) -> None:
    text = "label,class,a\n1,2,0\n3,4,1\n1,2,0\n3,4,1\n"
    refused = refusal(tmp_path, text)
    assert (refused.code, refused.got) == ("labels_missing", ["label", "class"])
    assert labels(table(tmp_path, text, label="class")) == ["2", "4", "2", "4"]


@pytest.mark.parametrize("delimiter", [";", "\t", " ", "|"])
def test_a_comma_before_fractions_is_no_delimiter(tmp_path: Path, delimiter: str) -> None:
    """`1,5;0` was read as the feature 1 with the label `5;0`, in silence."""
    text = "1,5;0\n2,5;1\n3,5;0\n4,5;1\n".replace(";", delimiter)
    refused = refusal(tmp_path, text)
    assert refused.code == "value_not_number"
    assert "--decimal ','" in str(refused)
    found = table(tmp_path, text, decimal=",")
    assert (found.delimiter, found.features.ravel().tolist()) == (delimiter, [1.5, 2.5, 3.5, 4.5])
    assert labels(found) == ["0", "1", "0", "1"]


@pytest.mark.parametrize(
    ("cell", "delimiter"),
    [
        ("2024/01/02", ","),
        ("2024-01-02 12:30:05", ","),
        ("2024-01-02T12:30:05Z", ";"),
        ("12:30", ","),
        ("1:30 PM", ","),
        ("31.12.2024", ";"),
        ('"1,234"', ","),
        ("1.234.567", ";"),
        ("1 234", ";"),
        ("$5", ","),
        ("20%", ","),
        ("20 %", ","),
        ("0x1F", ","),
        ("\u0661", ","),
    ],
)
def test_numbers_dates_and_amounts_in_another_notation_are_no_labels(
    tmp_path: Path, cell: str, delimiter: str
) -> None:
    """They are words, and the only column of words was taken for the labels; the labels became a feature."""
    text = f"{cell},5,0\n{cell},6,1\n{cell},7,0\n{cell},8,1\n".replace(",", delimiter)
    assert refusal(tmp_path, text).code == "value_not_number"
    found = table(tmp_path, text, label="first")
    assert labels(found) == [cell.strip('"')] * 4


@pytest.mark.parametrize("names", [("+", "-"), ("3d", "2d"), (">50K", "<=50K"), ("a1", "b2"), ("été", "猫")])
def test_names_of_classes_may_hold_digits_and_signs(tmp_path: Path, names: tuple[str, str]) -> None:
    found = table(tmp_path, f"5,{names[0]}\n6,{names[1]}\n")
    assert (labels(found), found.column.how) == (list(names), "words")


def test_a_label_in_front_founds_no_model_of_256_classes(tmp_path: Path) -> None:
    """As MNIST's CSV files have it. The last column was taken in silence, and became 256 classes."""
    draw = np.random.default_rng(0)
    rows = np.column_stack([draw.integers(0, 10, 400), draw.integers(0, 256, (400, 6))])
    path = tmp_path / "a.csv"
    np.savetxt(path, rows, fmt="%d", delimiter=",")
    assert sorted(set(load(str(path)).labels.tolist())) == list(range(10))


@pytest.mark.parametrize("label", ["last", "c"])
def test_the_user_names_the_label_column(tmp_path: Path, label: str) -> None:
    found = table(tmp_path, "label,b,c\n0,5,7\n1,6,9\n", label=label)
    assert (labels(found), found.columns, found.column.how) == (["7", "9"], ("label", "b"), "asked")


def test_columns_are_left_out_by_name(tmp_path: Path) -> None:
    found = table(tmp_path, "id,name,a,label\n7,x,1,0\n8,y,2,1\n", drop=("id", "name"))
    assert (found.features.tolist(), found.columns) == ([[1], [2]], ("a",))
    assert refusal(tmp_path, "a,label\n1,0\n", drop=("b",)).code == "column_not_found"
    assert refusal(tmp_path, "1,0\n2,1\n", drop=("b",)).code == "column_not_found"


@pytest.mark.parametrize("cell", ["", "NaN", "nan", "NA", "inf", "-Infinity", "null", "?", " ", "1e999"])
def test_what_is_no_finite_number_is_missing(tmp_path: Path, cell: str) -> None:
    found = table(tmp_path, f"a,b,label\n1,{cell},0\n2,3,1\n")
    assert np.isnan(found.features).tolist() == [[False, True], [False, False]]
    with pytest.raises(ChainError) as caught:
        load(str(tmp_path / "a.csv"))
    assert caught.value.code == "values_missing"


@pytest.mark.parametrize(
    "cell", ["1_0", "0x10", "\u0663", "\uff11", "1,5", "1 2", "--1", "1e", "e5", ".", "+", "1.2.3", "1d3"]
)
def test_what_only_python_takes_for_a_number_is_none(tmp_path: Path, cell: str) -> None:
    error = refusal(tmp_path, f'a,b,label\n1,2,0\n1,"{cell}",1\n3,4,1\n')
    assert error.code == "value_not_number"
    assert f"line 3, column b holds {cell!r}" in str(error)


@pytest.mark.parametrize(
    ("cell", "value"), [("10", 10), ("+7", 7), ("1e2", 100), (" 5 ", 5), ("3.", 3), (".0", 0), ("True", 1)]
)
def test_what_csv_takes_for_a_number_is_one(tmp_path: Path, cell: str, value: float) -> None:
    assert table(tmp_path, f"a,b,label\n1,{cell},0\n2,3,1\n").features[0, 1] == value


def test_quotes_hold_delimiters_and_line_ends(tmp_path: Path) -> None:
    found = table(tmp_path, '"a, first","b","label"\r\n"1","2","big, red"\r\n"3","4","of ""two""\nlines"\r\n')
    assert found.columns == ("a, first", "b")
    assert labels(found) == ["big, red", 'of "two"\nlines']
    single = table(tmp_path, "1,2,'big, red'\n3,4,'small'\n")
    assert labels(single) == ["big, red", "small"]


def test_an_apostrophe_is_a_quote_only_around_whole_cells(tmp_path: Path) -> None:
    assert labels(table(tmp_path, "1,2,'tis\n3,4,it's\n5,6,'twas\n")) == ["'tis", "it's", "'twas"]


def test_numbers_are_the_same_label_however_they_are_written(tmp_path: Path) -> None:
    found = table(tmp_path, "a,label\n1,1\n2,01\n3,1.0\n4,2\n5,\n")
    assert (found.labels.names, labels(found)) == (("1", "2"), ["1", "1", "1", "2", None])


def test_labels_that_are_no_numbers_need_a_mapping(tmp_path: Path) -> None:
    table(tmp_path, "1,cat\n2,dog\n")
    with pytest.raises(ChainError, match="engram data convert") as caught:
        load(str(tmp_path / "a.csv"))
    assert caught.value.code == "dataset_label_out_of_range"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_dataset"),
        (b" \n\n", "empty_dataset"),
        (b"\xef\xbb\xbf", "empty_dataset"),
        (b"a,b,label\n", "empty_dataset"),
        (b"1\n2\n", "labels_missing"),
        (b"dear all,\nhello\n", "rows_ragged"),
        (b"hello\n", "foreign_dataset"),
        (b'[{"a": 1, "label": 0}]\n', "foreign_dataset"),
        (b'{"a": 1, "label": 0}\n{"a": 2, "label": 1}\n', "foreign_dataset"),
        (b"<table><tr><td>1</td><td>2</td></tr></table>\n", "foreign_dataset"),
        (b"% UCI\n@RELATION x\n@data\n1,2,0\n", "foreign_dataset"),
        (b"1 1:5 2:6\n0 1:7 2:8\n", "foreign_dataset"),
        (b"1,2,0\n1,2\n", "rows_ragged"),
        (b"1,2,0\n1,2,0,4\n", "rows_ragged"),
        (b'1,2,0\n1,"2"x,0\n', "rows_ragged"),
        (b'1,2,0\n1,"2,0\n', "rows_ragged"),
        ("ä,1\nö,0\n".encode("latin-1"), "text_unreadable"),
        ("1,2,0\n".encode("utf-16"), "text_unreadable"),
        (b"1,2,0\n3,\x004,1\n", "foreign_dataset"),
        (b"a,b,x,y\n1,cat,2,red\n3,dog,4,blue\n", "value_not_number"),
        pytest.param(b"1" * (2**18), "rows_ragged", id="one cell"),
        pytest.param(b"1," + b"x" * (2**18), "rows_ragged", id="a long cell"),
        pytest.param(b"0," * 70_000 + b"1\n", "dataset_too_large", id="many cells"),
        (b"\x80\x04\x95pickle", "foreign_dataset"),
        (b"\x89HDF\r\n\x1a\n", "foreign_dataset"),
        (b"PK\x03\x04xl/workbook.xml", "dataset_damaged"),
        (b"PARE", "dataset_encrypted"),
    ],
)
def test_every_broken_file_is_refused_by_its_own_code(tmp_path: Path, content: bytes, code: str) -> None:
    assert refusal(tmp_path, content).code == code


def test_a_row_without_end_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"1,2,0\n" * 20_000 + b"1" * 2**23))
    with pytest.raises(ChainError) as caught:
        read(path)
    assert caught.value.code == "dataset_too_large"
    path.write_bytes(gzip.compress(b"1,2,0\n" * 20_000 + b'"1\n",' * 2**20))
    with pytest.raises(ChainError) as caught:
        read(path)
    assert caught.value.code == "dataset_too_large"


def test_a_comma_before_fractions_is_said_and_asked_for(tmp_path: Path) -> None:
    text = "a;b;kind\n1,5;2;x\n-3,25;4;y\n"
    assert "--decimal ','" in str(refusal(tmp_path, text))
    found = table(tmp_path, text, decimal=",")
    assert (found.features.tolist(), found.columns) == ([[1.5, 2], [-3.25, 4]], ("a", "b"))
    assert labels(found) == ["x", "y"]
    assert refusal(tmp_path, "a;b;kind\n1.5;2;x\n3,5;4;y\n2,5;4;y\n", decimal=",").code == "value_not_number"


def test_a_delimiter_at_the_end_of_lines_makes_no_column(tmp_path: Path) -> None:
    found = table(tmp_path, "5,20,0,\n7,41,1,\n6,60,0,\n8,3,1,\n")
    assert (found.inputs, labels(found)) == (2, ["0", "1", "0", "1"])
    lines = "5,20,0,\n7,41,1,\n" * 200
    assert refusal(tmp_path, lines + "5,20,0,9\n").code == "rows_ragged"


def test_all_columns_of_words_are_named_at_once(tmp_path: Path) -> None:
    error = refusal(tmp_path, "sex,age,city,label\nF,30,Ulm,0\nM,40,Bonn,1\n")
    assert error.code == "value_not_number"
    assert "'sex', 'city'" in str(error)


@pytest.mark.parametrize("ending", ["", "x"])
def test_a_column_of_too_many_labels_is_another_one(tmp_path: Path, ending: str) -> None:
    text = "a,label\n" + "".join(f"1,{number}{ending}\n" for number in range(2**16 + 1))
    assert refusal(tmp_path, text).code == "dataset_too_large"
    assert "--label" in str(refusal(tmp_path, text))


def test_a_wide_table_is_laid_out_by_more_than_its_titles(tmp_path: Path) -> None:
    titles = ",".join(f"a rather long title {number}" for number in range(5_000))
    row = ",".join(["7"] * 5_000)
    found = table(tmp_path, f"{titles},kind\n{row},oak\n{row},elm\n")
    assert (found.inputs, found.column.place, labels(found)) == (5_000, "kind", ["oak", "elm"])


@pytest.mark.parametrize(
    ("comments", "titles"),
    [
        ("# a b label\n", ("a", "b")),
        ("# made by hand\n# a b label\n", ("a", "b")),
        ("#a b label\n", ("a", "b")),
        ("# a, b\n", ()),
        ("# made by hand, on a Monday\n#\n", ()),
    ],
)
def test_comments_are_no_rows_and_may_hold_the_titles(
    tmp_path: Path, comments: str, titles: tuple[str, ...]
) -> None:
    found = table(tmp_path, comments + "5 20 0\n7 41 1\n6 60 0\n8 3 1\n")
    assert (found.columns, found.header, found.rows) == (titles, bool(titles), 4)
    assert labels(found) == ["0", "1", "0", "1"]
    assert table(tmp_path, comments + "5 20 0\n7 41 1\n6 60 0\n8 3 1\n", header=False).columns == ()


def test_what_numpy_writes_as_text_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    rows = np.array([[0.5, 20, 0], [7, 41, 1], [6, 60, 0], [8, 3, 1]])
    np.savetxt(path, rows, header="wide long label")
    found = read(path)
    assert (found.columns, found.column.how) == (("wide", "long"), "named")
    assert found.features.tolist() == rows[:, :2].tolist()


def test_comments_before_titles_are_skipped(tmp_path: Path) -> None:
    found = table(tmp_path, "# from the lab; of today\na,b,label\n1,2,0\n3,4,1\n")
    assert (found.columns, found.rows) == (("a", "b"), 2)
    assert "line 4" in str(refusal(tmp_path, "# x\na,b,label\n1,2,0\n3,oak,1\n4,5,0\n"))


def test_a_name_of_a_column_must_be_one(tmp_path: Path) -> None:
    assert refusal(tmp_path, "a,a,label\n1,2,0\n", label="a").code == "column_not_found"
    assert "'a', 'b'" in str(refusal(tmp_path, "a,b\n1,2\n3,4\n", label="c"))


def test_a_file_with_titles_is_told_from_one_without(tmp_path: Path) -> None:
    assert not table(tmp_path, "1,2,0\n3,4,1\n").header
    assert table(tmp_path, "1,2,0\n3,4,1\n", header=True).rows == 1
    assert refusal(tmp_path, "a,b,label\n1,2,0\n3,4,1\n", header=False).code == "value_not_number"


def test_reading_says_how_far_it_is(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    content = "1,2,0\n3,4,1\n" * 20_000
    table(tmp_path, content, progress=lambda done, size: told.append((done, size)))
    assert told[-1] == (len(content), len(content))
    assert len({done for done, _ in told}) > 2


def test_a_long_table_is_read_whole(tmp_path: Path) -> None:
    """Longer than a chunk; whole numbers first, fractions only later."""
    draw = np.random.default_rng(1)
    values = draw.integers(0, 256, (9_000, 70)).astype(np.float64)
    values[8_500:] += 0.25
    kinds = draw.integers(0, 5, 9_000)
    path = tmp_path / "a.csv"
    np.savetxt(path, np.column_stack([values, kinds]), fmt="%.10g", delimiter=";")
    found = read(path)
    assert np.array_equal(found.features, values)
    assert labels(found) == [str(kind) for kind in kinds]
