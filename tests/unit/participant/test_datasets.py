"""Data sets from files: what is read, and every way a file can be wrong."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engram.participant import datasets
from engram.primitives.errors import InvalidInput


def idx(shape: tuple[int, ...], data: bytes) -> bytes:
    return b"\x00\x00\x08" + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + data


def test_the_shipped_digits_are_the_published_file() -> None:
    digits = datasets.load("digits")
    assert (digits.rows, digits.inputs) == (1797, 64)
    assert np.bincount(digits.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (int(digits.features.min()), int(digits.features.max())) == (0, 16)


def test_csv_plain_and_gzipped_give_the_same_rows(tmp_path: Path) -> None:
    text = "1,2,0\n3,4,1\n"
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(text.encode()))
    plain, packed = datasets.load(str(tmp_path / "a.csv")), datasets.load(str(tmp_path / "b.csv.gz"))
    assert plain.features.tolist() == packed.features.tolist() == [[1, 2], [3, 4]]
    assert plain.labels.tolist() == packed.labels.tolist() == [0, 1]


def test_npz_and_idx_give_the_rows_they_hold(tmp_path: Path) -> None:
    features, labels = np.arange(12, dtype=np.uint8).reshape(3, 4), np.array([2, 0, 1], np.uint8)
    np.savez(tmp_path / "a.npz", features=features.astype(np.float64), labels=labels)
    (tmp_path / "images").write_bytes(idx((3, 2, 2), features.tobytes()))
    (tmp_path / "labels").write_bytes(idx((3,), labels.tobytes()))
    from_npz = datasets.load(str(tmp_path / "a.npz"))
    from_idx = datasets.load_idx(tmp_path / "images", tmp_path / "labels")
    for found in (from_npz, from_idx):
        assert found.features.tolist() == features.tolist()
        assert found.labels.tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("empty.csv", b"\n\n", "empty_dataset"),
        ("words.csv", b"a,b,c\n", "empty_dataset"),
        ("ragged.csv", b"1,2,0\n1,0\n", "rows_ragged"),
        ("fraction.csv", b"1.5,0\n", "feature_out_of_range"),
        ("binary.csv", b"\xff\xfe\x00", "text_unreadable"),
        ("large.csv", b"256,0\n", "feature_out_of_range"),
        ("negative.csv", b"-1,0\n", "feature_out_of_range"),
        ("label.csv", b"1,65536\n", "dataset_label_out_of_range"),
        ("huge.csv", b"1," + b"9" * 40 + b"\n", "dataset_label_out_of_range"),
        ("torn.csv.gz", gzip.compress(b"1,2,0\n", mtime=0)[:-6], "dataset_damaged"),
        ("broken.npz", b"PK\x03\x04nothing", "dataset_damaged"),
        ("image.png", b"\x89PNG", "foreign_dataset"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        datasets.load(str(tmp_path / name))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"1,2,0\n1,2_0,0\n", "line 2, column 2 holds '2_0', which is no number"),
        (b"1,2,0\n1;2;0\n", "line 2 does not have as many cells as the first row"),
        (b"1,2,0\n1,0\n", "line 2 does not have as many cells as the first row"),
    ],
)
def test_a_bad_row_of_a_table_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InvalidInput, match=said):
        datasets.load(str(tmp_path / "a.csv"))


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.5, -1.0, 256.0])
def test_features_that_are_not_bytes_are_refused_not_rounded(tmp_path: Path, value: float) -> None:
    features = np.zeros((2, 3))
    features[1, 2] = value
    np.savez(tmp_path / "a.npz", features=features, labels=np.zeros(2, np.int64))
    with pytest.raises(InvalidInput) as caught:
        datasets.load(str(tmp_path / "a.npz"))
    assert caught.value.code == ("feature_out_of_range" if np.isfinite(value) else "values_missing")


@pytest.mark.parametrize("value", [np.nan, -1.0, 0.5, 65_536.0])
def test_labels_that_are_no_labels_are_refused_not_rounded(tmp_path: Path, value: float) -> None:
    np.savez(tmp_path / "a.npz", features=np.zeros((2, 3)), labels=np.array([0.0, value]))
    with pytest.raises(InvalidInput) as caught:
        datasets.load(str(tmp_path / "a.npz"))
    assert caught.value.code == ("values_missing" if np.isnan(value) else "dataset_label_out_of_range")


@pytest.mark.parametrize(
    ("features", "labels", "code"),
    [
        (np.array([["1", "2"]]), np.array([0]), "foreign_dataset"),
        (np.zeros((2, 3), complex), np.array([0, 1]), "foreign_dataset"),
        (np.zeros((2, 3), np.uint8), np.array(["a", "b"]), "dataset_label_out_of_range"),
        (np.zeros((2, 3), np.uint8), np.array([0, 1, 2]), "foreign_dataset"),
        (np.zeros((2, 3), np.uint8), np.zeros((2, 2), np.uint8), "foreign_dataset"),
        (np.zeros((2, 3), np.uint8), np.zeros((2, 1, 1), np.uint8), "foreign_dataset"),
        (np.zeros((0, 3), np.uint8), np.zeros(0, np.uint8), "empty_dataset"),
        (np.zeros((2, 0), np.uint8), np.array([0, 1]), "empty_dataset"),
    ],
)
def test_arrays_of_the_wrong_type_or_shape_are_refused(
    tmp_path: Path, features: npt.NDArray[np.generic], labels: npt.NDArray[np.generic], code: str
) -> None:
    np.savez(tmp_path / "a.npz", features=features, labels=labels)
    with pytest.raises(InvalidInput) as caught:
        datasets.load(str(tmp_path / "a.npz"))
    assert caught.value.code == code


def test_an_archive_without_its_two_arrays_is_foreign(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", one=np.zeros((2, 3)), two=np.zeros((2, 3)), three=np.zeros(2))
    with pytest.raises(InvalidInput) as caught:
        datasets.load(str(tmp_path / "a.npz"))
    assert caught.value.code == "labels_missing"


def test_whole_numbers_of_any_type_are_the_same_rows(tmp_path: Path) -> None:
    for dtype in (np.int8, np.int64, np.float32, np.uint16):
        np.savez(tmp_path / "a.npz", features=np.array([[1, 2]], dtype), labels=np.array([3], dtype))
        found = datasets.load(str(tmp_path / "a.npz"))
        assert (found.features.dtype.name, found.labels.dtype.name) == ("uint8", "uint16")
        assert (found.features.tolist(), found.labels.tolist()) == ([[1, 2]], [3])


def test_pickled_objects_in_an_archive_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", features=np.array([object()]), labels=np.array([0]), allow_pickle=True)
    with pytest.raises(InvalidInput) as caught:
        datasets.load(str(tmp_path / "a.npz"))
    assert caught.value.code == "object_array"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "empty_dataset"),
        (b"\x00\x00\x07\x01", "foreign_dataset"),
        (b"\x00\x00\x0d\x01", "dataset_damaged"),
        (idx((2, 2), b"abc"), "dataset_damaged"),
        (idx((2, 2), b"abcde"), "dataset_damaged"),
        (idx((2**31, 2**31), b""), "dataset_too_large"),
        (b"\x00\x00\x08\x03\x00", "dataset_damaged"),
    ],
)
def test_a_bad_idx_file_is_refused_by_name(tmp_path: Path, raw: bytes, code: str) -> None:
    (tmp_path / "images").write_bytes(raw)
    with pytest.raises(InvalidInput) as caught:
        datasets.load_idx(tmp_path / "images", tmp_path / "images")
    assert caught.value.code == code


def test_idx_files_that_do_not_belong_together_are_foreign(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(idx((2, 2, 2), bytes(8)))
    (tmp_path / "labels").write_bytes(idx((3,), bytes(3)))
    with pytest.raises(InvalidInput) as caught:
        datasets.load_idx(tmp_path / "images", tmp_path / "labels")
    assert caught.value.code == "foreign_dataset"


def test_an_idx_file_without_rows_is_empty(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(idx((0, 2, 2), b""))
    (tmp_path / "labels").write_bytes(idx((0,), b""))
    with pytest.raises(InvalidInput) as caught:
        datasets.load_idx(tmp_path / "images", tmp_path / "labels")
    assert caught.value.code == "empty_dataset"


def test_a_path_without_a_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        datasets.load(str(tmp_path / "none.csv"))
    assert caught.value.code == "dataset_not_found"


def test_a_folder_without_the_four_files_names_the_missing_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"lacks train-images") as caught:
        datasets.load_mnist_folder(tmp_path)
    assert caught.value.code == "dataset_not_found"
    with pytest.raises(InvalidInput, match=r"holds no data set") as caught:
        datasets.load(str(tmp_path))
    assert caught.value.code == "dataset_not_found"


def test_a_changed_mnist_file_is_refused_by_its_checksum(tmp_path: Path) -> None:
    for name in datasets.MNIST_SHA256:
        (tmp_path / name).write_bytes(b"not the published bytes")
    with pytest.raises(InvalidInput) as caught:
        datasets.load_mnist_folder(tmp_path)
    assert caught.value.code == "checksum_mismatch"
