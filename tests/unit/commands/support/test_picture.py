"""Pictures of rows for a terminal: with colours two pixels a character, without them bright or dark."""

from io import StringIO

import pytest
from rich.console import Console
from rich.text import Text

from engram.commands.support.picture import MOST_SIDE, PictureShape, bar, picture_lines, shape_of

PLAIN = Console(file=StringIO(), color_system=None)
COLOURED = Console(file=StringIO(), color_system="truecolor", force_terminal=True, no_color=False)


def drawn(row: list[int], console: Console = PLAIN, known: tuple[int, ...] = ()) -> list[Text]:
    shape = shape_of(len(row), known)
    assert shape is not None
    return picture_lines(row, shape, console)


@pytest.mark.parametrize(
    ("inputs", "side", "planes"), [(64, 8, 1), (784, 28, 1), (192, 8, 3), (4, 2, 1), (12, 2, 3)]
)
def test_rows_that_are_squares(inputs: int, side: int, planes: int) -> None:
    assert shape_of(inputs) == PictureShape(side, side, planes)


@pytest.mark.parametrize(("inputs", "known"), [(1, ()), (3, ()), (63, ()), (63, (63,)), (128, (8, 8, 2))])
def test_rows_that_are_no_pictures(inputs: int, known: tuple[int, ...]) -> None:
    assert shape_of(inputs, known) is None


def test_a_shape_that_is_known_need_not_be_square() -> None:
    assert shape_of(8, (2, 4)) == PictureShape(2, 4, 1)
    assert shape_of(12, (2, 2, 3)) == PictureShape(2, 2, 3)
    assert [line.plain for line in drawn([9, 0, 9, 9, 0, 0, 0, 9], known=(2, 4, 1))] == ["▀ ▀█"]


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ([9, 0, 0, 9], ["▀▄"]),
        ([9, 9, 0, 9, 0, 0, 9, 0, 9], ["█▀ ", "▀ ▀"]),
        ([200, 190, 180, 20, 10, 10, 10, 10, 20, 180, 190, 200], ["▀▄"]),
    ],
)
def test_without_colours_a_pixel_is_bright_or_dark(row: list[int], wanted: list[str]) -> None:
    assert [line.plain for line in drawn(row)] == wanted


def test_with_colours_the_brightest_value_is_white() -> None:
    (line,) = drawn([8, 16, 0, 4], COLOURED)
    styles = [span.style for span in line.spans]
    assert line.plain == "▀▀"
    assert [(str(style)) for style in styles] == ["#7f7f7f on #000000", "#ffffff on #3f3f3f"]


def test_a_large_picture_is_drawn_smaller() -> None:
    lines = drawn([0, 255] * (100 * 50))
    assert len(lines[0].plain) <= MOST_SIDE
    assert 2 * len(lines) <= MOST_SIDE + 1


def test_a_picture_of_one_brightness() -> None:
    assert [line.plain for line in drawn([0] * 64)] == [" " * 8] * 4


def test_bars_are_as_long_as_their_shares() -> None:
    assert (bar(1.0, 4), bar(0.5, 4), bar(0.0, 4), bar(1 / 32, 4)) == ("████", "██", "", "▏")
    assert max(len(bar(share / 1000, 24)) for share in range(1001)) == 24
