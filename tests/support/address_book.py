"""An address book by a clock that the test turns, and addresses of many networks."""

from __future__ import annotations

import random
from collections.abc import Iterator

from engram.p2p.addressbook import AddressBook
from engram.p2p.link import PeerAddress

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
PORT = 8646


class BookClock:
    """Seconds since 1970, as the test says."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000

    def __call__(self) -> int:
        return self.now_s


def address(number: int, *, group: int | None = None, port: int = PORT) -> PeerAddress:
    """A public address: each of a network group of its own, or the numbered one of a group."""
    if group is None:
        return PeerAddress(f"{20 + number // 200}.{number % 200}.1.1", port)
    return PeerAddress(f"{100 + group // 200}.{group % 200}.{number // 200}.{1 + number % 200}", port)


def empty_book(clock: BookClock, seed: int = 0) -> AddressBook:
    return AddressBook(bytes([seed]) * 32, clock, random.Random(seed))


def reach(book: AddressBook, *addresses: PeerAddress) -> None:
    """Each answers a dial."""
    for each in addresses:
        book.dialled(each)
        book.reached(each)


def fail(book: AddressBook, clock: BookClock, target: PeerAddress, times: int, other: PeerAddress) -> None:
    """Dials that fail, each after another address has answered, so that each counts."""
    for _ in range(times):
        clock.now_s += 1
        book.reached(other)
        clock.now_s += 1
        book.dialled(target)
        book.failed(target)


def everybody(_: PeerAddress) -> bool:
    return True


def colliding(book: AddressBook, taken: PeerAddress) -> Iterator[PeerAddress]:
    """Addresses whose place among the tried ones is that of another one."""
    place = book.tried_place(taken)
    for number in range(200):
        for group in range(10_000):
            candidate = address(number, group=group)
            if candidate != taken and book.tried_place(candidate) == place:
                yield candidate
