"""Both databases behave alike; LevelDB answers damage and misuse with named errors, never with silence."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import plyvel
import pytest

from engram.node.errors import CorruptStore, DataDirLocked, DiskFull
from engram.node.storage.db import Batch, Database, LevelDatabase, MemoryDatabase
from engram.primitives.errors import StorageError
from tests.support.faults import inputs

Opener = Callable[[], Database]


@pytest.fixture(params=["memory", "leveldb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    opened: Database = MemoryDatabase() if request.param == "memory" else LevelDatabase(tmp_path / "db")
    yield opened
    opened.close()


def test_absent_put_replaced_deleted(database: Database) -> None:
    assert database.get(b"k") is None
    database.put(b"k", b"1")
    database.put(b"k", b"2")
    assert database.get(b"k") == b"2"
    batch = Batch()
    batch.put(b"a", b"")
    batch.delete(b"k")
    batch.delete(b"never there")
    database.write(batch)
    assert (database.get(b"k"), database.get(b"a")) == (None, b"")


def test_the_later_change_of_a_batch_wins(database: Database) -> None:
    batch = Batch()
    batch.put(b"k", b"1")
    batch.delete(b"k")
    batch.put(b"j", b"1")
    batch.put(b"j", b"2")
    database.write(batch, sync=False)
    assert list(database.iterate()) == [(b"j", b"2")]


def test_iteration_by_prefix_and_start(database: Database) -> None:
    rows = {b"a": b"0", b"b\x00": b"1", b"b\x01": b"2", b"b\xff\xff": b"3", b"c": b"4", b"\xff\xff": b"5"}
    database.write(Batch(dict(rows)))
    assert list(database.iterate()) == sorted(rows.items())
    assert [key for key, _ in database.iterate(b"b")] == [b"b\x00", b"b\x01", b"b\xff\xff"]
    assert [key for key, _ in database.iterate(b"b", start=b"\x01")] == [b"b\x01", b"b\xff\xff"]
    assert [key for key, _ in database.iterate(b"\xff")] == [b"\xff\xff"]
    assert list(database.iterate(b"d")) == []


def test_iteration_sees_the_moment_of_the_call(database: Database) -> None:
    database.put(b"a", b"1")
    rows = database.iterate()
    database.put(b"b", b"2")
    assert list(rows) == [(b"a", b"1")]


def test_size_grows_with_the_content(database: Database) -> None:
    before = database.size_bytes()
    database.put(b"k", bytes(100_000))
    assert database.size_bytes() >= before + 100_000


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    first = LevelDatabase(tmp_path)
    first.write(Batch({bytes([index]): bytes([index]) * 1000 for index in range(200)}))
    first.close()
    second = LevelDatabase(tmp_path)
    assert list(second.iterate()) == [(bytes([index]), bytes([index]) * 1000) for index in range(200)]
    second.close()


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    held = LevelDatabase(tmp_path)
    with pytest.raises(DataDirLocked) as caught:
        LevelDatabase(tmp_path)
    assert caught.value.code == "data_dir_locked"
    held.close()
    LevelDatabase(tmp_path).close()


FILL = """
import resource, sys
from pathlib import Path
from engram.node.storage.db import Batch, LevelDatabase
from engram.node.errors import DiskFull

database = LevelDatabase(Path(sys.argv[1]))
limit = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), limit[1]))
written = 0
try:
    while True:
        database.write(Batch({b"%d" % written: bytes(10_000), b"last": b"%d" % written}))
        written += 1
except DiskFull as error:
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)  # space is freed, yet the log may end in half a record
    try:
        database.put(b"after", b"the failure")
    except DiskFull:
        print(error.code, written)
"""


@pytest.mark.fault(id=17)
@pytest.mark.parametrize("room", [300_000 + 7_919 * turn for turn in range(inputs(17, sample=1))])
def test_a_full_disk_is_named_and_costs_nothing_that_was_acknowledged(tmp_path: Path, room: int) -> None:
    """The kernel's own limit on file sizes refuses the write, as a full disk does."""
    run = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path), str(room)], capture_output=True, text=True, check=True
    )
    code, written = run.stdout.split()
    assert code == DiskFull.code
    assert int(written) > 10
    database = LevelDatabase(tmp_path)
    last = int(database.get(b"last") or b"-1")
    assert last >= int(written) - 1
    assert all(database.get(b"%d" % index) == bytes(10_000) for index in range(last + 1))
    assert database.get(b"after") is None
    database.close()


