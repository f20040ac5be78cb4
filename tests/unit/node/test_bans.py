"""Bans: fresh keys push nobody out, a host pays for its keys, and a restart forgets nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from engram.node.bans import (
    BANS_NAME,
    KEYS_PER_HOST,
    MAX_HOSTS,
    MAX_OPERATOR_BANS,
    Bans,
    subject_of,
)
from engram.node.clock import FakeClock
from engram.node.concurrency import ReaderThreads
from engram.node.errors import BanInvalid, TooManyBans
from engram.node.peering import BanningScores
from engram.p2p.errors import BadHandshake
from engram.p2p.scores import REFUSE_S

pytestmark = pytest.mark.fault(id=43)

BAD, GOOD = b"\x01" * 32, b"\x02" * 32
FAR, OTHER, OWN = "192.0.2.7", "198.51.100.1", "127.0.0.1"


@pytest.fixture
def threads() -> Iterator[ReaderThreads]:
    threads = ReaderThreads(1)
    yield threads
    threads.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_700_000_000_000)


@pytest.fixture
def bans(tmp_path: Path, clock: FakeClock, threads: ReaderThreads) -> Bans:
    return Bans(tmp_path, clock, threads)


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.mark.parametrize("host", [FAR, OWN])
def test_fresh_keys_push_no_ban_out(bans: Bans, clock: FakeClock, host: str) -> None:
    scores = BanningScores(clock, bans)
    scores.report(host, BAD, BadHandshake("a lie"))
    for number in range(5_000):
        scores.report(host, key(number), BadHandshake("a lie"))
    assert not scores.allows(OTHER, BAD), "it is refused wherever it comes from"
    assert scores.allows(OTHER, GOOD)
    assert scores.allows(host, GOOD) is (host == OWN), "a host of others is refused for its keys"
    assert scores.allows(host, None) is (host == OWN)
    assert len(bans.standing()) == KEYS_PER_HOST


def test_one_network_pushes_out_only_its_own_hosts(bans: Bans) -> None:
    bans.offended(OTHER, BAD, "bad_handshake")
    for number in range(MAX_HOSTS + 100):
        bans.offended(f"2001:db8:0:{number:x}::1", key(number), "bad_handshake")
    assert bans.refuses(OTHER, BAD)
    assert len({ban.host for ban in bans.standing()}) == MAX_HOSTS


def test_a_ban_ends_and_leaves_its_place(bans: Bans, clock: FakeClock) -> None:
    for number in range(KEYS_PER_HOST):
        bans.offended(FAR, key(number), "bad_handshake")
    assert bans.refuses(FAR, GOOD)
    clock.advance(int(REFUSE_S * 1000))
    assert not bans.refuses(FAR, key(0))
    assert not bans.refuses(FAR, GOOD)
    bans.offended(FAR, BAD, "bad_handshake")
    assert bans.refuses(FAR, BAD)
    assert [ban.subject for ban in bans.standing()] == [BAD.hex()]


async def test_a_clock_that_was_in_the_future_makes_no_ban_longer(
    bans: Bans, tmp_path: Path, clock: FakeClock, threads: ReaderThreads
) -> None:
    """Once it is set right, a ban lasts as long as it was meant to; also one that was read from the file."""
    right_ms = clock.now_ms()
    clock.set(2**32 * 1000)
    bans.ban(subject_of(OTHER), 3_600, "floods")
    bans.offended(FAR, BAD, "bad_handshake")
    await bans.save()
    clock.set(right_ms)
    for each in (bans, Bans(tmp_path, clock, threads)):
        assert each.refuses(OTHER, None)
        assert each.refuses(FAR, BAD)
        assert {ban.until_ms - clock.now_ms() for ban in each.standing()} == {3_600_000, REFUSE_S * 1000}
    clock.advance(int(REFUSE_S * 1000))
    assert (bans.refuses(FAR, BAD), bans.refuses(OTHER, None)) == (False, True)
    clock.advance(3_600_000)
    assert bans.standing() == []


async def test_a_restart_forgets_nothing(
    bans: Bans, tmp_path: Path, clock: FakeClock, threads: ReaderThreads
) -> None:
    bans.ban(subject_of(OTHER), 3_600, "floods")
    bans.offended(FAR, BAD, "bad_handshake")
    running = asyncio.create_task(bans.run())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    again = Bans(tmp_path, clock, threads)
    assert again.standing() == bans.standing()
    assert again.refuses(OTHER, None)
    assert again.refuses(FAR, BAD)
    assert not again.refuses(FAR, None)
    clock.advance(3_600_000)
    assert Bans(tmp_path, clock, threads).standing() == []


def test_the_operator_bans_this_machine_and_a_network_of_ipv6(bans: Bans) -> None:
    bans.ban(subject_of(OWN), 60, "")
    bans.ban(subject_of("2001:db8::5"), 60, "")
    assert bans.refuses(OWN, GOOD)
    assert bans.refuses("2001:db8::6", None)
    assert not bans.refuses("2001:db8:0:1::6", None)
    assert bans.unban(subject_of("2001:db8::/64"))
    assert not bans.refuses("2001:db8::6", None)
    assert not bans.unban(subject_of(FAR))


def test_with_a_host_its_nodes_are_forgiven(bans: Bans) -> None:
    bans.offended(FAR, BAD, "bad_handshake")
    bans.offended(FAR, GOOD, "bad_handshake")
    assert bans.unban(GOOD.hex())
    assert (bans.refuses(FAR, BAD), bans.refuses(FAR, GOOD)) == (True, False)
    assert bans.unban(FAR)
    assert bans.standing() == []


def test_the_operators_list_is_bounded(bans: Bans) -> None:
    for number in range(MAX_OPERATOR_BANS):
        bans.ban(key(number).hex(), 60, "")
    with pytest.raises(TooManyBans) as caught:
        bans.ban(BAD.hex(), 60, "")
    assert caught.value.code == "too_many_bans"
    bans.ban(key(0).hex(), 120, "longer")
    assert len(bans.standing()) == MAX_OPERATOR_BANS


@pytest.mark.parametrize("text", ["", "host.example", "ab" * 31, "192.0.2.0/24", "2001:db8::/32", "1.2.3"])
def test_what_is_neither_a_key_nor_an_address(text: str) -> None:
    with pytest.raises(BanInvalid) as caught:
        subject_of(text)
    assert caught.value.code == "ban_invalid"


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'[{"subject": "x"}]', b"null"])
def test_a_damaged_file_stops_nothing(
    tmp_path: Path, clock: FakeClock, threads: ReaderThreads, content: bytes
) -> None:
    (tmp_path / BANS_NAME).write_bytes(content)
    bans = Bans(tmp_path, clock, threads)
    assert bans.standing() == []
    assert not bans.refuses(FAR, BAD)
