"""The address book: what is taken, what falls out, who gives way, and that the tables are bounded."""

import random
from collections import Counter

import pytest

from engram.p2p.addressbook import (
    DAY_S,
    FORGET_S,
    FRESH_S,
    LONGEST_RETRY_S,
    LOST,
    LOST_S,
    MAX_RIVALS,
    NEVER_REACHED,
    RETRY_S,
    SHARE_PERCENT,
    SMALL_SHARE,
    AddressBook,
    BookCounts,
)
from engram.p2p.addresstable import (
    BUCKET_SIZE,
    MAX_SOURCES,
    NEW_BUCKETS_PER_SOURCE,
    TRIED_BUCKETS_PER_GROUP,
)
from engram.p2p.link import PeerAddress
from engram.p2p.netgroup import Scope
from tests.support.address_book import BookClock, address, colliding, empty_book, everybody, fail, reach

SOURCE = "9.9.9.9"


def test_what_is_told_is_new_and_what_answers_is_tried() -> None:
    clock = BookClock()
    book = empty_book(clock)
    assert book.add(address(1), SOURCE, clock())
    assert not book.add(address(1), SOURCE, clock())
    assert book.counts() == BookCounts(1, 0)
    reach(book, address(1), address(2))
    assert book.counts() == BookCounts(0, 2)
    assert [entry.first_s for entry in book] == [clock(), clock()]


def test_a_host_is_one_however_it_is_written_and_a_key_does_not_count() -> None:
    clock = BookClock()
    book = empty_book(clock)
    reach(book, PeerAddress("::ffff:8.8.4.4", 1, bytes(32)), PeerAddress("8.8.4.4", 1))
    assert [entry.address for entry in book] == [PeerAddress("8.8.4.4", 1)]
    book.forget(PeerAddress("::ffff:8.8.4.4", 1))
    assert len(book) == 0
    assert book.to_dial(everybody) is None


@pytest.mark.parametrize("host", ["node.example", "0.0.0.0", "224.0.0.1", "fe80::1", "192.0.2.1", "::"])
def test_what_is_no_host_of_anywhere_is_not_taken(host: str) -> None:
    clock = BookClock()
    book = empty_book(clock)
    assert not book.add(PeerAddress(host, 8646), SOURCE, clock())
    book.dialled(PeerAddress(host, 8646))
    book.reached(PeerAddress(host, 8646))
    book.failed(PeerAddress(host, 8646))
    assert len(book) == 0


def test_what_is_old_is_not_taken_and_falls_out() -> None:
    clock = BookClock()
    book = empty_book(clock)
    assert not book.add(address(1), SOURCE, clock() - FORGET_S - 1)
    assert book.add(address(1), SOURCE, clock() - FORGET_S)
    assert book.add(address(2), SOURCE, clock() + 10 * DAY_S)  # a lie: nobody has heard of it tomorrow
    reach(book, address(3))
    clock.now_s += 1
    book.sweep()
    assert {entry.address for entry in book} == {address(2), address(3)}
    clock.now_s += FORGET_S
    book.sweep()
    assert len(book) == 0


