"""Draws plots as SVG by matplotlib, the extra `plot`. The same numbers give the same bytes."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import Any, Final

from engram.node.extras import install_command
from engram.participant.experiments.document import Plot, PlotKind, Series
from engram.participant.experiments.errors import LibraryMissing

WIDTH: Final = 7.2
"""Inches."""
HEIGHT: Final = 3.8
_STYLE: Final = {
    "svg.hashsalt": "engram",
    "svg.fonttype": "path",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}


def check_plotting() -> None:
    """Raises `LibraryMissing` if plots cannot be drawn or pages cannot be written."""
    for library in ("matplotlib", "markdown_it"):
        if find_spec(library) is None:
            raise LibraryMissing(
                f"reports need {library}: {install_command('plot')}, or in a clone `make experiment`",
                got=library,
            )


def check_drawing() -> None:
    """Raises `LibraryMissing` if plots cannot be drawn."""
    if find_spec("matplotlib") is None:
        raise LibraryMissing(f"plots need matplotlib: {install_command('plot')}", got="matplotlib")


def svg_of(*plots: Plot) -> str:
    """The plots, one below the other, as an SVG file. Raises `LibraryMissing`."""
    check_drawing()
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**matplotlib.rcParamsDefault, "backend": "svg", **_STYLE}):
        figure = Figure(figsize=(WIDTH, HEIGHT * len(plots)), layout="constrained")
        FigureCanvasSVG(figure)
        for number, plot in enumerate(plots, 1):
            axes = figure.add_subplot(len(plots), 1, number)
            _DRAWN_BY[plot.kind](figure, axes, plot)
            axes.set_xlabel(plot.x_label)
            axes.set_ylabel(plot.y_label)
            if len(plots) > 1:
                axes.set_title(plot.caption)
            if plot.y_range is not None:
                axes.set_ylim(*plot.y_range)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _lines(_: Any, axes: Any, plot: Plot) -> None:
    for series in plot.series:
        axes.errorbar(
            series.x,
            series.y,
            yerr=series.spread or None,
            label=series.label,
            marker="o",
            markersize=3,
            capsize=2,
        )
    _name_ticks(axes, plot)
    _legend(axes, plot.series)


def _bars(_: Any, axes: Any, plot: Plot) -> None:
    width = 0.8 / len(plot.series)
    for number, series in enumerate(plot.series):
        shift = (number - (len(plot.series) - 1) / 2) * width
        places = [x + shift for x in series.x]
        axes.bar(places, series.y, width, yerr=series.spread or None, label=series.label, capsize=2)
    _name_ticks(axes, plot)
    axes.grid(visible=False, axis="x")
    _legend(axes, plot.series)


def _matrix(figure: Any, axes: Any, plot: Plot) -> None:
    grid = [list(series.y) for series in plot.series]
    picture = axes.imshow(grid, cmap="Blues", vmin=0, vmax=max(100.0, *(max(row) for row in grid)))
    middle = 50.0
    for row, values in enumerate(grid):
        for column, value in enumerate(values):
            if value == value:
                colour = "white" if value > middle else "black"
                axes.text(column, row, format(value, plot.format), ha="center", va="center", color=colour)
    axes.set_yticks(range(len(grid)), [series.label for series in plot.series])
    axes.grid(visible=False)
    _name_ticks(axes, plot)
    figure.colorbar(picture)


def _name_ticks(axes: Any, plot: Plot) -> None:
    if plot.x_names:
        axes.set_xticks(range(len(plot.x_names)), plot.x_names)


def _legend(axes: Any, series: tuple[Series, ...]) -> None:
    if len(series) > 1 or series[0].label:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


_DRAWN_BY: Final = {PlotKind.LINES: _lines, PlotKind.BARS: _bars, PlotKind.MATRIX: _matrix}
