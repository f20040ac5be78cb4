"""`engram model history`: how a model became what it is, version by version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from engram.commands.support.lookup import ask_model, model_argument
from engram.commands.support.options import Command, with_session
from engram.commands.support.output import Column
from engram.commands.support.picture import bar
from engram.commands.support.plot_files import check_plot, plot_option, write_plot
from engram.commands.support.session import CommandSession

BAR_WIDTH = 10


@click.command(
    "history", cls=Command, example="engram model history\nengram model history 3fa2 --plot history.svg"
)
@model_argument
@plot_option
@with_session
def history(session: CommandSession, model: str | None, plot: Path | None, force: bool) -> None:
    """Show the learning curve of a model: what each version knew, and what it took.

    "loss" and "accuracy" were measured on rows that stayed sealed until all updates were revealed. Every
    round has rows of its own, so a growth by new classes may raise the loss although nothing was forgotten;
    `engram model evaluate --versions` compares versions on the same rows. `engram model versions` lists roots
    and heights.
    """
    check_plot(plot, force=force)
    found = [_point(each) for each in ask_model(session, "model_versions", model)]
    person = session.names.called
    columns = (
        Column("version", lambda row: row["version"], right=True),
        Column("classes", lambda row: row["classes"], right=True),
        Column("neurons", lambda row: row["neurons"], right=True),
        Column("parameter bytes", lambda row: f"{row['parameter_bytes']:,}", right=True, spare=1),
        Column("loss", lambda row: _text(row["sealed_mean_loss"], ".4f"), right=True),
        Column("accuracy", lambda row: _text(row["sealed_accuracy"], ".2%"), right=True),
        Column("sealed", lambda row: bar(row["sealed_accuracy"] or 0.0, BAR_WIDTH)),
        Column("author", lambda row: person(row["author"])),
    )
    session.show_rows(found, columns, "no versions")
    if plot is not None:
        from engram.library.plots import history_plots

        write_plot(plot, *history_plots(found))


def _point(version: dict[str, Any]) -> dict[str, Any]:
    """What the history says of a version: losses in nats a row and shares from 0 to 1, null if not scored."""
    from engram.node.amounts import Q24

    rows, known = version["sealed_rows"], version["validation_rows"]
    return {
        "version": version["number"],
        "height": version["height"],
        "author": version["author"],
        "classes": version["classes"],
        "neurons": version["neurons"],
        "parameter_bytes": version["parameter_bytes"],
        "sealed_rows": rows,
        "sealed_mean_loss": version["sealed_loss"] / rows / Q24 if rows else None,
        "sealed_accuracy": version["sealed_correct"] / rows if rows else None,
        "validation_mean_loss": version["validation_loss"] / known / Q24 if known else None,
    }


def _text(value: float | None, form: str) -> str | None:
    return None if value is None else format(value, form)
