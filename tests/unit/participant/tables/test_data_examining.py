"""What is doubtful about a file is said, each thing by its code, and nothing is said about rows that are
fine.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engram.participant.datasets import load_digits
from engram.participant.tables.examining import DataReport, doubts, examine
from engram.participant.tables.raw import ReadOptions
from engram.participant.tables.reading import read
from engram.participant.tables.repeats import distinct, first_alike, repeated

DRAW = np.random.default_rng(0)


def report(folder: Path, features: npt.NDArray[np.generic], labels: npt.NDArray[np.generic]) -> DataReport:
    path = folder / "a.npz"
    np.savez(path, features=features, labels=labels)
    return examine(read(path))


def codes(found: DataReport) -> list[str]:
    return [warning.code for warning in found.warnings]


def rows(count: int, inputs: int = 6) -> npt.NDArray[np.uint8]:
    return DRAW.integers(0, 256, (count, inputs), dtype=np.uint8)


def test_rows_that_are_fine_raise_no_doubt(tmp_path: Path) -> None:
    found = report(tmp_path, rows(60), np.arange(60) % 3)
    assert (codes(found), found.problem) == ([], None)
    assert found.facts["founds"] == {"inputs": 6, "classes": 3, "rows": 60, "fits": True}
    assert found.facts["labels"] == {"0": 20, "1": 20, "2": 20}
    digits = load_digits()
    assert doubts(digits.features, digits.labels) == ()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.zeros(60, int), ["single_class"]),
        (np.full(60, 3), ["single_class", "class_gaps"]),
        (np.arange(60) % 2 * 5, ["class_gaps"]),
        (np.arange(60), ["many_classes"]),
        (np.arange(60) // 58, ["rare_classes"]),
    ],
)
def test_what_is_wrong_with_the_classes_is_said(
    tmp_path: Path, labels: npt.NDArray[np.generic], expected: list[str]
) -> None:
    assert codes(report(tmp_path, rows(60), labels)) == expected


def test_repeated_rows_are_counted_by_their_labels(tmp_path: Path) -> None:
    features, labels = rows(100), np.arange(100) % 2
    features[50:60] = features[40:50]
    labels[50:55] = labels[40:45]
    labels[55:60] = 1 - labels[45:50]
    found = report(tmp_path, features, labels)
    assert codes(found) == ["rows_repeated", "labels_contradict"]
    assert (found.facts["repeated_rows"], found.facts["contradicting_rows"]) == (5, 5)


def test_repeats_are_those_that_python_finds() -> None:
    features = DRAW.integers(0, 2, (400, 5), dtype=np.uint8)
    labels = DRAW.integers(0, 3, 400)
    pairs = {(row.tobytes(), label) for row, label in zip(features, labels.tolist(), strict=True)}
    found = repeated(features, labels)
    assert found.same == 400 - len(pairs) > 0
    assert found.contradicting == len(pairs) - len({row for row, _ in pairs}) > 0


def test_equal_rows_are_told_by_the_first_of_them_and_one_of_each_label_is_kept() -> None:
    features = DRAW.integers(0, 2, (400, 5), dtype=np.uint8)
    labels = DRAW.integers(0, 3, 400)
    lists = [row.tobytes() for row in features]
    assert first_alike(features).tolist() == [lists.index(row) for row in lists]
    pairs = list(zip(lists, labels.tolist(), strict=True))
    assert distinct(features, labels).tolist() == sorted(pairs.index(pair) for pair in set(pairs))
    assert distinct(features[:0], labels[:0]).tolist() == []


def test_a_column_that_counts_the_rows_is_named(tmp_path: Path) -> None:
    lines = [f"{number},{number * 7 % 50},{number % 3}" for number in range(50)]
    path = tmp_path / "a.csv"
    path.write_text("index,a,label\n" + "\n".join(lines) + "\n")
    found = examine(read(path))
    assert codes(found) == ["row_numbers"]
    assert "'index'" in found.warnings[0].message
    assert codes(examine(read(path, ReadOptions(drop=("index",))))) == []


def test_a_guess_and_missing_values_are_said(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("9,5,3\n8,,7\n7,7,\n6,8,7\n")
    found = examine(read(path))
    assert codes(found)[:2] == ["label_guessed", "values_missing"]
    assert found.problem is not None
    assert found.problem.code == "values_missing"
    facts = found.to_json()
    assert (facts["ready"], facts["founds"]) == (False, None)
    assert (facts["missing_values"], facts["missing_rows"], facts["missing_labels"]) == (1, 1, 1)
    assert (facts["lowest"], facts["highest"]) == (5, 9)


def test_classes_that_need_a_mapping_are_named_by_their_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("".join(f"{number},{number * 3 % 97},oak\n" for number in range(10, 70)))
    found = examine(read(path))
    assert "oak" in next(warning for warning in found.warnings if warning.code == "single_class").message
