"""Pictures of rows for a terminal: with colours two pixels a character, without them bright or dark."""

from io import StringIO

import pytest
from rich.console import Console

from engram.commands.support.picture import MOST_SIDE, bar, picture_lines, side_of

PLAIN = Console(file=StringIO(), color_system=None)
COLOURED = Console(file=StringIO(), color_system="truecolor", force_terminal=True, no_color=False)


@pytest.mark.parametrize(
    ("inputs", "side"), [(64, 8), (784, 28), (192, 8), (4, 2), (12, 2), (1, None), (3, None), (63, None)]
)
def test_rows_that_are_squares(inputs: int, side: int | None) -> None:
    assert side_of(inputs) == side


@pytest.mark.parametrize(
    ("row", "drawn"),
    [
        ([9, 0, 0, 9], ["▀▄"]),
        ([9, 9, 0, 9, 0, 0, 9, 0, 9], ["█▀ ", "▀ ▀"]),
        ([200, 190, 180, 20, 10, 10, 10, 10, 20, 180, 190, 200], ["▀▄"]),
    ],
)
def test_without_colours_a_pixel_is_bright_or_dark(row: list[int], drawn: list[str]) -> None:
    assert [line.plain for line in picture_lines(row, PLAIN)] == drawn


def test_with_colours_the_brightest_value_is_white() -> None:
    (line,) = picture_lines([8, 16, 0, 4], COLOURED)
    styles = [span.style for span in line.spans]
    assert line.plain == "▀▀"
    assert [(str(style)) for style in styles] == ["#7f7f7f on #000000", "#ffffff on #3f3f3f"]


def test_a_large_picture_is_drawn_smaller() -> None:
    lines = picture_lines([0, 255] * (100 * 50), PLAIN)
    assert len(lines[0].plain) <= MOST_SIDE
    assert 2 * len(lines) <= MOST_SIDE + 1


def test_a_picture_of_one_brightness() -> None:
    assert [line.plain for line in picture_lines([0] * 64, PLAIN)] == [" " * 8] * 4


def test_bars_are_as_long_as_their_shares() -> None:
    assert (bar(1.0, 4), bar(0.5, 4), bar(0.0, 4), bar(1 / 32, 4)) == ("████", "██", "", "▏")
    assert max(len(bar(share / 1000, 24)) for share in range(1001)) == 24
