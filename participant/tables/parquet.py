"""Reads tables from parquet files. pyarrow does it, which is an extra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engram.node.extras import install_command
from engram.participant.errors import EmptyDataset
from engram.participant.tables.cells import is_missing, is_name
from engram.participant.tables.errors import (
    DatasetDamaged,
    DatasetEncrypted,
    DatasetTooLarge,
    LabelsMissing,
    ReaderMissing,
    ValueNotNumber,
)
from engram.participant.tables.guessing import (
    check_features,
    check_named,
    find_column,
    has_no_labels,
    hinted_column,
    matrix_table,
    named_labels,
)
from engram.participant.tables.limits import FILE_BYTES, LABEL_LETTERS, TABLE_BYTES, check_labels, check_size
from engram.participant.tables.opening import file_size, opened
from engram.participant.tables.raw import (
    NO_LABEL,
    NONE,
    LabelColumn,
    RawTable,
    ReadOptions,
    compact,
    labels_of_numbers,
    labels_of_texts,
)
from engram.primitives.errors import ChainError

_METADATA_BYTES: Final = 2**24
_DOUBLE: Final = 8


def read_parquet(path: Path, options: ReadOptions) -> RawTable:
    """The rows of a parquet file: columns of numbers, and one of labels.

    Raises `ReaderMissing` without pyarrow, `DatasetDamaged`, `DatasetEncrypted`, `DatasetTooLarge`,
    `EmptyDataset`,
    `ValueNotNumber`, `LabelsMissing`, `ColumnNotFound`, and what `opened` raises.
    """
    library = _pyarrow()
    with opened(path) as stream, _named(path):
        _check_footer(path, stream)
        table = library.parquet.ParquetFile(stream, thrift_string_size_limit=_METADATA_BYTES)
        _check(path, table.metadata)
        schema = table.schema_arrow
        kinds = {name: _kind(library, schema.field(place).type) for place, name in enumerate(schema.names)}
        titles = tuple(schema.names)
        label, how, kept = _columns(path, titles, kinds, options)
        groups = _groups(table, [titles[place] for place in kept], path, options)
        words = label is not None and kinds[titles[label]] == "words"
        if words:
            stream.seek(0)
            table = library.parquet.ParquetFile(
                stream, thrift_string_size_limit=_METADATA_BYTES, read_dictionary=[titles[label or 0]]
            )
            groups = _groups(table, [titles[place] for place in kept], path, options)
        return _table(path, groups, titles, (label, how, words), kept)


def _table(
    path: Path,
    groups: Iterator[Any],
    titles: tuple[str, ...],
    found: tuple[int | None, str, bool],
    kept: list[int],
) -> RawTable:
    """The table in pieces of a file; `found`: the label column, how it was found, whether it holds words."""
    label, how, words = found
    numeric = [place for place in kept if place != label]
    chunks, texts, codes = [], dict[str, int](), []
    numbers = []
    for group in groups:
        columns = [_numbers(path, titles[place], group.column(titles[place])) for place in numeric]
        chunks.append(compact(path.name, np.column_stack(columns)))
        if label is not None:
            column = group.column(titles[label])
            if words:
                codes.append(_codes(path, column, texts))
            else:
                numbers.append(_numbers(path, titles[label], column) + 0)
    if not chunks:
        raise EmptyDataset(f"{path.name} holds no rows")
    matrix = np.concatenate(chunks)
    named = tuple(titles[place] for place in numeric)
    if label is None:
        options = ReadOptions(label=NONE) if how == "asked" else ReadOptions()
        return replace(matrix_table(path.name, "parquet", matrix, options, named), header=True)
    if words:
        if how == "words" and texts and sum(map(is_name, texts)) * 2 <= len(texts):
            raise _no_numbers(path, [titles[label]])
        labels = labels_of_texts(list(texts), np.concatenate(codes))
    else:
        labels = labels_of_numbers(path.name, np.concatenate(numbers))
    column = LabelColumn(titles[label], how)
    return RawTable(path.name, "parquet", matrix, labels, column, (matrix.shape[1],), named, header=True)


def _columns(
    path: Path, titles: tuple[str, ...], kinds: dict[str, str], options: ReadOptions
) -> tuple[int | None, str, list[int]]:
    """The place of the labels, if no values are needed for it, how it was found, and the columns to read."""
    if len(set(titles)) != len(titles):
        raise ValueNotNumber(f"{path.name} has several columns of one name: give them different names")
    check_features(path.name, titles, options)
    dropped = {find_column(titles, title, path.name) for title in options.drop}
    wanted = options.label or options.hint
    nowhere = has_no_labels(titles, len(titles), options)
    if options.only and set(options.only) <= set(titles) and (wanted in titles or nowhere):
        dropped |= {place for place, title in enumerate(titles) if title not in (*options.only, wanted)}
    kept = [place for place in range(len(titles)) if place not in dropped]
    names = [titles[place] for place in kept]
    if len(kept) < 2:
        raise LabelsMissing(f"{path.name} has one column only: a row needs at least one feature and a label")
    label, how = None, "values"
    words = [place for place in kept if kinds[titles[place]] == "words"]
    if nowhere:
        how = "asked"
    elif options.label is not None:
        label, how = kept[find_column(names, options.label, path.name)], "asked"
    elif (hinted := hinted_column(names, options.hint)) is not None:
        label, how = kept[hinted], "asked"
    elif (found := named_labels(names)) is not None:
        label, how = kept[found], "named"
    else:
        check_named(path.name, names)
        if len(words) == 1:
            label, how = words[0], "words"
    strange = [titles[place] for place in kept if place != label and kinds[titles[place]] != "numbers"]
    if strange:
        raise _no_numbers(path, strange)
    if label is not None and kinds[titles[label]] == "other":
        raise ValueNotNumber(f"{path.name}: the column {titles[label]!r} holds neither numbers nor words")
    return label, how, kept


def _no_numbers(path: Path, titles: list[str]) -> ValueNotNumber:
    return ValueNotNumber(
        f"{path.name}: columns hold no numbers: {', '.join(map(repr, titles[:8]))}; name the label "
        "column with --label, leave the others out with --drop",
        got=titles[:8],
    )


def _groups(parquet_file: Any, names: list[str], path: Path, options: ReadOptions) -> Iterator[Any]:
    size = file_size(path)
    rows, total = 0, parquet_file.metadata.num_rows
    for batch in parquet_file.iter_batches(batch_size=2**14, columns=names, use_threads=False):
        rows += batch.num_rows
        if rows > total:
            raise DatasetDamaged(f"{path.name} holds more rows than it announces", expected=total, got=rows)
        if options.progress is not None:
            options.progress(size * rows // max(1, total), size)
        if batch.num_rows:
            yield batch
    if rows != total:
        raise DatasetDamaged(f"{path.name} holds fewer rows than it announces", expected=total, got=rows)


def _numbers(path: Path, title: str, column: Any) -> npt.NDArray[np.generic]:
    values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind == "O":  # truths, some of which are missing
        return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)
    if values.dtype.kind not in "biuf":
        raise ValueNotNumber(f"{path.name}: the column {title!r} holds no numbers")
    return values


def _codes(path: Path, column: Any, texts: dict[str, int]) -> npt.NDArray[np.int32]:
    """A code for each row of a column whose words are kept once: a row of it may repeat a very long one."""
    places = column.indices.fill_null(NO_LABEL).to_numpy(zero_copy_only=False)
    used, rows = np.unique(places, return_inverse=True)
    codes = np.full(len(used), NO_LABEL, dtype=np.int32)
    for number, place in enumerate(used.tolist()):
        text = None if place < 0 else column.dictionary[place].as_py()
        text = "" if text is None else str(text).strip()
        if len(text) > LABEL_LETTERS:
            raise DatasetTooLarge(
                f"{path.name} has a label that is too long", expected=LABEL_LETTERS, got=len(text)
            )
        if not is_missing(text):
            codes[number] = texts.setdefault(text, len(texts))
            check_labels(path.name, len(texts))
    return codes[rows]


def _check_footer(path: Path, stream: Any) -> None:
    """Refuses a file whose description is as long as only a bomb's is."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - 8))
    tail = stream.read(8)
    if tail[4:] == b"PARE":
        raise DatasetEncrypted(f"{path.name} is an encrypted parquet file: decrypt it first")
    if len(tail) < 8 or tail[4:] != b"PAR1":
        raise DatasetDamaged(f"{path.name} is cut off: a parquet file ends as it begins")
    if int.from_bytes(tail[:4], "little") > min(size, _METADATA_BYTES):
        raise DatasetDamaged(f"{path.name} has a description that is too long")
    stream.seek(0)


