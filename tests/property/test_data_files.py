"""Files of rows: what csv and numpy write is read back, and damaged files end in named errors and nothing
else.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from engram.participant.tables.examining import examine
from engram.participant.tables.mapping import fitted, mapped
from engram.participant.tables.raw import RawTable, ReadOptions
from engram.participant.tables.reading import read
from engram.primitives.errors import InvalidInput

MISSING = ("", "nan", "na", "n/a", "null", "none", "?", "inf", "infinity")
LETTERS = st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn"], exclude_characters="\"'")
WORDS = st.text(LETTERS, min_size=1, max_size=8).filter(
    lambda text: text.strip().lower().removeprefix("-").removeprefix("+") not in MISSING
)
NUMBERS = st.one_of(st.integers(-(10**6), 10**6), st.floats(allow_nan=False, allow_infinity=False, width=32))


@contextmanager
def file(content: bytes, name: str = "a.csv") -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        yield path


def labels(table: RawTable) -> list[str | None]:
    return [table.labels.names[code] if code >= 0 else None for code in table.labels.codes]


@given(
    rows=st.integers(1, 3).flatmap(
        lambda width: st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=1, max_size=12)
    ),
    delimiter=st.sampled_from(",;\t|:^~/#&"),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    header=st.booleans(),
    mark=st.booleans(),
    packed=st.booleans(),
    data=st.data(),
)
def test_what_the_csv_module_writes_is_read_back(
    rows: list[list[float]],
    delimiter: str,
    newline: str,
    quoting: int,
    header: bool,
    mark: bool,
    packed: bool,
    data: st.DataObject,
) -> None:
    kinds = data.draw(st.lists(WORDS, min_size=len(rows), max_size=len(rows)))
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=newline, quoting=quoting)  # type: ignore[arg-type]
    if header:
        writer.writerow([f"input {place}" for place in range(len(rows[0]))] + ["label"])
    writer.writerows([*row, kind] for row, kind in zip(rows, kinds, strict=True))
    raw = (("\ufeff" if mark else "") + stream.getvalue()).encode()
    options = ReadOptions(label="last", header=header, delimiter=delimiter)
    with file(gzip.compress(raw) if packed else raw) as path:
        table = read(path, options)
    assert table.features.tolist() == [[float(value) for value in row] for row in rows]
    if not all(kind.strip().isdigit() for kind in kinds):
        written = [kind.strip() for kind in kinds]
        assume(not any(text.lstrip("+-").replace(".", "").isdigit() for text in written))
        assert labels(table) == written


@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 3)),
    dtype=st.sampled_from(["u1", "<i2", ">i4", "<u8", "<f2", ">f4", "<f8", "?"]),
    fortran=st.booleans(),
    data=st.data(),
)
def test_what_numpy_writes_is_read_back(
    shape: tuple[int, int, int], dtype: str, fortran: bool, data: st.DataObject
) -> None:
    size = math.prod(shape)
    bits = data.draw(st.binary(min_size=size * 8, max_size=size * 8))
    values = np.frombuffer(bits, np.dtype(dtype) if dtype != "?" else np.uint8, count=size).reshape(shape)
    values = (values % 2).astype(bool) if dtype == "?" else values
    given_labels = data.draw(st.lists(st.integers(0, 9), min_size=shape[0], max_size=shape[0]))
    stream = io.BytesIO()
    np.savez_compressed(stream, x=np.asfortranarray(values) if fortran else values, y=np.array(given_labels))
    with file(stream.getvalue()) as path:
        table = read(path)
    with np.errstate(invalid="ignore"):
        expected = values.reshape(shape[0], -1).astype(np.float64)
    expected[~np.isfinite(expected)] = np.nan
    assert np.array_equal(table.features.astype(np.float64), expected, equal_nan=True)
    assert labels(table) == [str(label) for label in given_labels]


@given(values=st.lists(st.lists(NUMBERS, min_size=2, max_size=2), min_size=2, max_size=9))
def test_a_mapping_keeps_the_order_of_values_and_uses_the_whole_range(values: list[list[float]]) -> None:
    stream = io.BytesIO()
    np.savez(stream, x=np.array(values, dtype=np.float64), y=np.arange(len(values)) % 2)
    with file(stream.getvalue()) as path:
        table = read(path)
    mapping = fitted(table, "columns")
    rows = mapped(table, mapping)
    for place in range(2):
        before, after = np.array(values)[:, place], rows.features[:, place].astype(int)
        assert bool((np.diff(after[np.argsort(before, kind="stable")]) >= 0).all())
        if before.min() < before.max():
            assert (after.min(), after.max()) == (0, 255)
    assert rows.beyond == 0


def csv_file() -> bytes:
    lines = [f"{number * 7 % 50};{number / 3:.3f};'kind {number % 3}'\n" for number in range(12)]
    return ("a;b;label\r\n" + "".join(lines)).encode()


def npz_file() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, features=np.arange(24.0).reshape(6, 2, 2), labels=np.arange(6) % 3)
    return stream.getvalue()


def npy_file() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.column_stack([np.arange(8) * 5, np.arange(8) % 2]))
    return stream.getvalue()


def idx_file() -> bytes:
    return b"\0\0\x08\x03" + struct.pack(">3I", 6, 2, 2) + bytes(range(24))


def picture_file() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.arange(36, dtype=np.uint8).reshape(3, 4, 3)).save(stream, "PNG")
    return stream.getvalue()


def parquet_file() -> bytes:
    stream = io.BytesIO()
    kinds = [f"kind {number % 3}" for number in range(12)]
    table = pyarrow.table({"a": list(range(12)), "b": [number / 3 for number in range(12)], "label": kinds})
    pyarrow.parquet.write_table(table, stream, compression="zstd")
    return stream.getvalue()


FILES = {
    "csv": csv_file(),
    "csv.gz": gzip.compress(csv_file()),
    "npz": npz_file(),
    "npy": npy_file(),
    "idx": idx_file(),
    "png": picture_file(),
    "parquet": parquet_file(),
}


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Some bytes changed, some taken out or put in, or the end cut off."""
    raw = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(raw) - 1)))
        here = slice(place, place + 1)
        match draw(st.sampled_from(["flip", "set", "cut", "insert", "delete"])):
            case "flip":
                mask = 1 << draw(st.integers(0, 7))
                raw[here] = bytes(octet ^ mask for octet in raw[here])
            case "set":
                raw[here] = draw(st.sampled_from([b"\0", b"\xff", b"\x7f", b'"', b",", b"\n", b"9"]))
            case "cut":
                del raw[place:]
            case "insert":
                raw[place:place] = draw(st.binary(max_size=6))
            case _:
                del raw[place : place + draw(st.integers(1, 8))]
    return bytes(raw)


@pytest.mark.parametrize("kind", FILES)
@given(data=st.data())
def test_a_damaged_file_ends_in_a_named_error_or_in_rows(kind: str, data: st.DataObject) -> None:
    raw = data.draw(damaged(FILES[kind]))
    name = {"idx": "train-images-idx3-ubyte", "png": "1.png"}.get(kind, f"a.{kind}")
    with file(raw, name) as path:
        if kind == "idx":
            kinds = b"\0\0\x08\x01" + struct.pack(">I", 6) + bytes(6)
            path.with_name("train-labels-idx1-ubyte").write_bytes(kinds)
        if kind == "png":
            (path.parent / "class").mkdir()
            path.rename(path.parent / "class" / name)
            path = path.parent
        try:
            table = read(path)
            report = examine(table)
        except InvalidInput:
            return
    assert table.features.shape == (table.rows, table.inputs)
    assert len(table.labels.codes) == table.rows
    assert report.facts["rows"] == table.rows
