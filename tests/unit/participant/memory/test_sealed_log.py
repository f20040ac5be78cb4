"""The sealed log: a torn end is dropped, any other change is an error that names the file."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from engram.node.errors import DiskFailure
from engram.participant.memory.disk import Disk
from engram.participant.memory.errors import FastMemoryBroken, FastMemoryDamaged, FastMemoryKeyWrong
from engram.participant.memory.sealed_format import HEAD_BYTES, SECTOR_BYTES
from engram.participant.memory.sealed_log import SealedLog, create_log, open_log
from engram.primitives.keys import PrivateKey

KEY = PrivateKey.from_seed(b"\x05" * 32)
RECORDS = [bytes([65 + number]) * (40 + 90 * number) for number in range(5)]
FILE_BYTES = 700


def written(folder: Path, records: Sequence[bytes] = RECORDS) -> list[Path]:
    """The files of a log in which the first record was written with the log and the others appended."""
    folder.mkdir()
    log = create_log(folder, KEY, records[:1], disk=Disk(), max_file_bytes=FILE_BYTES)
    for record in records[1:]:
        log.append(record)
    log.close()
    return sorted(folder.rglob("*.sealed"))


def read(folder: Path, key: PrivateKey = KEY) -> tuple[list[bytes], SealedLog]:
    log, contents = open_log(folder, key, disk=Disk(), max_file_bytes=FILE_BYTES)
    found = list(contents)
    log.close()
    return found, log


def test_records_come_back_in_their_order_from_several_files(tmp_path: Path) -> None:
    files = written(tmp_path / "log")
    assert len(files) > 1
    found, log = read(tmp_path / "log")
    assert found == RECORDS
    assert log.dropped_bytes == 0
    assert log.size_bytes == sum(path.stat().st_size for path in files)
    assert not any(record[:20] in path.read_bytes() for record in RECORDS for path in files)


def test_another_key_is_told_from_damage(tmp_path: Path) -> None:
    written(tmp_path / "log")
    with pytest.raises(FastMemoryKeyWrong):
        read(tmp_path / "log", PrivateKey.from_seed(b"\x06" * 32))


def test_every_flipped_bit_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    for path in written(tmp_path / "log"):
        whole = path.read_bytes()
        for place in range(len(whole)):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << place % 8
            path.write_bytes(damaged)
            with pytest.raises(FastMemoryDamaged, match=path.name):
                read(tmp_path / "log")
        path.write_bytes(whole)
    assert read(tmp_path / "log")[0] == RECORDS


def test_a_torn_end_of_the_last_file_is_dropped_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path / "log")[-1]
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        found, _ = read(tmp_path / "log")
        assert found == RECORDS[: len(found)]
        assert len(found) < len(RECORDS)
        assert read(tmp_path / "log")[1].dropped_bytes == 0, "it is dropped once"
        path.write_bytes(whole)


def test_sectors_that_were_never_written_are_a_torn_end(tmp_path: Path) -> None:
    path = written(tmp_path / "log", [b"a", b"b" * 3_000])[-1]
    whole = path.read_bytes()
    for sector in range(1, len(whole) // SECTOR_BYTES):
        begin = sector * SECTOR_BYTES
        path.write_bytes(whole[:begin] + bytes(SECTOR_BYTES) + whole[begin + SECTOR_BYTES :])
        found, log = read(tmp_path / "log")
        assert (found, log.dropped_bytes) == ([b"a"], len(whole) - HEAD_BYTES)
        path.write_bytes(whole)


def test_an_end_torn_off_an_earlier_file_is_damage(tmp_path: Path) -> None:
    path = written(tmp_path / "log")[0]
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(FastMemoryDamaged):
            read(tmp_path / "log")


def test_files_and_records_cannot_be_exchanged_or_taken_out(tmp_path: Path) -> None:
    files = written(tmp_path / "log", [b"a" * 40, b"b" * 40, b"c" * 40, *[b"d" * 400] * 3])
    other = written(tmp_path / "other", [b"a" * 40, b"b" * 40, b"c" * 40, *[b"d" * 400] * 3])
    assert len(files) == 4
    whole = files[0].read_bytes()
    size = (len(whole) - HEAD_BYTES) // 3
    a, b, c = (whole[HEAD_BYTES + size * place :][:size] for place in range(3))
    for records in (a + c, b + a + c, a + c + b, a + b + b + c):
        files[0].write_bytes(whole[:HEAD_BYTES] + records)
        with pytest.raises(FastMemoryDamaged):
            read(tmp_path / "log")
    files[0].write_bytes(whole)
    for path, stranger in ((files[1], files[2]), (files[1], other[1]), (files[3], other[3])):
        kept = path.read_bytes()
        path.write_bytes(stranger.read_bytes())
        with pytest.raises(FastMemoryDamaged):
            read(tmp_path / "log")
        path.write_bytes(kept)
    files[1].unlink()
    with pytest.raises(FastMemoryDamaged, match="missing"):
        read(tmp_path / "log")


def test_a_log_goes_on_after_a_torn_end(tmp_path: Path) -> None:
    path = written(tmp_path / "log", RECORDS[:2])[-1]
    path.write_bytes(path.read_bytes()[:-9])
    log, contents = open_log(tmp_path / "log", KEY, disk=Disk(), max_file_bytes=FILE_BYTES)
    assert list(contents) == RECORDS[:1]
    log.append(b"new")
    log.close()
    assert read(tmp_path / "log")[0] == [RECORDS[0], b"new"]


def test_rewriting_leaves_nothing_else(tmp_path: Path) -> None:
    written(tmp_path / "log")
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "log", copy)
    log, contents = open_log(tmp_path / "log", KEY, disk=Disk(), max_file_bytes=FILE_BYTES)
    list(contents)
    log.rewrite([b"only"])
    log.append(b"more")
    log.close()
    assert read(tmp_path / "log")[0] == [b"only", b"more"]
    after = sorted(tmp_path.joinpath("log").rglob("*"))
    assert [path.name for path in after] == ["000002", "000000.sealed"]
    for left in ("000001", "000003.new"):
        shutil.copytree(copy / "000001", tmp_path / "log" / left)
    (tmp_path / "log" / "1999").mkdir()
    assert read(tmp_path / "log")[0] == [b"only", b"more"], "what an interrupted rewriting has left goes"
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == ["000002", "1999"]


class FailingDisk(Disk):
    """Refuses to write, and even to undo what it has written by half."""

    broken = False

    def write(self, descriptor: int, raw: bytes, offset: int) -> None:
        if self.broken:
            super().write(descriptor, raw[:30], offset)
            raise OSError(5, "Input/output error")
        super().write(descriptor, raw, offset)

    def truncate(self, descriptor: int, size: int) -> None:
        raise OSError(5, "Input/output error")


def test_a_disk_that_cannot_even_undo_ends_the_log_until_it_is_opened_again(tmp_path: Path) -> None:
    disk = FailingDisk()
    log = create_log(tmp_path, KEY, RECORDS[:1], disk=disk)
    disk.broken = True
    with pytest.raises(DiskFailure):
        log.append(b"new")
    disk.broken = False
    with pytest.raises(FastMemoryBroken):
        log.append(b"new")
    with pytest.raises(FastMemoryBroken):
        log.rewrite([b"new"])
    log.close()
    assert read(tmp_path)[0] == RECORDS[:1]


def test_no_nonce_is_used_twice_also_where_a_record_was_cut_off(tmp_path: Path) -> None:
    path = written(tmp_path / "log", [b"a", b"b"])[0]
    size = (path.stat().st_size - HEAD_BYTES) // 2
    used = set()
    for number in range(50):
        raw = path.read_bytes()
        places = (HEAD_BYTES, HEAD_BYTES + size)
        used |= {(raw[:HEAD_BYTES], raw[begin + 4 : begin + 16]) for begin in places}
        path.write_bytes(raw[:-1])
        log, contents = open_log(tmp_path / "log", KEY, disk=Disk(), max_file_bytes=FILE_BYTES)
        assert list(contents) == [b"a"]
        log.append(b"%c" % number)
        log.close()
    assert len(used) == 51, "the first record's, and one for each that took the second place"
    other = written(tmp_path / "other", [b"a"])[0]
    assert other.read_bytes()[:HEAD_BYTES] != path.read_bytes()[:HEAD_BYTES], "each file has its own salt"