def _check(path: Path, metadata: Any) -> None:
    """Refuses what would take too much memory, by the file's description. Raises `DatasetTooLarge`."""
    if not metadata.num_rows:
        raise EmptyDataset(f"{path.name} holds no rows")
    check_size(path.name, metadata.num_rows, max(1, metadata.num_columns - 1), _DOUBLE)
    unpacked = [metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)]
    if max(unpacked, default=0) > TABLE_BYTES or sum(unpacked) > FILE_BYTES:
        raise DatasetTooLarge(
            f"{path.name} unpacks to too much: divide it", expected=TABLE_BYTES, got=sum(unpacked)
        )


def _kind(library: ModuleType, kind: Any) -> str:
    """What a column of an arrow type holds: `numbers`, `words` or something `other`."""
    types = library.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        return "numbers"
    return "words" if types.is_string(kind) or types.is_large_string(kind) else "other"


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Gives what pyarrow raises about a file a name: its decoders raise many errors."""
    try:
        yield
    except ChainError:
        raise
    except Exception as error:
        raise DatasetDamaged(f"{path.name} is a damaged parquet file: {error}") from error


def _pyarrow() -> ModuleType:
    try:
        import pyarrow.parquet
        import pyarrow.types  # for the module beside the reader
    except ImportError as error:
        raise ReaderMissing(
            f"parquet files are read with pyarrow, which is not installed: {install_command('parquet')}"
        ) from error
    module: ModuleType = pyarrow
    return module