def flipped(path: Path, position: int) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 0x10]))


def contents(directory: Path) -> dict[bytes, bytes] | StorageError:
    try:
        database = LevelDatabase(directory)
    except StorageError as error:
        return error
    try:
        rows = dict(database.iterate())
        assert all(database.get(key) == value for key, value in rows.items())
        return rows
    except StorageError as error:
        return error
    finally:
        database.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[bytes, bytes]]:
    """A store with tables and a log, and what it holds."""
    directory = tmp_path_factory.mktemp("whole")
    rows = {b"%05d" % index: (b"%d " % index) * 40 for index in range(2_000)}
    for part in range(3):
        database = LevelDatabase(directory)  # each reopening turns the log into a table
        for index in range(part, 2_000, 3):
            database.put(b"%05d" % index, rows[b"%05d" % index])
        database.close()
    return directory, rows


@pytest.mark.fault(id=18, inputs=inputs(18, sample=24, share=0.5))
@pytest.mark.parametrize("kind", ["*.ldb", "*.log"])
def test_no_flipped_bit_of_tables_and_logs_is_silent(
    whole: tuple[Path, dict[bytes, bytes]], tmp_path: Path, kind: str
) -> None:
    source, rows = whole
    files = [path for path in sorted(source.glob(kind)) if path.stat().st_size > 100]
    assert files
    refused, count = 0, inputs(18, sample=24, share=0.5)
    for turn in range(count):
        copy = tmp_path / str(turn)
        shutil.copytree(source, copy)
        victim = copy / files[turn % len(files)].name
        flipped(victim, victim.stat().st_size * (turn * 41 % 97) // 97)
        seen = contents(copy)
        assert isinstance(seen, CorruptStore) or seen == rows, f"silent change in {victim.name}, turn {turn}"
        refused += isinstance(seen, CorruptStore)
    assert refused >= count // 2


def test_a_table_that_was_cut_off_is_corruption_and_no_empty_database(tmp_path: Path) -> None:
    """LevelDB opens it, and its iterators find no rows and no error."""
    database = LevelDatabase(tmp_path)
    database.write(Batch({bytes([number]): bytes(1_000) for number in range(200)}))
    database.compact()
    database.close()
    (table,) = tmp_path.glob("*.ldb")
    whole = table.read_bytes()
    for size in (0, 5, 1_000, len(whole) - 1):
        table.write_bytes(whole[:size])
        with pytest.raises(CorruptStore):
            LevelDatabase(tmp_path)
    table.write_bytes(whole)
    with closing(LevelDatabase(tmp_path)) as again:
        assert len(list(again.iterate())) == 200


def test_a_table_that_a_crash_left_incomplete_is_no_damage(tmp_path: Path) -> None:
    with closing(LevelDatabase(tmp_path)) as database:
        database.put(b"key", b"value")
    left = tmp_path / "000999.ldb"
    left.write_bytes(b"half a table")
    with closing(LevelDatabase(tmp_path)) as again:
        assert again.get(b"key") == b"value"
    assert not left.exists(), "nothing refers to it, so LevelDB has deleted it"


def test_a_table_that_a_compaction_is_just_writing_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LevelDB compacts in the background from the moment it is open."""
    opened = plyvel.DB

    def open_and_begin_a_table(*arguments: Any, **settings: Any) -> plyvel.DB:
        database = opened(*arguments, **settings)
        (tmp_path / "000999.ldb").write_bytes(b"half a table")
        return database

    with closing(LevelDatabase(tmp_path)) as database:
        database.put(b"key", b"value")
    monkeypatch.setattr(plyvel, "DB", open_and_begin_a_table)
    with closing(LevelDatabase(tmp_path)) as again:
        assert again.get(b"key") == b"value"


def test_tables_without_current_are_not_taken_for_a_new_database(tmp_path: Path) -> None:
    database = LevelDatabase(tmp_path)
    database.put(b"key", b"value")
    database.compact()
    database.close()
    (tmp_path / "CURRENT").rename(tmp_path / "kept")
    with pytest.raises(CorruptStore):
        LevelDatabase(tmp_path)
    (tmp_path / "kept").rename(tmp_path / "CURRENT")
    with closing(LevelDatabase(tmp_path)) as again:
        assert again.get(b"key") == b"value"
