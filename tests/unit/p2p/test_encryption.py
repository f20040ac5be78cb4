"""What is encrypted, and how many TLS handshakes a port takes part in."""

import random

import pytest

from engram.node.clock import FakeClock
from engram.p2p.encryption import Encryption, HandshakePace


def test_a_flood_of_handshakes_is_bounded_by_host_by_network_and_in_all() -> None:
    clock = FakeClock(0)
    pace = HandshakePace(clock)
    (host_s, host), (group_s, group), (all_s, everybody) = pace.HOST, pace.GROUP, pace.ALL
    assert [pace.admits("192.0.2.1") for _ in range(100)].count(True) == host
    assert [pace.admits(f"192.0.{n}.1") for n in range(3, 200)].count(True) == group - host
    assert pace.admits("198.51.100.1"), "another network has its own share"
    flood = [pace.admits(f"2001:{n:x}::1") for n in range(1_000)]
    assert flood.count(True) == everybody - group - 1 + pace.RESERVE[1]
    assert not pace.admits("127.0.0.1")

    clock.advance(1_000)
    assert [pace.admits("192.0.2.1") for _ in range(100)].count(True) == host_s
    assert [pace.admits(f"192.0.{n}.1") for n in range(3, 200)].count(True) == group_s - host_s
    assert [pace.admits("127.0.0.1") for _ in range(100)].count(True) == all_s - group_s
    clock.advance(3_600_000)
    assert pace.admits("192.0.2.1"), "no debt outlives the flood"


@pytest.mark.fault(id=54)
def test_a_flood_of_many_networks_keeps_none_of_another_out() -> None:
    clock = FakeClock(0)
    pace = HandshakePace(clock)
    rng = random.Random(1)
    flooded = let_in = 0
    for step in range(1_000):
        clock.advance(10)
        for network in range(64):
            if rng.random() < pace.GROUP[0] / 100:
                flooded += pace.admits(f"{20 + network}.1.{rng.randrange(256)}.1")
        if step % 50 == 0:
            let_in += pace.admits(f"{150 + step // 50}.7.7.7")
    assert let_in == 20
    assert flooded <= pace.ALL[1] + 10 * pace.ALL[0] + 64, "its networks have one rare handshake each"


def test_the_hosts_that_are_counted_are_bounded() -> None:
    clock = FakeClock(0)
    pace = HandshakePace(clock)
    for number in range(2 * pace.REMEMBERED):
        pace.admits(f"10.{number >> 8}.{number & 255}.1")
        clock.advance(100)
    assert pace.counted == pace.REMEMBERED


@pytest.mark.parametrize(
    ("encryption", "host", "dials", "takes_plain"),
    [
        (Encryption.AUTO, "127.0.0.1", False, True),
        (Encryption.AUTO, "::1", False, True),
        (Encryption.AUTO, "::ffff:127.0.0.1", False, True),
        (Encryption.AUTO, "localhost", False, True),
        (Encryption.AUTO, "192.168.0.7", True, False),
        (Encryption.AUTO, "node.example", True, False),
        (Encryption.ALWAYS, "127.0.0.1", True, False),
        (Encryption.NEVER, "192.0.2.1", False, True),
    ],
)
def test_what_is_encrypted(encryption: Encryption, host: str, dials: bool, takes_plain: bool) -> None:
    assert (encryption.dials_encrypted(host), encryption.takes_plain(host)) == (dials, takes_plain)
