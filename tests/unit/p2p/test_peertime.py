"""What peers say of this machine's clock, and who is believed."""

import pytest

from engram.p2p.peertime import FEWEST_STRANGERS, PeerTime, Skew, Voice, told_skew

NOW_MS = 1_700_000_000_000
DAY_S = 86_400.0


def dialled(host: str, ahead_s: float) -> Voice:
    return Voice(host, False, ahead_s)


def strangers(count: int, ahead_s: float) -> list[Voice]:
    """So many inbound sessions, each of a network of its own."""
    return [Voice(f"{1 + number // 200}.{number % 200}.0.1", True, ahead_s) for number in range(count)]


@pytest.mark.parametrize(
    ("offset_ms", "way_s", "expected_s"),
    [
        (0, 0.0, 0.0),
        (300_000, 0.0, 300.0),
        (-300_000, 0.0, -300.0),
        (300_000, 4.0, 298.0),
        (-300_000, 4.0, -298.0),
        (1_500, 4.0, 0.0),
        (-1_500, 4.0, 0.0),
    ],
)
def test_the_way_there_and_back_counts_as_error(offset_ms: int, way_s: float, expected_s: float) -> None:
    """Asked at 10 s; the peer answered half-way; so nothing is said that the way alone can explain."""
    told = PeerTime.told(NOW_MS + offset_ms, 10.0, 10.0 + way_s)
    at_answer_ms = NOW_MS + round(way_s * 500)
    assert told.ahead_s(at_answer_ms, 10.0 + way_s) == pytest.approx(expected_s)


def test_a_clock_that_jumps_is_seen_without_asking_again() -> None:
    told = PeerTime.told(NOW_MS, 10.0, 10.0)
    assert told.ahead_s(NOW_MS + 5_000, 15.0) == 0.0
    assert told.ahead_s(NOW_MS + 5_000 - 7_200_000, 15.0) == 7_200.0
    assert told.ahead_s(0, 15.0) == (NOW_MS + 5_000) / 1000
    assert told.ahead_s(NOW_MS + 5_000 + 7_200_000, 15.0) == -7_200.0


def test_nobody_is_believed_where_nobody_speaks() -> None:
    assert told_skew([]) is None


def test_the_median_of_those_that_were_dialled() -> None:
    assert told_skew([dialled("a.example", 30.0)]) == Skew(30.0, 1)
    assert told_skew([dialled("a.example", 30.0), dialled("b.example", 1.0)]) == Skew(1.0, 2)
    odd = [dialled("a.example", 9.0), dialled("b.example", -1.0), dialled("c.example", 2.0)]
    assert told_skew(odd) == Skew(2.0, 3)
    assert told_skew([*odd, dialled("d.example", 30.0)]) == Skew(2.0, 4)
    assert told_skew([*odd, dialled("d.example", -30.0)]) == Skew(-1.0, 4)


def test_a_thousand_strangers_move_nothing_while_a_peer_is_dialled() -> None:
    assert told_skew([*strangers(1_000, DAY_S), dialled("192.0.2.1", 0.5)]) == Skew(0.5, 1)


def test_a_host_with_a_thousand_keys_has_one_voice() -> None:
    crowd = [Voice(f"198.51.100.{number % 250}", True, DAY_S) for number in range(1_000)]
    honest = strangers(FEWEST_STRANGERS - 1, 0.0)
    assert told_skew(crowd) is None
    assert told_skew([*crowd, *honest]) == Skew(0.0, FEWEST_STRANGERS, of_strangers=True)
    assert told_skew(strangers(FEWEST_STRANGERS - 1, DAY_S)) is None
    assert told_skew(strangers(FEWEST_STRANGERS, 20.0)) == Skew(20.0, FEWEST_STRANGERS, of_strangers=True)


def test_the_oldest_session_of_a_group_speaks_for_it() -> None:
    assert told_skew([dialled("192.0.2.1", 4.0), dialled("192.0.9.9", 400.0)]) == Skew(4.0, 1)
