"""What a report is made of. All of it is plain data: how it looks is decided by `rendering.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

Value = str | int | float | bool | None
Row = Mapping[str, Value]


@dataclass(frozen=True)
class Heading:
    """A heading inside a report."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Prose:
    """Markdown."""

    text: str


@dataclass(frozen=True)
class TableColumn:
    """One column of a table."""

    name: str
    """The key in the rows."""
    heading: str
    format: str = ""
    """A format of Python for numbers, such as `.2f` or `,`."""
    measured: bool = False
    """Whether a clock or the machine decides the values: they differ between runs."""


@dataclass(frozen=True)
class Table:
    """Rows in columns. All fields of the rows go to the CSV file, those with a column are shown."""

    name: str
    """A file name, unique in its report."""
    caption: str
    columns: tuple[TableColumn, ...]
    rows: Sequence[Row]


class PlotKind(Enum):
    """How a plot is drawn."""

    LINES = "lines"
    BARS = "bars"
    """Groups of bars: `x` of every series are the numbers of `x_names`."""
    MATRIX = "matrix"
    """A grid of squares: each series is one row of it, from the top; NaN stays empty."""


@dataclass(frozen=True)
class Series:
    """One line, the bars of one colour, or one row of a matrix."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    spread: tuple[float, ...] = ()
    """Half the length of the error bar of each value; empty for none."""


@dataclass(frozen=True)
class Plot:
    """A plot."""

    name: str
    """A file name, unique in its report."""
    caption: str
    kind: PlotKind
    series: tuple[Series, ...]
    x_label: str = ""
    y_label: str = ""
    x_names: tuple[str, ...] = ()
    """Names for x = 0, 1, …; empty for numbers."""
    y_range: tuple[float, float] | None = None
    format: str = ".1f"
    """How the values of a matrix are written."""


Part = Heading | Prose | Table | Plot


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    parts: tuple[Part, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        return tuple(part for part in self.parts if isinstance(part, Table))

    @property
    def plots(self) -> tuple[Plot, ...]:
        return tuple(part for part in self.parts if isinstance(part, Plot))
