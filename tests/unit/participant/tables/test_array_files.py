"""Arrays from .npz, .npy and idx files: every usual name and shape, and no memory for what only claims to be
large.
"""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engram.participant.datasets import load
from engram.participant.tables import limits
from engram.participant.tables.raw import RawTable, ReadOptions
from engram.participant.tables.reading import read
from engram.primitives.errors import ChainError
from tests.support.strange_files import put_strange

PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3, 1)
KINDS = np.array([2, 0, 1, 1])


def npz(folder: Path, **arrays: npt.NDArray[np.generic]) -> Path:
    path = folder / "a.npz"
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    return path


def labels(found: RawTable) -> list[str | None]:
    return [found.labels.names[code] if code >= 0 else None for code in found.labels.codes]


def refused(path: Path, **options: object) -> str:
    with pytest.raises(ChainError) as caught:
        read(path, ReadOptions(**options))  # type: ignore[arg-type]
    return caught.value.code


@pytest.mark.parametrize(
    ("features", "targets"),
    [
        ("features", "labels"),
        ("x", "y"),
        ("X", "y"),
        ("X_train", "y_train"),
        ("train_images", "train_labels"),
        ("images", "labels"),
        ("data", "target"),
        ("arr_0", "arr_1"),
        ("anything", "else"),
    ],
)
def test_the_usual_names_and_shapes_are_known(tmp_path: Path, features: str, targets: str) -> None:
    for shape in ((4, 12), (4, 3, 4), (4, 4, 3, 1)):
        found = read(npz(tmp_path, **{features: PIXELS.reshape(shape), targets: KINDS}))
        assert found.features.tolist() == PIXELS.reshape(4, 12).tolist()
        assert (labels(found), found.shape) == (["2", "0", "1", "1"], shape[1:])


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i4", "<u8", "f2", "<f4", ">f8", "?"])
def test_numbers_of_every_type_are_read(tmp_path: Path, dtype: str) -> None:
    values = np.array([[1, 0], [0, 1], [1, 1]]).astype(dtype)
    for array in (values, np.asfortranarray(values)):
        found = read(npz(tmp_path, x=array, y=np.array([0, 1, 0])))
        assert (found.features.dtype.name, found.features.tolist()) == ("uint8", [[1, 0], [0, 1], [1, 1]])


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (np.eye(3)[[2, 0, 1, 1]], ["2", "0", "1", "1"]),
        (np.eye(3, dtype=bool)[[2, 0, 1, 1]], ["2", "0", "1", "1"]),
        (KINDS.reshape(4, 1), ["2", "0", "1", "1"]),
        (KINDS.astype(np.float32), ["2", "0", "1", "1"]),
        (np.array(["c", "a", "b", "b"]), ["c", "a", "b", "b"]),
        (np.array([b"c", b"a", b"b", b"b"]), ["c", "a", "b", "b"]),
        (np.array([each.encode() for each in ("é", "猫", "b", "b")]), ["é", "猫", "b", "b"]),
        (np.array(["c", "", "nan", " c "]), ["c", None, None, "c"]),
        (np.array([True, False, True, True]), ["1", "0", "1", "1"]),
        (np.array([2.0, np.nan, 1.0, 1.5]), ["2", None, "1", "1.5"]),
    ],
)
def test_labels_come_in_many_forms(
    tmp_path: Path, given: npt.NDArray[np.generic], names: list[str | None]
) -> None:
    assert labels(read(npz(tmp_path, x=PIXELS, y=given))) == names


def test_training_rows_are_taken_or_test_rows_where_these_are_asked_for(tmp_path: Path) -> None:
    path = npz(tmp_path, x_test=PIXELS[:1], y_test=KINDS[:1], x_train=PIXELS[1:], y_train=KINDS[1:])
    assert read(path).rows == 3
    assert read(path, ReadOptions(test_rows=True)).rows == 1
    assert read(path, ReadOptions(label="y_test")).rows == 1
    assert refused(path, label="z") == "column_not_found"


def test_a_matrix_holds_its_labels_in_a_column(tmp_path: Path) -> None:
    matrix = np.array([[0, 50, 7], [1, 60, 9], [0, 70, 11], [1, 5, 99]])
    np.save(tmp_path / "a.npy", matrix)
    for path in (tmp_path / "a.npy", npz(tmp_path, table=matrix)):
        found = read(path)
        assert (found.column.place, found.column.how, labels(found)) == (
            "first",
            "values",
            ["0", "1", "0", "1"],
        )
        assert read(path, ReadOptions(label="last")).features.tolist() == matrix[:, :2].tolist()