def test_one_network_fills_only_the_buckets_of_its_own() -> None:
    clock = BookClock()
    book = empty_book(clock)
    for number in range(8_000):
        book.add(address(number % 200, group=number // 200), SOURCE, clock())
    assert len(book) <= NEW_BUCKETS_PER_SOURCE * BUCKET_SIZE
    held = len(book)
    assert sum(book.add(address(number), "9.8.8.8", clock()) for number in range(100)) >= 90
    assert len(book) > held


def test_addresses_of_one_network_stand_in_few_buckets_of_the_tried() -> None:
    clock = BookClock()
    book = empty_book(clock)
    reach(book, *(address(number, group=1) for number in range(2_000)))
    most = TRIED_BUCKETS_PER_GROUP * BUCKET_SIZE
    assert book.counts().tried <= most
    tried = {book.tried_place(entry.address)[0] for entry in book if entry.is_tried}
    assert len(tried) <= TRIED_BUCKETS_PER_GROUP


def test_the_places_depend_on_the_secret() -> None:
    clock = BookClock()
    first, second = empty_book(clock, 1), empty_book(clock, 2)
    places = [[book.tried_place(address(number)) for number in range(20)] for book in (first, second)]
    assert places[0] != places[1]


def test_an_address_of_many_sources_has_a_bounded_number_of_places() -> None:
    clock = BookClock()
    book = empty_book(clock)
    for number in range(5_000):
        book.add(address(1), address(number % 100, group=number % 900).host, clock())
    (entry,) = book
    assert 1 < len(entry.sources) <= MAX_SOURCES
    book.forget(address(1))
    assert book.to_dial(everybody) is None


def test_an_address_is_dialled_again_later_and_later() -> None:
    clock = BookClock()
    book = empty_book(clock)
    reach(book, address(1))
    assert book.to_dial(everybody) is None
    clock.now_s += RETRY_S
    assert book.to_dial(everybody) == address(1)
    for failures in range(1, 12):
        fail(book, clock, address(1), 1, address(2))
        wait_s = min(LONGEST_RETRY_S, RETRY_S * 2**failures)
        clock.now_s += wait_s - 1
        assert book.to_dial(lambda each: each == address(1)) is None
        clock.now_s += 1
        assert book.to_dial(lambda each: each == address(1)) == address(1)
    assert wait_s == LONGEST_RETRY_S


def test_a_clock_that_was_set_back_holds_nothing_up() -> None:
    clock = BookClock()
    book = empty_book(clock)
    reach(book, address(1))
    clock.now_s -= DAY_S
    assert book.to_dial(everybody) == address(1)


def test_what_never_answers_falls_out_and_a_network_that_is_down_costs_nothing() -> None:
    clock = BookClock()
    book = empty_book(clock)
    book.add(address(1), SOURCE, clock())
    for _ in range(50):  # nothing answers, so it is this node that is cut off
        clock.now_s += DAY_S // 24
        book.dialled(address(1))
        book.failed(address(1))
    assert len(book) == 1
    fail(book, clock, address(1), NEVER_REACHED - 2, address(2))
    assert book.find(address(1)) is not None
    fail(book, clock, address(1), 1, address(2))
    assert book.find(address(1)) is None


def test_what_has_answered_falls_out_only_after_days() -> None:
    clock = BookClock()
    book = empty_book(clock)
    reach(book, address(1))
    fail(book, clock, address(1), LOST, address(2))
    assert book.find(address(1)) is not None
    clock.now_s += LOST_S
    fail(book, clock, address(1), 1, address(2))
    assert book.find(address(1)) is None


def test_who_stands_in_the_way_is_dialled_first_and_gives_way_only_if_it_fails() -> None:
    clock = BookClock()
    book = empty_book(clock)
    reach(book, address(1))
    other = address(2)
    rivals = colliding(book, address(1))
    clock.now_s += FRESH_S + 1
    rival = next(rivals)
    reach(book, rival)
    assert not _is_tried(book, rival)
    assert book.feeler(everybody) == address(1)
    reach(book, address(1))  # it answers, so it stays
    assert _is_tried(book, address(1))
    assert book.feeler(lambda each: each != rival) is None
    clock.now_s += FRESH_S + 1
    reach(book, rival)
    assert book.feeler(everybody) == address(1)
    fail(book, clock, address(1), 1, other)
    assert _is_tried(book, rival)
    assert not _is_tried(book, address(1))
    assert book.find(address(1)) is not None


def test_who_has_answered_lately_gives_way_to_nobody() -> None:
    clock = BookClock()
    book = empty_book(clock)
    reach(book, address(1))
    reach(book, next(colliding(book, address(1))))
    clock.now_s += FRESH_S - 1
    assert book.feeler(lambda each: each == address(1)) is None
    assert _is_tried(book, address(1))


def test_few_wait_for_a_place() -> None:
    clock = BookClock()
    book = empty_book(clock)
    reach(book, address(1))
    rivals = colliding(book, address(1))
    reach(book, *(next(rivals) for _ in range(3)))
    assert book.rivals == 3
    for group in range(16):
        reach(book, *(address(number, group=group) for number in range(200)))
    assert book.rivals <= MAX_RIVALS


def test_the_longest_known_of_those_that_answer() -> None:
    clock = BookClock()
    book = empty_book(clock)
    for number in range(1, 5):
        reach(book, address(number))
        clock.now_s += RETRY_S
    assert book.longest_known(everybody) == address(1)
    assert book.longest_known(lambda each: each != address(1)) == address(2)
    fail(book, clock, address(1), 1, address(4))
    assert book.longest_known(everybody) == address(2)
    clock.now_s += 2 * RETRY_S
    assert book.longest_known(everybody) == address(1), "who is away now and then keeps the rank"


def test_an_answer_is_a_small_part_of_one_scope() -> None:
    clock = BookClock()
    book = empty_book(clock)
    reach(book, *(address(number) for number in range(300)))
    reach(book, PeerAddress("10.0.0.1", 8646), PeerAddress("127.0.0.1", 8646))
    told = book.sample(Scope.PUBLIC, 1_000)
    assert len(told) == 300 * SHARE_PERCENT // 100
    assert len(book.sample(Scope.PUBLIC, 10)) == 10
    assert {entry.address.host for entry in book.sample(Scope.PRIVATE, 1_000)} == {"10.0.0.1"}
    assert {entry.address.host for entry in book.sample(Scope.LOOPBACK, 1_000)} == {"127.0.0.1"}
    clock.now_s += FORGET_S + 1
    assert book.sample(Scope.PUBLIC, 1_000) == []
    reach(book, *(address(number) for number in range(SMALL_SHARE + 1)))
    assert len(book.sample(Scope.PUBLIC, 1_000)) == SMALL_SHARE


def test_crowded_buckets_are_drawn_no_more_often_than_others() -> None:
    clock = BookClock()
    book = empty_book(clock, 5)
    for group in range(50):
        for number in range(200):
            book.add(address(number, group=group), SOURCE, clock())
    for number in range(64):
        book.add(address(number), address(number).host, clock())
    assert len(book) > 1_000
    drawn = Counter(_is_few(book.to_dial(everybody)) for _ in range(500))
    assert drawn[True] >= 150, "64 of many addresses, but of as many networks, have about half the draws"


def _is_few(chosen: PeerAddress | None) -> bool:
    return chosen in {address(number) for number in range(64)}


@pytest.mark.parametrize("seed", range(4))
def test_the_tables_hold_together_whatever_happens(seed: int) -> None:
    rng, clock = random.Random(seed), BookClock()
    book = empty_book(clock, seed)
    for _ in range(3_000):
        clock.now_s += rng.randrange(2 * RETRY_S)
        one = address(rng.randrange(30), group=rng.randrange(4))
        match rng.randrange(6):
            case 0 | 1:
                book.add(one, address(rng.randrange(50)).host, clock() - rng.randrange(FORGET_S))
            case 2:
                reach(book, one)
            case 3:
                book.dialled(one)
                book.failed(one)
            case 4:
                if (chosen := book.feeler(everybody)) is not None:
                    book.dialled(chosen)
                    book.failed(chosen)
            case _:
                book.forget(one)
    assert book.counts() == BookCounts(*map(len, book.standing()))


def _is_tried(book: AddressBook, one: PeerAddress) -> bool:
    entry = book.find(one)
    return entry is not None and entry.is_tried
