"""Bans: fresh keys push nobody out, a host pays for its keys, and a restart forgets nothing."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from engram.node import logs
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
from engram.node.peerscores import BanningScores
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
    assert scores.refusal(OTHER, BAD) is not None, "it is refused wherever it comes from"
    assert scores.refusal(OTHER, GOOD) is None
    assert (scores.refusal(host, GOOD) is None) is (host == OWN), "a host of others is refused for its keys"
    assert (scores.refusal(host, None) is None) is (host == OWN)
    assert len(bans.standing()) == KEYS_PER_HOST


def test_one_network_pushes_out_only_its_own_hosts(bans: Bans) -> None:
    bans.offended(OTHER, BAD, "bad_handshake")
    for number in range(MAX_HOSTS + 100):
        bans.offended(f"2001:db8:0:{number:x}::1", key(number), "bad_handshake")
    assert bans.against(OTHER, BAD) is not None
    assert len({ban.host for ban in bans.standing()}) == MAX_HOSTS


def test_a_ban_ends_and_leaves_its_place(bans: Bans, clock: FakeClock) -> None:
    for number in range(KEYS_PER_HOST):
        bans.offended(FAR, key(number), "bad_handshake")
    assert bans.against(FAR, GOOD) is not None
    clock.advance(int(REFUSE_S * 1000))
    assert bans.against(FAR, key(0)) is None
    assert bans.against(FAR, GOOD) is None
    bans.offended(FAR, BAD, "bad_handshake")
    assert bans.against(FAR, BAD) is not None
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
        assert each.against(OTHER, None) is not None
        assert each.against(FAR, BAD) is not None
        assert {ban.until_ms - clock.now_ms() for ban in each.standing()} == {3_600_000, REFUSE_S * 1000}
    clock.advance(int(REFUSE_S * 1000))
    assert bans.against(FAR, BAD) is None
    assert bans.against(OTHER, None) is not None
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
    assert again.against(OTHER, None) is not None
    assert again.against(FAR, BAD) is not None
    assert again.against(FAR, None) is None
    clock.advance(3_600_000)
    assert Bans(tmp_path, clock, threads).standing() == []


def test_the_operator_bans_this_machine_and_a_network_of_ipv6(bans: Bans) -> None:
    bans.ban(subject_of(OWN), 60, "")
    bans.ban(subject_of("2001:db8::5"), 60, "")
    assert bans.against(OWN, GOOD) is not None
    assert bans.against("2001:db8::6", None) is not None
    assert bans.against("2001:db8:0:1::6", None) is None
    assert bans.unban(subject_of("2001:db8::/64"))
    assert bans.against("2001:db8::6", None) is None
    assert not bans.unban(subject_of(FAR))


@pytest.mark.parametrize(
    ("text", "subject", "inside", "outside"),
    [
        ("10.1.0.0/16", "10.1.0.0/16", "10.1.255.7", "10.2.0.1"),
        ("10.1.2.3/16", "10.1.0.0/16", "::ffff:10.1.2.3", "2001:db8::a01:203"),
        ("192.0.2.7/32", "192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24", "192.0.2.9", "192.0.3.9"),
        ("2001:DB8::/32", "2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
        ("2001:db8::1/128", "2001:db8::/64", "2001:db8::2", "2001:db8:0:1::1"),
        ("0.0.0.0/0", "0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
        ("::/0", "::/0", "2001:db8::1", "203.0.113.9"),
    ],
)
async def test_networks(
    bans: Bans,
    tmp_path: Path,
    clock: FakeClock,
    threads: ReaderThreads,
    text: str,
    subject: str,
    inside: str,
    outside: str,
) -> None:
    assert subject_of(text) == subject
    ban = bans.ban(subject_of(text), 60, "floods")
    await bans.save()
    for each in (bans, Bans(tmp_path, clock, threads)):
        assert each.against(inside, GOOD) == each.against(inside, None) == ban
        assert each.against(outside, GOOD) is None
        assert each.against(OWN, GOOD) is None, "a network that does not name this machine spares it"
        assert each.against("::1", GOOD) is None
    bans.offended(inside, BAD, "bad_handshake")
    assert bans.unban(subject)
    assert bans.standing() == [], "with a network, its nodes are forgiven"
    bans.ban(subject, 60, "")
    clock.advance(60_000)
    assert bans.against(inside, GOOD) is None


def test_a_network_of_this_machine_is_meant_if_it_is_named(bans: Bans) -> None:
    bans.ban(subject_of("127.0.0.0/8"), 60, "")
    assert bans.against(OWN, None) is not None
    assert bans.against(FAR, None) is None


def test_who_refuses_a_peer_why_and_how_long(bans: Bans, clock: FakeClock) -> None:
    """The operator's ban and the node's own are told apart, and each says how it is lifted."""
    scores = BanningScores(clock, bans)
    assert scores.refusal(FAR, BAD) is None
    scores.report(FAR, BAD, BadHandshake("a lie"))
    own = scores.refusal(FAR, BAD)
    assert own is not None
    assert (own.error.code, own.lasts_s) == ("peer_refused", REFUSE_S)
    assert "bad_handshake" in own.error.message
    assert f"engram peer unban {BAD.hex()}" in own.error.message
    bans.ban(subject_of("192.0.2.0/24"), 3_600, "floods")
    clock.advance(100_000)
    named = scores.refusal(FAR, BAD)
    assert named is not None
    assert (named.error.code, named.lasts_s) == ("peer_banned", 3_500)
    assert (
        "banned by the operator until 2023-11-14 23:13:20 UTC (floods): 192.0.2.0/24, since"
        in named.error.message
    )
    assert "engram peer unban 192.0.2.0/24" in named.error.message
    for number in range(KEYS_PER_HOST):
        scores.report(OTHER, key(number), BadHandshake("a lie"))
    many = scores.refusal(OTHER, GOOD)
    assert many is not None
    assert (many.error.code, many.lasts_s, many.for_others) == ("peer_refused", REFUSE_S, True)
    assert not own.for_others
    assert not named.for_others
    assert "too many nodes of 198.51.100.1" in many.error.message


@pytest.fixture
def told() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The log lines that were written since the test began."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = list(root.handlers), root.level
    logs.configure("info", "json", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def attempt(scores: BanningScores, host: str, node_key: bytes) -> None:
    """A peer tries to connect, as the manager asks about it and reports what became of it."""
    refusal = scores.refusal(host, node_key)
    if refusal is not None:
        scores.report(host, node_key, refusal.error)


@pytest.mark.parametrize("by_operator", [True, False])
@pytest.mark.parametrize("lifted", [True, False])
def test_the_attempts_of_a_refused_peer_take_one_line_a_ban_and_are_counted(
    by_operator: bool,
    lifted: bool,
    bans: Bans,
    clock: FakeClock,
    told: Callable[[], list[dict[str, Any]]],
) -> None:
    scores = BanningScores(clock, bans)
    if by_operator:
        bans.ban(BAD.hex(), 600, "floods")
    else:
        bans.offended(FAR, BAD, "bad_handshake")
    for _ in range(500):
        attempt(scores, FAR, BAD)
    (line,) = told()
    assert line["event"].startswith("a refused peer tries to connect")
    assert line["code"] == ("peer_banned" if by_operator else "peer_refused")
    assert ("banned by the operator until" in line["error"]) is by_operator
    if lifted:
        bans.unban(BAD.hex())
    clock.advance(600_000)
    attempt(scores, FAR, BAD)
    assert told()[1]["event"] == "a ban has ended"
    assert told()[1]["refused_attempts"] == 500
    attempt(scores, FAR, BAD)
    assert len(told()) == 2, "it is told once"


def test_a_second_ban_is_said_again(
    bans: Bans, clock: FakeClock, told: Callable[[], list[dict[str, Any]]]
) -> None:
    scores = BanningScores(clock, bans)
    for seconds in (60, 70):
        bans.ban(BAD.hex(), seconds, "floods")
        attempt(scores, FAR, BAD)
        attempt(scores, FAR, BAD)
    assert [line.get("refused_attempts") for line in told()] == [None, 2, None]


def test_with_a_host_its_nodes_are_forgiven(bans: Bans) -> None:
    bans.offended(FAR, BAD, "bad_handshake")
    bans.offended(FAR, GOOD, "bad_handshake")
    assert bans.unban(GOOD.hex())
    assert bans.against(FAR, BAD) is not None
    assert bans.against(FAR, GOOD) is None
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


@pytest.mark.parametrize(
    "text", ["", "host.example", "ab" * 31, "192.0.2.0/33", "2001:db8::/129", "1.2.3", "/24"]
)
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
    assert bans.against(FAR, BAD) is None
