"""Block files: what was appended is read back whole or refused by name; crashes cost at most what they
tore.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from engram.node.errors import CorruptStore, DiskFull, ForeignData
from engram.node.storage.blockfiles import (
    HEAD_BYTES,
    MAX_FILE_BYTES,
    PREAMBLE_BYTES,
    BlockFiles,
    Damage,
    StoredRecord,
)
from engram.node.storage.blocklog import BlockLog
from engram.node.storage.memoryfiles import MemoryBlockFiles
from engram.node.storage.schema import Position

GENESIS = b"\x11" * 32
START = Position(0, 0)
PAYLOADS = [bytes([index]) * (100 + 7 * index) for index in range(12)]


def opened(
    directory: Path, committed: Position = START, *, max_file_bytes: int = MAX_FILE_BYTES
) -> BlockFiles:
    return BlockFiles(directory, GENESIS, committed, max_file_bytes=max_file_bytes)


def scanned(log: BlockLog, start: Position = START) -> list[bytes | Damage]:
    return [item.payload if isinstance(item, StoredRecord) else item for item in log.scan(start)]


@pytest.fixture(params=["memory", "disk"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> BlockLog:
    return MemoryBlockFiles() if request.param == "memory" else opened(tmp_path)


def test_append_read_scan(log: BlockLog) -> None:
    ends, locations = [], []
    for payload in PAYLOADS:
        ends.append(log.end)
        locations.append(log.append(payload))
    assert [log.read(location) for location in locations] == PAYLOADS
    assert scanned(log) == PAYLOADS
    assert scanned(log, ends[5])[-7:] == PAYLOADS[5:]
    assert scanned(log, log.end) == []
    log.close()


def test_reopening_continues_where_the_files_end(tmp_path: Path) -> None:
    first = opened(tmp_path, max_file_bytes=600)
    for payload in PAYLOADS[:6]:
        first.append(payload)
    committed = first.end
    first.close()
    second = opened(tmp_path, committed, max_file_bytes=600)
    assert second.end == committed
    assert second.truncated_bytes == 0
    for payload in PAYLOADS[6:]:
        second.append(payload)
    assert scanned(second) == PAYLOADS
    second.close()
    assert len(list(tmp_path.glob("*.dat"))) > 3
    assert all(path.stat().st_size <= 600 for path in tmp_path.glob("*.dat"))


def test_a_record_larger_than_a_file_has_a_file_of_its_own(tmp_path: Path) -> None:
    log = opened(tmp_path, max_file_bytes=200)
    for payload in (b"small", bytes(1000), b"next"):
        log.append(payload)
    assert scanned(log) == [b"small", bytes(1000), b"next"]
    log.close()


@pytest.mark.fault(id=18)
@pytest.mark.parametrize("kept", [1, HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + 20])
def test_a_torn_tail_is_cut_off_and_counted(tmp_path: Path, kept: int) -> None:
    log = opened(tmp_path)
    for payload in PAYLOADS[:3]:
        log.append(payload)
    whole = log.end.offset
    log.append(PAYLOADS[3])
    log.close()
    with (tmp_path / "000000.dat").open("r+b") as file:
        file.truncate(whole + kept)
    again = opened(tmp_path)
    assert (again.truncated_bytes, again.end.offset) == (kept, whole)
    again.append(PAYLOADS[4])
    assert scanned(again) == [*PAYLOADS[:3], PAYLOADS[4]]
    again.close()


@pytest.mark.parametrize("kept", [0, 10, PREAMBLE_BYTES - 1, PREAMBLE_BYTES])
def test_a_torn_new_file_is_begun_again(tmp_path: Path, kept: int) -> None:
    log = opened(tmp_path, max_file_bytes=300)
    log.append(PAYLOADS[0])
    first_file = log.end
    log.append(bytes(200))
    log.close()
    with (tmp_path / "000001.dat").open("r+b") as file:
        file.truncate(kept)
    again = opened(tmp_path, max_file_bytes=300)
    assert again.end == first_file
    again.append(bytes(200))
    assert scanned(again) == [PAYLOADS[0], bytes(200)]
    again.close()


def test_a_torn_first_file_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "000000.dat").write_bytes(b"engram bl")
    log = opened(tmp_path)
    log.append(b"block")
    assert scanned(log) == [b"block"]
    log.close()


def test_files_that_lost_their_end_keep_the_rest_and_are_continued_elsewhere(tmp_path: Path) -> None:
    log = opened(tmp_path)
    locations = [log.append(payload) for payload in PAYLOADS]
    committed = log.end
    log.close()
    with (tmp_path / "000000.dat").open("r+b") as file:
        file.truncate(committed.offset - 1)
    for _ in range(2):
        log = opened(tmp_path, committed)
        assert log.lost == committed
        assert [log.is_there(location) for location in locations] == [True] * 11 + [False]
        assert [log.read(location) for location in locations[:11]] == PAYLOADS[:11]
        with pytest.raises(CorruptStore):
            log.read(locations[11])
        again = log.append(b"again")
        assert again.file > 0, "nothing is written where a record stood"
        assert log.read(again) == b"again"
        end = log.end
        log.close()
    log = opened(tmp_path, end)
    assert log.lost is None
    assert log.read(again) == b"again"
    log.close()


def test_block_files_that_are_all_gone_are_refused(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.append(PAYLOADS[0])
    committed = log.end
    log.close()
    (tmp_path / "000000.dat").unlink()
    with pytest.raises(CorruptStore, match="mounted"):
        opened(tmp_path, committed)


@pytest.mark.fault(id=18)
def test_every_flipped_byte_of_a_record_is_found(tmp_path: Path) -> None:
    log = opened(tmp_path)
    locations = [log.append(payload) for payload in PAYLOADS[:3]]
    path = tmp_path / "000000.dat"
    whole = path.read_bytes()
    target = locations[1]
    size = HEAD_BYTES + target.size_bytes
    for position in range(target.offset, target.offset + size):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(CorruptStore):
            log.read(target)
        assert scanned(log) == [PAYLOADS[0], Damage(0, target.offset, size), PAYLOADS[2]]
    log.close()


def test_a_record_inside_a_payload_is_not_taken_for_one(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    nested = opened(inner)
    nested.append(b"a record within")
    payload = (inner / "000000.dat").read_bytes()
    log = opened(tmp_path / "outer")
    log.append(payload)
    log.append(b"after")
    assert scanned(log) == [payload, b"after"]
    nested.close()
    log.close()


def test_a_missing_file_and_a_damaged_preamble_are_reported(tmp_path: Path) -> None:
    log = opened(tmp_path, max_file_bytes=300)
    for payload in PAYLOADS[:5]:
        log.append(payload)
    (tmp_path / "000001.dat").unlink()
    third = tmp_path / "000002.dat"
    third.write_bytes(b"X" + third.read_bytes()[1:])
    found = scanned(log)
    assert [item for item in found if isinstance(item, Damage)] == [
        Damage(1, 0, 0),
        Damage(2, 0, PREAMBLE_BYTES),
    ]
    assert PAYLOADS[0] in found
    assert PAYLOADS[4] in found
    log.close()


def test_files_of_another_chain_are_refused(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.append(b"block")
    log.close()
    with pytest.raises(ForeignData) as caught:
        BlockFiles(tmp_path, b"\x22" * 32, START)
    assert caught.value.code == "foreign_data"


def test_a_missing_record_is_corruption_not_a_crash(tmp_path: Path) -> None:
    log = opened(tmp_path)
    location = log.append(b"block")
    (tmp_path / "000000.dat").unlink()
    with pytest.raises(CorruptStore):
        log.read(location)
    log.close()


FILL = """
import resource, sys
from pathlib import Path
from engram.node.storage.blockfiles import BlockFiles
from engram.node.errors import DiskFull
from engram.node.storage.memoryfiles import MemoryBlockFiles
from engram.node.storage.schema import Position

log = BlockFiles(Path(sys.argv[1]), bytes([0x11]) * 32, Position(0, 0))
log.append(b"kept")
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
for payload in (bytes(5_000), b"small"):
    try:
        log.append(payload)
    except DiskFull as error:
        print(error.code)
"""


@pytest.mark.fault(id=17)
def test_a_full_disk_is_named_and_later_appends_fail(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == [DiskFull.code] * 2
    log = opened(tmp_path)
    assert log.truncated_bytes > 0
    assert scanned(log) == [b"kept"]
    log.close()
