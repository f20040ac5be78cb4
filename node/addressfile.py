"""Keeps the address book in the data directory, in addresses.json.

The file ends with a checksum. One that is damaged is left out with a warning: the node begins with an empty
book, asks its named peers and its seeds, and knows nodes again soon. The secret that the places in the book
follow from is lost with it, which harms nothing.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from engram.node import logs
from engram.node.clock import Clock
from engram.node.concurrency import ReaderThreads
from engram.node.files import write_private
from engram.p2p.addressbook import AddressBook
from engram.p2p.addresstable import BookEntry
from engram.p2p.errors import BadPeerAddress
from engram.p2p.link import PeerAddress
from engram.p2p.netgroup import plain_host, scope_of

ADDRESSES_NAME: Final = "addresses.json"
SAVE_S: Final = 600.0
"""What was learned since the last save is lost with a crash, and learned again."""
ROWS_AT_ONCE: Final = 1_000
SECRET_BYTES: Final = 32
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""More than a full book takes."""


class AddressFile:
    """The book of one data directory, and its file."""

    def __init__(self, data_dir: Path, clock: Clock, threads: ReaderThreads) -> None:
        """Reads the file; one that is damaged is left out with a warning."""
        self._path = data_dir / ADDRESSES_NAME
        self._clock = clock
        self._threads = threads
        self.book = read_book(self._path, lambda: clock.now_ms() // 1000, random.SystemRandom())

    async def run(self) -> None:
        """Saves the book from time to time until it is cancelled, and once more then."""
        try:
            while True:
                await self._clock.sleep(SAVE_S)
                self.book.sweep()
                await self._threads.run(self._write_rows, head_of(self.book), await self._rows())
        finally:
            self._write(book_bytes(self.book))

    async def _rows(self) -> list[list[Any]]:
        """The rows of the file, made a few at a time: a book that strangers have filled has 80,000."""
        entries, rows = list(self.book), list[list[Any]]()
        for start in range(0, len(entries), ROWS_AT_ONCE):
            rows += map(_row, entries[start : start + ROWS_AT_ONCE])
            await asyncio.sleep(0)
        return rows

    def _write_rows(self, head: dict[str, Any], rows: list[list[Any]]) -> None:
        self._write(_content(head, rows))

    def _write(self, content: bytes) -> None:
        try:
            write_private(self._path, content)
        except OSError as error:
            logs.get_logger("peers").warning(
                "addresses.json cannot be written; free some space, or check who owns the data directory",
                error=str(error),
            )


def read_book(path: Path, now_s: Callable[[], int], rng: random.Random) -> AddressBook:
    """The book in a file; if there is none or, with a warning, if it is damaged: an empty one."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError("it is larger than any address book")
        return _book_of(path.read_bytes(), now_s, rng)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError, KeyError, RecursionError, BadPeerAddress) as error:
        logs.get_logger("peers").warning(
            "addresses.json cannot be read, so the node knows no addresses but those it is told again",
            error=str(error),
        )
    return AddressBook(secrets.token_bytes(SECRET_BYTES), now_s, rng)


def book_bytes(book: AddressBook) -> bytes:
    """The content of the file: one line of JSON, and one with its CRC-32."""
    return _content(head_of(book), [_row(entry) for entry in book])


def head_of(book: AddressBook) -> dict[str, Any]:
    """What the file says of the book as a whole."""
    return {"secret": book.secret.hex(), "anchors": [str(anchor) for anchor in book.anchors]}


def _content(head: dict[str, Any], rows: list[list[Any]]) -> bytes:
    line = json.dumps({**head, "entries": rows}, separators=(",", ":")).encode()
    return line + b"\n" + _checksum(line) + b"\n"


def _book_of(content: bytes, now_s: Callable[[], int], rng: random.Random) -> AddressBook:
    line, _, check = content.partition(b"\n")
    if check != _checksum(line) + b"\n":
        raise ValueError("its checksum does not hold")
    document = json.loads(line)
    secret = bytes.fromhex(document["secret"])
    if len(secret) != SECRET_BYTES:
        raise ValueError("its secret has another size")
    book = AddressBook(secret, now_s, rng)
    for row in document["entries"]:
        book.restore(_entry(row))
    anchors = document["anchors"]
    if not all(isinstance(each, str) for each in anchors):
        raise ValueError("an anchor is no address")
    book.anchors = tuple(PeerAddress.parse(text) for text in anchors)
    return book


def _checksum(line: bytes) -> bytes:
    return b"%08x" % zlib.crc32(line)


def _row(entry: BookEntry) -> list[Any]:
    times = (entry.seen_s, entry.dialled_s, entry.first_s, entry.reached_s, entry.failures, entry.counted_s)
    return [entry.address.host, entry.address.port, entry.is_tried, *times, entry.sources]


def _entry(row: list[Any]) -> BookEntry:
    host, port, is_tried, *numbers, sources = row
    seen_s, dialled_s, first_s, reached_s, failures, counted_s = numbers
    texts = (host, *sources)
    if not all(isinstance(each, str) for each in texts) or type(is_tried) is not bool:
        raise ValueError("a row is no entry of the book")
    if not all(type(each) is int for each in (port, *numbers)):
        raise ValueError("a row has no times")
    address, scope = PeerAddress(host, port), scope_of(host)
    if scope is None or plain_host(host) != host or not 0 < port < 2**16:
        raise ValueError("a row's host and port are no address of a node")
    return BookEntry(
        address, scope, sources, seen_s, dialled_s, first_s, reached_s, failures, counted_s, is_tried=is_tried
    )
