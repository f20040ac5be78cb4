"""Draws a row of features as a small picture of half blocks, and shares as bars, for a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Final

from engram.commands.support.output import console_for

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

LEAST_SIDE: Final = 8
"""A row of fewer inputs than a square of this side is hardly a picture, so it is drawn only if asked for."""
MOST_SIDE: Final = 32
"""A larger picture is drawn from every second, third, … pixel."""
COLOURS: Final = 3
WHITE: Final = 255
_SHADES: Final = ("256", "truecolor", "windows")
"""The systems of colours that have enough greys."""

Pixel = tuple[int, int, int]


@dataclass(frozen=True)
class PictureShape:
    """How the values of a row lie in a picture: line by line, and of each pixel all planes together, or plane
    by plane.
    """

    height: int
    width: int
    planes: int
    """1 for grey, 3 for red, green and blue."""
    planes_first: bool = False
    """Whether all values of one plane come before those of the next."""


def shape_of(inputs: int, known: Sequence[int] = ()) -> PictureShape | None:
    """The picture that a row of so many inputs is: of a shape that its file shows, else a square.

    None if it is neither. `known` is (height, width), (height, width, planes) or (planes, height, width), or
    anything else.
    """
    if len(known) == 3 and known[2] not in (1, COLOURS) and known[0] in (1, COLOURS):
        planes, height, width = known
        return PictureShape(height, width, planes, planes_first=True)
    if len(known) in (2, 3):
        height, width, planes = (*known, 1)[:3]
        return PictureShape(height, width, planes) if planes in (1, COLOURS) else None
    for planes in (1, COLOURS):
        side = isqrt(inputs // planes)
        if side > 1 and planes * side * side == inputs:
            return PictureShape(side, side, planes)
    return None


def picture_lines(row: Sequence[int], shape: PictureShape, console: Console) -> list[Text]:
    """The row as lines of half blocks, each two pixels high.

    The brightest value of the row is white. On a terminal without many colours, a pixel is either full or
    empty: bright or not, in the range of the row.
    """
    grid = _pixels(row, shape)
    coloured = console.color_system in _SHADES and not console.no_color
    draw = _coloured if coloured else _plain(grid)
    black = [(0, 0, 0)] * len(grid[0])
    lower = [*grid[1::2], black] if len(grid) % 2 else grid[1::2]
    return [draw(top, below) for top, below in zip(grid[::2], lower, strict=True)]


def bar(share: float, width: int) -> str:
    """A bar of eighths of a block, `width` characters long for a share of 1."""
    eighths = round(share * width * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def stdout_console() -> Console:
    """What draws on standard output."""
    return console_for(sys.stdout)


def _pixels(row: Sequence[int], shape: PictureShape) -> list[list[Pixel]]:
    step = -(-max(shape.height, shape.width) // MOST_SIDE)
    brightest = max(1, *row)

    def pixel(y: int, x: int) -> Pixel:
        place, pixels = y * shape.width + x, shape.height * shape.width
        found = row[place::pixels] if shape.planes_first else row[place * shape.planes :][: shape.planes]
        values = found if shape.planes == COLOURS else list(found) * COLOURS
        red, green, blue = (value * WHITE // brightest for value in values)
        return red, green, blue

    return [[pixel(y, x) for x in range(0, shape.width, step)] for y in range(0, shape.height, step)]


def _coloured(top: Sequence[Pixel], below: Sequence[Pixel]) -> Text:
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    line = Text()
    for upper, lower in zip(top, below, strict=True):
        line.append("▀", Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower)))
    return line


class _plain:
    """Draws in black and white, for the range of brightness of one picture."""

    def __init__(self, grid: Sequence[Sequence[Pixel]]) -> None:
        levels = [sum(pixel) for line in grid for pixel in line]
        self._middle = (min(levels) + max(levels)) / 2

    def __call__(self, top: Sequence[Pixel], below: Sequence[Pixel]) -> Text:
        from rich.text import Text

        shown = [
            " ▄▀█"[2 * (sum(upper) > self._middle) + (sum(lower) > self._middle)]
            for upper, lower in zip(top, below, strict=True)
        ]
        return Text("".join(shown))
