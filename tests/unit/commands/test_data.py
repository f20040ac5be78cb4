"""`engram data`: what is printed about a file, what is written, and what is refused by which code."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engram.participant.tables import converting, examining
from tests.support.cli import Shell

ROWS = "id,wide,long,kind\n" + "".join(
    f"{number + 7},{number / 8},{number * 5 % 31},{('oak', 'elm', 'ash')[number % 3]}\n"
    for number in range(30)
)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "home", {})


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "trees.csv"
    path.write_text(ROWS)
    return path


def test_check_says_what_a_file_holds(shell: Shell, rows: Path) -> None:
    result = shell.run("data", "check", str(rows))
    assert result.exit_code == 0
    for words in (
        "csv, with titles",
        "kind (it holds words)",
        "ash: 10, elm: 10, oak: 10",
        "engram data convert",
    ):
        assert words in result.stdout
    facts = shell.json("data", "check", str(rows))
    assert facts["label"] == {"column": "kind", "found": "words"}
    assert (facts["rows"], facts["inputs"], facts["ready"]) == (30, 3, False)
    assert facts["problem"]["code"] == "feature_out_of_range"


KINDS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "number": (int, float),
    "truth": (bool,),
    "list": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def test_the_json_is_what_the_document_says(shell: Shell, rows: Path, tmp_path: Path) -> None:
    """Every field, of the type that docs/data.md gives it, for a file that is ready and for one that is
    not.
    """
    text = (Path(__file__).parents[3] / "docs" / "data.md").read_text()
    table = text.partition("### The JSON of `check`")[2].partition("\n## ")[0]
    fields = dict(re.findall(r"^\| `(\w+)` \| ([a-z ]+) \|", table, flags=re.MULTILINE))
    shell.run("data", "convert", str(rows), "-o", str(tmp_path / "a.npz"))
    for path in (rows, tmp_path / "a.npz"):
        facts = shell.json("data", "check", str(path))
        assert list(facts) == list(fields)
        for name, value in facts.items():
            kinds = [kind for word in fields[name].split(" or ") for kind in KINDS[word]]
            assert type(value) in kinds, name
        assert all(set(warning) == {"code", "message", "remedy"} for warning in facts["warnings"])


def test_the_document_lists_every_warning() -> None:
    text = (Path(__file__).parents[3] / "docs" / "data.md").read_text()
    listed = text.partition("| code | what it means |")[2].partition("\n\n")[0]
    source = inspect.getsource(examining) + inspect.getsource(converting)
    codes = re.findall(r'DataWarning\(\s*"(\w+)"', source)
    assert set(re.findall(r"^\| `(\w+)` \|", listed, re.MULTILINE)) == set(codes)
    assert len(codes) == 12


def test_warnings_are_on_standard_error_and_in_json(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("".join(f"{number},{number * 3 % 256},0\n" for number in range(5, 60)))
    result = shell.run("data", "check", str(path))
    assert "[label_guessed]" in result.stderr
    assert "[single_class]" in result.stderr
    assert "warning" not in result.stdout
    found = shell.json("data", "check", str(path), "--label", "last")["warnings"]
    assert [warning["code"] for warning in found] == ["single_class"]
    assert all(warning["remedy"] for warning in found)


def test_convert_writes_rows_and_the_mapping_beside_them(shell: Shell, rows: Path, tmp_path: Path) -> None:
    output = tmp_path / "trees.npz"
    done = shell.json("data", "convert", str(rows), "--drop", "id", "-o", str(output))
    assert done["classes"] == ["ash", "elm", "oak"]
    assert done["mapping"] == str(tmp_path / "trees.mapping.json")
    with np.load(output) as archive:
        assert archive["features"].shape == (30, 2)
        assert archive["labels"][:3].tolist() == [2, 1, 0]
    checked = shell.json("data", "check", str(output))
    assert (checked["ready"], checked["warnings"]) == (True, [])
    assert checked["founds"] == {"inputs": 2, "classes": 3, "rows": 30, "fits": True}
    again = shell.json("data", "check", str(rows), "--mapping", done["mapping"])
    assert (again["ready"], again["founds"]) == (True, checked["founds"])


def test_repeated_rows_are_left_out_as_the_warning_says(shell: Shell, rows: Path, tmp_path: Path) -> None:
    """Seen: the warning said to take repeated rows out, and no command did."""
    twice = tmp_path / "twice.csv"
    lines = rows.read_text().splitlines()
    turned = [line.rpartition(",")[0] + ",yew" for line in lines[1:3]]
    twice.write_text("\n".join([*lines, *lines[1:6], *turned]) + "\n")
    convert = ("data", "convert", str(twice), "--drop", "id", "-o", str(tmp_path / "a.npz"), "--force")
    kept = shell.json(*convert)
    assert (kept["rows"], kept["repeats_dropped"]) == (37, 0)
    assert [each["code"] for each in kept["warnings"]][:1] == ["rare_classes"]
    (warning,) = [each for each in kept["warnings"] if each["code"] == "rows_repeated"]
    assert "--repeated drop" in warning["remedy"]
    dropped = shell.json(*convert, "--repeated", "drop")
    assert (dropped["rows"], dropped["repeats_dropped"]) == (32, 5), "another label stays, to be looked at"
    assert "rows_repeated" not in [each["code"] for each in dropped["warnings"]]
    assert "repeats dropped  5\n" in shell.run(*convert, "--repeated", "drop").stdout
    asked = ("--mapping", kept["mapping"], "--label", "none")
    twice.write_text("wide,long\n1,2\n1,2\n2,2\n")
    answer = ("data", "convert", str(twice), *asked, "-o", str(tmp_path / "b.npz"), "--repeated", "drop")
    assert shell.json(*answer)["rows"] == 2


def test_a_share_is_named_by_the_numbers_of_its_rows(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("".join(f"{number},{number * 7 % 256},{number % 2}\n" for number in range(12)))
    words = ("data", "rows", "--data", str(path), "--label", "last")
    found = shell.json(*words, "--share", "2/3")
    assert found == {"data": str(path), "count": 4, "labels": {"0": 2, "1": 2}, "rows": [2, 3, 8, 9]}
    assert "2 3 8 9\n" in shell.run(*words, "--share", "2/3").stdout
    assert shell.json(*words, "--share", "2/3", "--take-classes", "1")["rows"] == [3, 9]
    assert shell.json("data", "rows", "--data", "digits", "--share", "1/3")["count"] == 599


def test_a_later_file_is_converted_with_the_mapping(shell: Shell, rows: Path, tmp_path: Path) -> None:
    first = tmp_path / "first.npz"
    mapping = shell.json("data", "convert", str(rows), "--drop", "id", "-o", str(first))["mapping"]
    later = tmp_path / "later.csv"
    later.write_text("wide;long;kind\n1.0;10;yew\n2.0;20;oak\n")
    convert = ("data", "convert", str(later), "--mapping", mapping, "-o", str(tmp_path / "later.npz"))
    assert shell.error(*convert) == (65, "label_unknown")
    assert not (tmp_path / "later.npz").exists()
    assert shell.json(*convert, "--extend")["classes"] == ["ash", "elm", "oak", "yew"]
    assert json.loads((tmp_path / "later.mapping.json").read_text())["columns"] == ["wide", "long"]
    with np.load(tmp_path / "later.npz") as archive:
        assert archive["labels"].tolist() == [3, 2]


def test_rows_without_labels_are_converted_by_a_kept_mapping(
    shell: Shell, rows: Path, tmp_path: Path
) -> None:
    """Seen: rows to be asked about could be predicted as they are, and not be converted."""
    kept = shell.json("data", "convert", str(rows), "--drop", "id", "-o", str(tmp_path / "a.npz"))["mapping"]
    asked, made = tmp_path / "asked.csv", tmp_path / "b.npz"
    asked.write_text("long,wide\n30,3.625\n0,0\n,1\n")
    convert = ("data", "convert", str(asked), "--mapping", kept, "-o", str(made))
    assert shell.error(*convert) == (65, "values_missing")
    done = shell.run(*convert, "--missing", "drop", "--json")
    told = json.loads(done.stdout)
    assert (told["rows"], told["labelled"], told["dropped"], told["warnings"]) == (2, False, 1, [])
    with np.load(made) as found:
        assert found.files == ["features"]
        assert found["features"].tolist() == [[255, 255], [0, 0]], "in the mapping's order of columns"
    said = shell.run(*convert, "--missing", "drop", "--force").stderr
    assert "the rows have no labels: a model can be asked about them" in said
    alone = ("data", "convert", str(rows), "--label", "none", "--drop", "kind", "-o", str(tmp_path / "c.npz"))
    refused = shell.run(*alone)
    assert (refused.exit_code, (tmp_path / "c.npz").exists()) == (65, False)
    assert "give the model's mapping with --mapping to `engram model predict`, or" in refused.stderr
    assert "labels are missing" not in shell.run(*alone[:1], "check", *alone[2:7]).stderr


def test_a_mapping_is_extended_where_it_stands_and_rows_are_not_written_over(
    shell: Shell, rows: Path, tmp_path: Path
) -> None:
    first = ("data", "convert", str(rows), "--drop", "id", "-o", str(tmp_path / "a.npz"))
    mapping = shell.json(*first)["mapping"]
    later = tmp_path / "later.csv"
    later.write_text(
        "wide,long,kind\n" + "".join(f"{number / 8},{number * 3 % 31},yew\n" for number in range(20))
    )
    extend = ("data", "convert", str(later), "--mapping", mapping, "--extend", "-o")
    before = (tmp_path / "a.npz").read_bytes()
    assert shell.error(*extend, str(tmp_path / "a.npz")) == (65, "file_exists_already")
    assert (tmp_path / "a.npz").read_bytes() == before
    (tmp_path / "a.npz").unlink()
    done = shell.json(*extend, str(tmp_path / "a.npz"))
    assert done["classes"] == ["ash", "elm", "oak", "yew"]
    assert done["warnings"] == [], "one class is enough in a file of a model that has others"
    assert shell.json("data", "check", str(later), "--mapping", mapping)["warnings"] == []


def test_nothing_is_written_over_without_force(shell: Shell, rows: Path, tmp_path: Path) -> None:
    (tmp_path / "a.mapping.json").write_text("kept")
    convert = ("data", "convert", str(rows), "-o", str(tmp_path / "a.npz"))
    assert shell.error(*convert) == (65, "file_exists_already")
    assert (tmp_path / "a.mapping.json").read_text() == "kept"
    assert shell.json(*convert, "--force")["rows"] == 30


@pytest.mark.parametrize(
    "options", [("--extend",), ("--delimiter", "ab"), ("--delimiter", '"'), ("--delimiter", "\n")]
)
def test_options_that_do_not_go_together_are_refused(
    shell: Shell, rows: Path, options: tuple[str, ...]
) -> None:
    assert shell.error("data", "convert", str(rows), *options) == (64, "usage")


def test_scale_is_fixed_by_the_mapping(shell: Shell, rows: Path, tmp_path: Path) -> None:
    mapping = shell.json("data", "convert", str(rows), "-o", str(tmp_path / "a.npz"))["mapping"]
    convert = ("data", "convert", str(rows), "--mapping", mapping, "-o", str(tmp_path / "b.npz"))
    assert shell.error(*convert, "--scale", "all") == (64, "usage")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_dataset"),
        (b"\x89PNG\r\n", "foreign_dataset"),
        (b"\x93NUMPY\x01\x00", "dataset_damaged"),
        (b"PK\x03\x04", "dataset_damaged"),
        (b"\x1f\x8b\x08\x00", "dataset_damaged"),
        (b"1,2\n\xff\n", "text_unreadable"),
    ],
)
def test_a_broken_file_is_no_bug_of_the_program(
    shell: Shell, tmp_path: Path, content: bytes, code: str
) -> None:
    """Seen: eleven broken files were reported as a bug of engram, an empty one as interrupted."""
    path = tmp_path / "file"
    path.write_bytes(content)
    assert shell.error("data", "check", str(path)) == (65, code)
    assert shell.error("data", "check", str(tmp_path / "none")) == (65, "dataset_not_found")


def test_a_column_is_named_by_the_user(shell: Shell, rows: Path) -> None:
    facts = shell.json("data", "check", str(rows), "--label", "id", "--drop", "kind")
    assert facts["label"] == {"column": "id", "found": "asked"}
    assert shell.error("data", "check", str(rows), "--label", "nothing") == (65, "column_not_found")
    assert shell.error("data", "check", str(rows), "--no-header") == (65, "value_not_number")


def test_the_delimiter_is_named_by_the_user(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("1x2x0\n3x4x1\n")
    assert shell.json("data", "check", str(path), "--delimiter", "x")["inputs"] == 2


@pytest.mark.parametrize(
    ("answer", "code"),
    [(b"n\n", "data_doubtful"), (b"\n", "data_doubtful"), (b"y\n", "too_few_rows_to_hide")],
)
def test_at_a_terminal_the_user_is_asked(tmp_path: Path, answer: bytes, code: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("1,5,1\n0,6,0\n" * 5)
    words = ("memory", "found", "--data", str(path), "--engine", "gate", str(tmp_path / "out"))
    terminal, inside = os.openpty()
    try:
        os.write(terminal, answer)
        program = [sys.executable, "-m", "engram.cli", *words, "--data-dir", str(tmp_path / "home")]
        done = subprocess.run(program, stdin=inside, capture_output=True, text=True, check=False)
    finally:
        os.close(terminal)
        os.close(inside)
    assert done.returncode == 65
    assert "Go on with these rows all the same? [y/N]" in done.stderr
    assert f"[{code}]" in done.stderr
    assert not (tmp_path / "out").exists()


def test_convert_says_what_its_mapping_tells_about_the_rows(shell: Shell, rows: Path, tmp_path: Path) -> None:
    made = str(tmp_path / "a.npz")
    said = shell.run("data", "convert", str(rows), "-o", made)
    assert "a.mapping.json holds the lowest and the highest value of each column: if" in said.stderr
    filled = shell.json("data", "convert", str(rows), "-o", made, "--missing", "mean", "--force")
    assert filled["reveals"].endswith("of each column, and the mean of each column")
    rows.write_text(ROWS.replace(",5,", ",-500,"))
    one = shell.json("data", "convert", str(rows), "-o", made, "--scale", "all", "--force")
    assert one["reveals"] == "the lowest and the highest value of all"
    quiet = shell.json("data", "convert", made, "-o", str(tmp_path / "b.npz"))
    assert quiet["reveals"] == "", "bytes stay as they are, so the mapping has no range of them"


def test_where_channels_are_is_guessed_and_told_or_said_or_refused(
    shell: Shell, rows: Path, tmp_path: Path
) -> None:
    clear, unclear = tmp_path / "clear.npz", tmp_path / "unclear.npz"
    for path, shape in ((clear, (12, 3, 8, 8)), (unclear, (12, 3, 3, 3))):
        pictures = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        np.savez(path, features=pictures, labels=np.arange(12) % 2)
    assert "first (a guess; --channels says otherwise)" in shell.run("data", "check", str(clear)).stdout
    assert shell.json("data", "check", str(clear), "--channels", "last")["channels"] == {
        "axis": "last",
        "found": "asked",
    }
    refused = shell.run("data", "check", str(unclear))
    assert (refused.exit_code, "[channels_unclear]" in refused.stderr) == (65, True)
    done = shell.json("data", "convert", str(unclear), "--channels", "last", "-o", str(tmp_path / "a.npz"))
    assert done["channels"] == {"axis": "last", "found": "asked"}
    useless = shell.run("data", "check", str(rows), "--channels", "last")
    assert (useless.exit_code, "leave it out" in useless.stderr) == (64, True)


def test_rows_are_turned_to_the_order_of_the_mapping_and_this_is_said(shell: Shell, tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    for name, array in (("last", pictures), ("first", np.moveaxis(pictures, 3, 1))):
        np.savez(tmp_path / f"{name}.npz", features=array, labels=np.arange(12) % 2)
    made = tmp_path / "a.npz"
    shell.run("data", "convert", str(tmp_path / "last.npz"), "-o", str(made))
    mapping = str(tmp_path / "a.mapping.json")
    later = tmp_path / "b.npz"
    said = shell.run("data", "convert", str(tmp_path / "first.npz"), "--mapping", mapping, "-o", str(later))
    assert "turned to last as the mapping has them" in " ".join(said.stdout.split())
    assert np.load(later)["features"].tolist() == np.load(made)["features"].tolist()
