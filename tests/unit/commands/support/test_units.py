"""Coins are decimal text, exactly."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.commands.support.units import format_bytes, format_duration
from engram.participant.coins import MAX_SPARKS, format_coins, parse_coins

SPARKS = st.integers(0, MAX_SPARKS)


@given(SPARKS)
def test_a_formatted_amount_parses_to_itself(sparks: int) -> None:
    assert parse_coins(format_coins(sparks)) == sparks


@given(SPARKS)
def test_the_text_is_the_shortest_decimal(sparks: int) -> None:
    text = format_coins(sparks)
    assert Decimal(text) * 10**8 == sparks
    assert not text.endswith(".")
    assert "." not in text or not text.endswith("0")


@given(st.integers(0, 10**10), st.text("0123456789", min_size=1, max_size=8))
def test_every_decimal_with_at_most_eight_places_is_exact(coins: int, places: str) -> None:
    text = f"{coins}.{places}"
    assert parse_coins(text) == Decimal(text) * 10**8


@pytest.mark.parametrize(
    ("text", "sparks"),
    [("0", 0), ("1", 10**8), ("0.00000001", 1), ("0.1", 10**7), ("00012", 12 * 10**8), ("2.50", 25 * 10**7)],
)
def test_known_amounts(text: str, sparks: int) -> None:
    assert parse_coins(text) == sparks


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "1.",
        ".5",
        "-1",
        "+1",
        "1e3",
        "1_000",
        "1,5",
        " 1",
        "1 ",
        "0x1",
        "nan",
        "inf",
        "0.000000001",
        "٣",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount of coins"):
        parse_coins(text)


def test_the_largest_amount() -> None:
    assert parse_coins("184467440737.09551615") == MAX_SPARKS
    with pytest.raises(ValueError, match="more than can exist"):
        parse_coins("184467440737.09551616")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (102_300, "99.9 KiB"),
        (999 * 1024, "999 KiB"),
        (1000 * 1024, "1.0 MiB"),
        (5 * 2**30, "5.0 GiB"),
        (2**60, "1024 PiB"),
    ],
)
def test_bytes_for_people(count: int, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-3.9, "3 s"),
        (59.9, "59 s"),
        (60, "1 min 0 s"),
        (3_599, "59 min 59 s"),
        (3_600, "1 h 0 min"),
        (86_399, "23 h 59 min"),
        (86_400, "1 d 0 h"),
        (10**6, "11 d 13 h"),
    ],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
