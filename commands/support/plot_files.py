"""The option of commands that draw: --plot names an SVG file, which matplotlib writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engram.commands.support.files import check_free

if TYPE_CHECKING:
    from engram.participant.experiments.document import Plot


def plot_option(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --plot and --force."""
    for option in (
        click.option("--force", is_flag=True, help="Replace the file of --plot if it exists."),
        click.option(
            "--plot",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE.svg",
            help='Write plots of it as an SVG file, too. Needs `pip install "engram[plot]"`.',
        ),
    ):
        function = option(function)
    return function


def check_plot(plot: Path | None, *, force: bool) -> None:
    """Refuses a plot that could not be written, before any work: another ending, a file that exists.

    Raises `LibraryMissing` if matplotlib is not installed, and `FileExistsAlready`.
    """
    if plot is None:
        if force:
            raise click.UsageError("--force goes with --plot", click.get_current_context())
        return
    if plot.suffix != ".svg":
        raise click.UsageError("--plot names a file that ends in .svg", click.get_current_context())
    from engram.participant.experiments.plotting import check_drawing

    check_drawing()
    check_free(plot, force=force)


def write_plot(plot: Path | None, *plots: Plot) -> None:
    """Draws the plots to the file, if one is named, and says so."""
    if plot is None:
        return
    from engram.participant.experiments.plotting import svg_of

    plot.write_text(svg_of(*plots), encoding="utf-8")
    click.echo(f"engram: drew {plot}", err=True)
