"""Types of command line arguments that click lacks: labels, shares, widths, windows, fractions, hexadecimal.

Each `convert` returns a value that is converted already, such as a default, unchanged.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from math import isfinite
from pathlib import Path
from typing import Any, Final

import click

from engram.node.settingrules import whole_number

MOST_LABEL: Final = 65_535
PPM: Final = 1_000_000
WINDOWS: Final = ("open", "reveal", "commit", "update", "witness", "audit", "score", "gap")
"""The phases of a round whose lengths the opener chooses."""
GROWTH_LIMITS: Final = ("segments", "neurons", "components", "classes", "macs-per-row")
"""What a founding limits in one growth."""


class LabelsType(click.ParamType[tuple[int | str, ...]]):
    """Labels such as 0-5,8 or birch,oak; the value is a tuple of all of them, in the order given.

    Words are names of classes, which a mapping turns into numbers.
    """

    name = "labels"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | str, ...]:
        if isinstance(value, tuple):
            return value
        labels: list[int | str] = []
        for item in map(str.strip, str(value).split(",")):
            if item.strip("0123456789- "):
                labels.append(item)
                continue
            match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", item)
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
            if not first <= last <= MOST_LABEL:
                self.fail(f"{value!r} is not a list of labels such as 0-5,8", param, ctx)
            labels += range(first, last + 1)
        if len(set(labels)) != len(labels):
            self.fail(f"{value!r} names a label twice", param, ctx)
        return tuple(labels)


class ShareType(click.ParamType[tuple[int, int]]):
    """A share such as 2/4; the value is the share's number, counted from 1, and how many shares there are."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", str(value))
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            self.fail(f"{value!r} is not a share such as 2/4", param, ctx)
        return int(match[1]), int(match[2])


class WidthsType(click.ParamType[tuple[int, ...]]):
    """Widths of layers such as 64,32; the value is a tuple, which is empty for `none`."""

    name = "widths"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        if value == "none":
            return ()
        cells = str(value).split(",")
        if not all(re.fullmatch(r"[1-9][0-9]{0,5}", cell.strip()) for cell in cells):
            self.fail(f"{value!r} is not a list of widths such as 64,32, nor `none`", param, ctx)
        return tuple(int(cell) for cell in cells)


class WindowsType(click.ParamType[dict[str, int]]):
    """Lengths of phases in ticks, such as commit=20,gap=2, or one number for all phases but the gap.

    The value is a dictionary that holds the phases named.
    """

    name = "windows"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, int]:
        if isinstance(value, dict):
            return value
        if re.fullmatch(r"[0-9]{1,9}", str(value)):
            return {name: int(value) for name in WINDOWS if name != "gap"}
        lengths: dict[str, int] = {}
        for item in str(value).split(","):
            name, equals, ticks = item.strip().partition("=")
            if name not in WINDOWS or not equals or not re.fullmatch(r"[0-9]{1,9}", ticks):
                names = ", ".join(WINDOWS)
                self.fail(f"{item!r} is not PHASE=TICKS; the phases are {names}", param, ctx)
            lengths[name] = int(ticks)
        return lengths


class GrowthLimitsType(click.ParamType[dict[str, int]]):
    """What one growth may append at most, such as neurons=64,classes=2.

    The value is a dictionary that holds the limits named.
    """

    name = "limits"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, int]:
        if isinstance(value, dict):
            return value
        limits: dict[str, int] = {}
        for item in str(value).split(","):
            name, equals, most = item.strip().partition("=")
            if name not in GROWTH_LIMITS or not equals or not re.fullmatch(r"[0-9]{1,18}", most):
                names = ", ".join(GROWTH_LIMITS)
                self.fail(f"{item!r} is not LIMIT=NUMBER; the limits are {names}", param, ctx)
            limits[name.replace("-", "_")] = int(most)
        return limits


class FractionType(click.ParamType[int]):
    """A decimal number from 0 to `largest` with at most six decimals; its value is exact, in millionths."""

    name = "number"

    def __init__(self, largest: int) -> None:
        self._largest = largest

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            scaled = Decimal(str(value)) * PPM
            if scaled == scaled.to_integral_value() and 0 <= scaled <= self._largest * PPM:
                return int(scaled)
        except InvalidOperation:
            pass
        text = f"{value!r} is not a number from 0 to {self._largest} with at most six decimals"
        self.fail(text, param, ctx)


LABELS: Final = LabelsType()
SHARE: Final = ShareType()
WIDTHS: Final = WidthsType()
WINDOW_LENGTHS: Final = WindowsType()
LIMITS_OF_GROWTH: Final = GrowthLimitsType()


class HexadecimalType(click.ParamType[bytes]):
    """Hexadecimal digits; the value is bytes. With `size_bytes`, exactly that many bytes are accepted."""

    def __init__(self, name: str, size_bytes: int | None = None) -> None:
        self.name = name
        self._size_bytes = size_bytes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """The bytes. Other characters or another length are refused as wrong usage."""
        if isinstance(value, bytes):
            return value
        try:
            raw = bytes.fromhex(value)
        except ValueError:
            self.fail(f"{value!r} is not hexadecimal", param, ctx)
        if self._size_bytes not in (None, len(raw)):
            digits = 2 * (self._size_bytes or 0)
            self.fail(f"{digits} hexadecimal digits are needed, not {len(value)}", param, ctx)
        return raw


HASH: Final = HexadecimalType("id", 32)
HEX: Final = HexadecimalType("hex")


class WholeNumber(click.IntRange):
    """A number of a range in decimal digits, as engram.toml and the environment take it, too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number. What Python takes besides, such as 1_000 or digits of other scripts, is refused."""
        if not isinstance(value, int):
            try:
                value = whole_number(str(value))
            except ValueError as error:
                self.fail(str(error), param, ctx)
        return int(super().convert(value, param, ctx))


class RealNumber(click.FloatRange):
    """A finite number of a range: Python also reads nan and inf as numbers, which are refused here."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number. `nan` would pass every bound, since no comparison with it is true."""
        number = float(super().convert(value, param, ctx))
        if not isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


class DataDirectory(click.Path):
    """A folder, which need not be there yet."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path. An empty one is refused: to Python it is the present folder."""
        if value == "":
            self.fail("the path is empty: name a directory, or leave the option out", param, ctx)
        return super().convert(value, param, ctx)
