"""The address book on disk: nothing is lost in between, and damage costs the addresses but not the start."""

import asyncio
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from engram.node.addressfile import ADDRESSES_NAME, SAVE_S, AddressFile, book_bytes
from engram.node.clock import FakeClock
from engram.node.concurrency import ReaderThreads
from engram.p2p.addressbook import FORGET_S
from engram.p2p.link import PeerAddress
from tests.support.address_book import address, reach
from tests.support.until import until


@pytest.fixture
def threads() -> Iterator[ReaderThreads]:
    made = ReaderThreads()
    yield made
    made.close()


def filled(folder: Path, clock: FakeClock, threads: ReaderThreads) -> AddressFile:
    kept = AddressFile(folder, clock, threads)
    for number in range(200):
        kept.book.add(address(number), address(number % 20, group=number % 7).host, clock.now_ms() // 1000)
    reach(kept.book, *(address(number) for number in range(0, 200, 5)), PeerAddress("2001:4860::1", 9000))
    kept.book.anchors = (address(5), address(10))
    return kept


async def test_the_book_outlives_the_node(tmp_path: Path, threads: ReaderThreads) -> None:
    clock = FakeClock(1_700_000_000_000)
    kept = filled(tmp_path, clock, threads)
    running = asyncio.create_task(kept.run())
    await asyncio.sleep(0)
    clock.advance(int(SAVE_S * 1000))
    await until((tmp_path / ADDRESSES_NAME).exists)
    kept.book.forget(address(1))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    again = AddressFile(tmp_path, clock, threads)
    assert again.book.secret == kept.book.secret
    assert again.book.anchors == (address(5), address(10))
    assert list(again.book) == list(kept.book)
    assert [len(each) for each in again.book.standing()] == [len(each) for each in kept.book.standing()]
    assert (tmp_path / ADDRESSES_NAME).stat().st_mode & 0o777 == 0o600


async def test_a_clock_that_was_ahead_makes_nothing_immortal(tmp_path: Path, threads: ReaderThreads) -> None:
    ahead = filled(tmp_path, FakeClock(1_900_000_000_000), threads)
    (tmp_path / ADDRESSES_NAME).write_bytes(book_bytes(ahead.book))
    clock = FakeClock(1_700_000_000_000)
    book = AddressFile(tmp_path, clock, threads).book
    assert len(book) == len(ahead.book)
    clock.advance((FORGET_S + 1) * 1000)
    book.sweep()
    assert len(book) == 0


def checked(line: bytes) -> bytes:
    """A file whose checksum holds, whatever stands in it."""
    return line + b"\n%08x\n" % zlib.crc32(line)


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw[:-2],
        lambda raw: raw[:50] + bytes([raw[50] ^ 1]) + raw[51:],
        lambda raw: raw + b"x",
        lambda raw: b"\xff\xfe" + raw,
        lambda raw: b"[]\n",
        lambda raw: checked(b"[" * 100_000 + b"]" * 100_000),
        lambda raw: checked(b"[]"),
        lambda raw: checked(b'{"secret":"' + b"00" * 32 + b'","anchors":[7],"entries":[]}'),
        lambda raw: checked(b'{"secret":"' + b"00" * 32 + b'","anchors":[],"entries":[["1.2.3.4",9000]]}'),
        lambda raw: b"{}\n" + b"a3830b27\n",
    ],
)
async def test_damage_is_a_warning_and_a_fresh_start(
    tmp_path: Path, threads: ReaderThreads, damage: Callable[[bytes], bytes]
) -> None:
    clock = FakeClock(1_700_000_000_000)
    kept = filled(tmp_path, clock, threads)
    path = tmp_path / ADDRESSES_NAME
    path.write_bytes(damage(book_bytes(kept.book)))
    with capture_logs() as lines:
        book = AddressFile(tmp_path, clock, threads).book
    assert len(book) == 0
    assert book.secret != kept.book.secret
    assert [line["log_level"] for line in lines] == ["warning"]
    assert "addresses.json" in lines[0]["event"]


async def test_what_is_no_file_is_a_warning_too(tmp_path: Path, threads: ReaderThreads) -> None:
    (tmp_path / ADDRESSES_NAME).mkdir()
    with capture_logs() as lines:
        kept = AddressFile(tmp_path, FakeClock(0), threads)
        assert len(kept.book) == 0
    assert len(lines) == 1
