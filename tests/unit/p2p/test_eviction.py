"""Which session ends for a new one: never a useful one, and whoever has many pays with his own."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from engram.p2p.eviction import (
    KEPT_BLOCKS,
    KEPT_GROUPS,
    KEPT_NEAREST,
    KEPT_TRANSACTIONS,
    SessionMerits,
    to_evict,
)

pytestmark = pytest.mark.fault(id=41)


def idle(number: int, host: str) -> SessionMerits:
    """A session that only stands."""
    return SessionMerits(number.to_bytes(32, "big"), host, float(number), None, None, None)


def crowd(count: int, host: str = "203.0.113.9", first: int = 1_000) -> list[SessionMerits]:
    """Sessions of a stranger who answers pings, and no more."""
    return [replace(idle(first + number, host), round_trip_s=0.5) for number in range(count)]


HONEST = [
    *(replace(idle(number, f"{number}.1.1.1"), round_trip_s=0.9) for number in range(1, 1 + KEPT_GROUPS)),
    *(replace(idle(9 + number, "203.0.113.1"), round_trip_s=0.01) for number in range(KEPT_NEAREST)),
    *(replace(idle(19 + number, "203.0.113.2"), block_s=float(number)) for number in range(KEPT_BLOCKS)),
    *(replace(idle(29 + number, "203.0.113.3"), transaction_s=1.0) for number in range(KEPT_TRANSACTIONS)),
]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("strangers", [2, 16, 100])
def test_a_stranger_pushes_out_none_but_his_own(seed: int, strangers: int) -> None:
    rng, left = Random(seed), [*HONEST, *crowd(strangers)]
    for number in range(200):
        rng.shuffle(left)
        out = to_evict(left)
        assert out is not None
        assert out.host == "203.0.113.9"
        left.remove(out)
        left += crowd(1, first=5_000 + number)
    assert set(HONEST) <= set(left)


def test_an_honest_peer_of_another_network_comes_in_and_stays() -> None:
    left = crowd(32)
    for number in range(8):
        out = to_evict(left)
        assert out is not None
        left.remove(out)
        left.append(idle(9_000 + number, f"198.{number}.1.1"))
    for number in range(100):
        out = to_evict(left)
        assert out is not None
        assert out.host == "203.0.113.9"
        left.remove(out)
        left += crowd(1, first=20_000 + number)


def test_the_youngest_of_the_crowded_host_goes() -> None:
    out = to_evict([*crowd(9), *(idle(20_000 + n, f"203.0.114.{n}") for n in range(3))])
    assert out is not None
    assert out.host == "203.0.113.9"
    assert out.opened_s == 1_008


@pytest.mark.parametrize("count", [0, 1])
def test_where_each_is_worth_its_place_none_goes(count: int) -> None:
    assert to_evict(crowd(count)) is None
    assert to_evict(HONEST[:KEPT_GROUPS]) is None
