"""The journal of the mempool as a file: what was appended is read, whatever happened to the rest."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engram.node.errors import DiskFailure, DiskFull, NotAFile
from engram.node.mempool.journal import JOURNAL_NAME, Journaled, MempoolJournal

GENESIS = bytes(range(32))
FIRST, SECOND, THIRD = (Journaled(bytes([number]) * 40, 1_000 + number) for number in (1, 2, 3))


def journal(folder: Path, genesis_id: bytes = GENESIS) -> MempoolJournal:
    return MempoolJournal(folder / JOURNAL_NAME, genesis_id)


def written(folder: Path, *entries: Journaled) -> bytes:
    """The file's bytes with these records."""
    opened = journal(folder)
    opened.open()
    for entry in entries:
        opened.append([entry])
    opened.close()
    return (folder / JOURNAL_NAME).read_bytes()


def entries_in(folder: Path) -> tuple[Journaled, ...]:
    """What a node that opens the folder reads."""
    opened = journal(folder)
    entries = opened.open().entries
    opened.close()
    return entries


def test_what_was_appended_is_read(tmp_path: Path) -> None:
    raw = written(tmp_path, FIRST, SECOND)
    again = journal(tmp_path)
    assert again.open().entries == (FIRST, SECOND)
    assert again.size_bytes == len(raw)
    again.append([THIRD])
    again.close()
    last = journal(tmp_path)
    assert last.open().entries == (FIRST, SECOND, THIRD)
    last.close()
    assert (tmp_path / JOURNAL_NAME).stat().st_mode & 0o777 == 0o600


def test_a_tail_cut_anywhere_costs_its_own_record_only(tmp_path: Path) -> None:
    whole = written(tmp_path, FIRST)
    longer = written(tmp_path, SECOND)
    for size in range(len(whole), len(longer)):
        (tmp_path / JOURNAL_NAME).write_bytes(longer[:size])
        torn = journal(tmp_path)
        found = torn.open()
        assert found.entries == (FIRST,)
        assert found.skipped_bytes == size - len(whole)
        torn.append([THIRD])
        torn.close()
        read = journal(tmp_path)
        assert read.open().entries == (FIRST, THIRD), "what follows a torn tail is read"
        read.close()


def test_a_bent_bit_anywhere_costs_one_record_and_is_told(tmp_path: Path) -> None:
    start = len(written(tmp_path, FIRST))
    end = len(written(tmp_path, SECOND))
    whole = written(tmp_path, THIRD)
    for place in range(start, end):
        bent = bytearray(whole)
        bent[place] ^= 0x10
        (tmp_path / JOURNAL_NAME).write_bytes(bent)
        found = (read := journal(tmp_path)).open()
        read.close()
        assert found.entries == (FIRST, THIRD)
        assert found.skipped_bytes == end - start


@pytest.mark.parametrize("content", [b"", b"notes of mine\n", bytes(200)], ids=["empty", "text", "zeros"])
def test_a_foreign_file_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / JOURNAL_NAME).write_bytes(content)
    opened = journal(tmp_path)
    found = opened.open()
    assert found.entries == ()
    assert found.set_aside is not None
    assert found.set_aside.read_bytes() == content, "nothing is overwritten"
    opened.append([FIRST])
    opened.close()
    assert entries_in(tmp_path) == (FIRST,)


def test_a_journal_of_another_chain_is_set_aside(tmp_path: Path) -> None:
    raw = written(tmp_path, FIRST)
    other = journal(tmp_path, bytes(32))
    found = other.open()
    other.close()
    assert (found.entries, found.set_aside and found.set_aside.read_bytes()) == ((), raw)


def test_a_folder_in_its_place_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_NAME).mkdir()
    with pytest.raises(NotAFile) as refusal:
        journal(tmp_path).open()
    assert JOURNAL_NAME in str(refusal.value)


def test_it_is_written_anew_with_what_still_waits(tmp_path: Path) -> None:
    written(tmp_path, FIRST, SECOND, THIRD)
    opened = journal(tmp_path)
    opened.open()
    opened.rewrite([SECOND])
    opened.append([FIRST])
    opened.close()
    again = journal(tmp_path)
    assert again.open().entries == (SECOND, FIRST)
    again.close()
    assert [path.name for path in tmp_path.iterdir()] == [JOURNAL_NAME]


@contextmanager
def no_file_beyond(size_bytes: int) -> Iterator[None]:
    """The system refuses to let any file of this process grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_without_room_loses_nothing_that_was_written(tmp_path: Path) -> None:
    opened = journal(tmp_path)
    opened.open()
    opened.append([FIRST])
    with no_file_beyond(opened.size_bytes + 20):
        with pytest.raises(DiskFull, match=JOURNAL_NAME):
            opened.append([SECOND])
        with pytest.raises(DiskFull, match=JOURNAL_NAME):
            opened.rewrite([SECOND, THIRD])
    opened.append([THIRD])
    opened.close()
    assert entries_in(tmp_path) == (FIRST, THIRD)


def test_an_unwritable_folder_is_a_failure_by_name(tmp_path: Path) -> None:
    with pytest.raises(DiskFailure, match=JOURNAL_NAME):
        journal(tmp_path / "missing").open()