def npy(descr: str, shape: str, body: bytes = b"", *, length: int | None = None, version: int = 1) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    size = len(header) if length is None else length
    return (
        b"\x93NUMPY" + bytes([version, 0]) + size.to_bytes(2 if version == 1 else 4, "little") + header + body
    )


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"\x93NUMPY", "dataset_damaged"),
        (npy("'<f8'", "(2, 2)", bytes(31)), "dataset_damaged"),
        (npy("'<f8'", "(2, 2)", bytes(33)), "dataset_damaged"),
        (npy("'<f8'", "(1000000, 60000)"), "dataset_too_large"),
        (npy("'<f8'", "(999999999999999999, 999999999999999999)"), "dataset_too_large"),
        (npy("'<f8'", "(0, 999999999)"), "dataset_too_large"),
        (npy("'<f8'", "(2, 99999)"), "dataset_too_large"),
        (npy("'<f8'", "(0, 4)"), "empty_dataset"),
        (npy("'|O'", "(2, 2)", bytes(99)), "object_array"),
        (npy("[('a', '<f8')]", "(2,)", bytes(16)), "foreign_dataset"),
        (npy("'<c16'", "(2, 2)", bytes(64)), "foreign_dataset"),
        (npy("'<M8'", "(2, 2)", bytes(32)), "foreign_dataset"),
        (npy("'<f8'", "(2,)", bytes(16)), "foreign_dataset"),
        (npy("'<f8'", "(-2, 2)", bytes(32)), "foreign_dataset"),
        (npy("__import__('os')", "(2, 2)", bytes(32)), "foreign_dataset"),
        (npy("'<f8'", "(2, 2)", length=2**31, version=2), "foreign_dataset"),
        (npy("'<f8'", "(2, 2)", length=9_000, version=2), "dataset_damaged"),
        (npy("'<f8'", "(2, 2)", bytes(32), version=9), "dataset_damaged"),
    ],
)
def test_a_broken_array_is_refused_by_its_header(tmp_path: Path, raw: bytes, code: str) -> None:
    (tmp_path / "a.npy").write_bytes(raw)
    assert refused(tmp_path / "a.npy") == code
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", raw)
        archive.writestr("y.npy", npy("'|u1'", "(2,)", bytes(2)))
    if code != "empty_dataset" and "(2,)" not in raw[:80].decode("latin-1"):
        assert refused(tmp_path / "a.npz") in (code, "foreign_dataset")


@pytest.mark.parametrize("kind", ["npz", "npy", "idx", "csv"])
def test_a_small_file_that_unpacks_to_much_takes_no_memory(tmp_path: Path, kind: str) -> None:
    """Seen: an .npz of 1.4 MB took 1.4 GB."""
    path = tmp_path / f"a.{kind}"
    zeros = io.BytesIO()
    if kind == "npz":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("features.npy", npy("'<f8'", "(3000000, 60)", bytes(2**24)))
            archive.writestr("labels.npy", npy("'|u1'", "(3000000,)", bytes(3_000_000)))
    elif kind == "npy":
        zeros.write(npy("'<f8'", "(3000000, 60)", bytes(2**24)))
    elif kind == "idx":
        path = tmp_path / "images-idx3"
        (tmp_path / "labels-idx1").write_bytes(b"\0\0\x08\x01" + struct.pack(">I", 2) + b"\0\1")
        zeros.write(b"\0\0\x0e\x03" + struct.pack(">III", 3_000_000, 60, 1) + bytes(2**24))
    else:
        zeros.write(b"1,2,0\n" + b"1" * 2**24)
    if kind != "npz":
        path.write_bytes(gzip.compress(zeros.getvalue()))
    del zeros
    tracemalloc.start()
    try:
        assert refused(path) in ("dataset_too_large", "labels_missing")
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("dtype", ["i1", "<i2", "<f2", ">f4"])
def test_numbers_that_become_wider_are_measured_as_what_they_become(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    """Seen: an .npz of 4.5 MB with a gigabyte of negative bytes took ten."""
    monkeypatch.setattr(limits, "TABLE_BYTES", 2**21)
    values = np.full((2**10, 2**10), -1, dtype=dtype)
    whole = values[: len(values) // (2 * values.itemsize)]
    path = npz(tmp_path, x=whole, y=np.zeros(len(whole), np.uint8))
    found = read(path)
    assert (found.features.dtype.name, bool(np.all(found.features == -1))) == ("float32", True)
    monkeypatch.setattr(limits, "TABLE_BYTES", found.features.nbytes - 1)
    assert refused(path) == "dataset_too_large"


def test_rows_of_zeros_with_a_one_are_read_where_they_lie(tmp_path: Path) -> None:
    ones = np.eye(2**10, dtype=bool)[np.arange(2**12) % 2**10]
    path = npz(tmp_path, x=np.zeros((2**12, 1), np.uint8), y=ones)
    tracemalloc.start()
    try:
        assert labels(read(path))[:3] == ["0", "1", "2"]
        assert tracemalloc.get_traced_memory()[1] < 5 * ones.nbytes
    finally:
        tracemalloc.stop()


def test_labels_that_no_mapping_would_take_are_refused(tmp_path: Path) -> None:
    assert refused(npz(tmp_path, x=PIXELS, y=np.array(["a" * 257, *"bcd"]))) == "dataset_too_large"
    assert refused(npz(tmp_path, x=PIXELS, y=np.array([b"\xe9", *[b"a"] * 3]))) == "text_unreadable"


def test_an_encrypted_archive_is_named(tmp_path: Path) -> None:
    path = npz(tmp_path, x=PIXELS, y=KINDS)
    raw = bytearray(path.read_bytes())
    at = raw.find(b"PK\x01\x02")
    raw[at + 8] |= 1
    path.write_bytes(raw)
    assert refused(path) == "dataset_encrypted"


def test_archives_of_other_things_are_foreign(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    assert refused(path) == "foreign_dataset"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x.npy", npy("'|u1'", "(2, 2)", bytes(4)))
    assert refused(path) == "foreign_dataset"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(1_001):
            archive.writestr(f"{number}.npy", b"")
    assert refused(path) == "dataset_too_large"


def idx(kind: int, shape: tuple[int, ...], body: bytes) -> bytes:
    return b"\0\0" + bytes([kind, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + body


def packed(ending: str, content: bytes) -> bytes:
    return gzip.compress(content) if ending else content


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("labels_ending", ["", ".gz"])
def test_idx_files_belong_together_by_their_names(tmp_path: Path, ending: str, labels_ending: str) -> None:
    for beginning, rows in (("train", 3), ("t10k", 1)):
        images = idx(8, (rows, 2, 2), bytes(range(4 * rows)))
        given = idx(8, (rows,), bytes(range(rows)))
        (tmp_path / f"{beginning}-images-idx3-ubyte{ending}").write_bytes(packed(ending, images))
        (tmp_path / f"{beginning}-labels-idx1-ubyte{labels_ending}").write_bytes(packed(labels_ending, given))
    for source in (tmp_path, tmp_path / f"train-images-idx3-ubyte{ending}"):
        found = read(source)
        assert (found.rows, found.shape, labels(found)) == (3, (2, 2), ["0", "1", "2"])
    assert load(str(tmp_path)).features.tolist()[2] == [8, 9, 10, 11]
    assert read(tmp_path, ReadOptions(test_rows=True)).rows == 1


def test_idx_files_of_wider_numbers_are_read(tmp_path: Path) -> None:
    (tmp_path / "a-images").write_bytes(idx(0x0D, (2, 2), np.array([[1, 2.5], [3, 4]], ">f4").tobytes()))
    (tmp_path / "a-labels").write_bytes(idx(0x0C, (2,), np.array([70_000, 3], ">i4").tobytes()))
    found = read(tmp_path / "a-images")
    assert (found.features.tolist(), labels(found)) == ([[1, 2.5], [3, 4]], ["70000", "3"])


def test_idx_labels_without_images_say_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(8, (2,), b"ab"))
    assert refused(tmp_path / "train-labels-idx1-ubyte") == "labels_missing"
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(8, (3, 1, 1), b"abc"))
    assert refused(tmp_path / "train-images-idx3-ubyte") == "foreign_dataset"


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket", "device", "dangling link", "link to itself"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    put_strange(tmp_path / "a.csv", kind)
    assert refused(tmp_path / "a.csv") in ("foreign_dataset", "dataset_not_found")
