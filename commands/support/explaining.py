"""Prints predictions with what made them: a picture of the row, bars for classes, and whose neurons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from math import ceil
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support.errors import RowsInvalid
from engram.commands.support.output import Column, print_table
from engram.commands.support.picture import (
    LEAST_SIDE,
    PictureShape,
    bar,
    picture_lines,
    shape_of,
    stdout_console,
)
from engram.commands.support.predictions import ChosenRows
from engram.commands.support.session import CommandSession

if TYPE_CHECKING:
    from engram.node.client import RpcClient

FEW_ROWS: Final = 3
"""Up to so many rows are shown one by one with all their parts; more are lines of a table."""
SHOWN_CLASSES: Final = 6
BAR_WIDTH: Final = 24
CALL_VALUES: Final = 400_000
"""One request carries at most so many features, which keeps it far below the largest body."""
CALL_ROWS: Final = 128
CALL_PARTS: Final = 16_384
"""A node explains at most so many rows at once, and so many rows times groups of neurons."""

picture_option = click.option(
    "--picture/--no-picture",
    default=None,
    help="Show each row as a picture. Default: for a few rows that are pictures, or can be square ones.",
)


async def explained_rows(
    client: RpcClient, model: str, rows: Sequence[Sequence[int]], version: int | None
) -> dict[str, Any]:
    """The answer of `model_predict` with parts for any number of rows: several calls, one version."""
    found: dict[str, Any] = {}
    done, size = 0, 1
    while done < len(rows):
        batch = rows[done : done + size]
        answer = await client.call("model_predict", id=model, rows=batch, version=version, explain=True)
        if found:
            found["predictions"] += answer["predictions"]
        else:
            found, version = answer, answer["version"]
        done += len(batch)
        groups = max(1, len(found["lineage"]))
        size = max(1, min(CALL_ROWS, CALL_PARTS // groups, CALL_VALUES // len(batch[0])))
    return found


def show_explained(
    session: CommandSession, result: dict[str, Any], chosen: ChosenRows, picture: bool | None
) -> None:
    """Prints the answer of `explained_rows`: few rows one by one, many as a table.

    Raises `RowsInvalid` if pictures are asked for of rows that are none.
    """
    shape = shape_of(len(chosen.features[0]), chosen.shape)
    if picture and shape is None:
        raise RowsInvalid(
            "these rows are no pictures: their file shows no height and width, and they are no squares, in "
            "grey or in red, green and blue",
            got=f"{len(chosen.features[0])} inputs",
        )
    if session.as_json:
        session.show(result, ())
        return
    person = session.names.called
    groups = [_group(each, person, chosen.name) for each in result["lineage"]]
    answers = result["predictions"]
    if len(answers) > FEW_ROWS and not picture:
        _show_table(result, groups, chosen)
        return
    if picture is False or (picture is None and shape is not None and shape.height < LEAST_SIDE):
        shape = None
    for number, (answer, row) in enumerate(zip(answers, chosen.features, strict=True)):
        if number:
            click.echo()
        _show_row(chosen, number, answer, row, shape)
        click.echo()
        _show_parts(answer, groups, chosen.name)
    click.echo(
        f"\nversion {result['version']}; contributions are in nats and add up exactly: --json has them as\n"
        "integers, in units of 2^-16 nat"
    )


def _show_row(
    chosen: ChosenRows, number: int, answer: dict[str, Any], row: Sequence[int], shape: PictureShape | None
) -> None:
    """The heading of a row, then its picture beside the bars of its likeliest classes."""
    from engram.node.rpc.explain import probabilities

    title = f"row {chosen.first + number}: class {chosen.name(answer['class'])}"
    if (label := answer.get("label")) is not None:
        right = label == answer["class"]
        title += ", which is right" if right else f", which is wrong: its label is {chosen.name(label)}"
    console = stdout_console()
    console.print(title, style="bold", markup=False, soft_wrap=True)
    shares = probabilities(answer["logits"])
    order = sorted(range(len(shares)), key=lambda label: (-shares[label], label))
    order, rest = order[:SHOWN_CLASSES], order[SHOWN_CLASSES:]
    width = max(len(chosen.name(label)) for label in order)
    drawn = {label: bar(shares[label], BAR_WIDTH).ljust(BAR_WIDTH) for label in order}
    bars = [
        f"{chosen.name(label).rjust(width)} {drawn[label]} {shares[label]:.4f}" for label in sorted(order)
    ]
    if rest:
        bars.append(f"{_left_out(len(rest))}, none above {ceil(shares[rest[0]] * 10_000) / 10_000:.4f}")
    lines = picture_lines(row, shape, console) if shape else []
    from rich.text import Text

    blank = Text(" " * (lines[0].cell_len if lines else 0))
    for line, text in zip_longest(lines, bars):
        console.print(Text("  ").join([line or blank, Text(text or "")]), soft_wrap=True)


def _left_out(count: int) -> str:
    return f"{count} more class is not shown" if count == 1 else f"{count} more classes are not shown"


def _show_parts(answer: dict[str, Any], groups: Sequence[str], name: Callable[[int], str]) -> None:
    from engram.library.explanation import parts_lines

    for line in parts_lines(answer, groups, name):
        click.echo(line)


def _show_table(result: dict[str, Any], groups: Sequence[str], chosen: ChosenRows) -> None:
    """A line for each row, with the group that did most for its lead."""
    answers = list(enumerate(result["predictions"], chosen.first))
    columns = [
        Column("row", lambda each: each[0], right=True),
        Column("class", lambda each: chosen.name(each[1]["class"]), right=True),
        Column("probability", lambda each: f"{each[1]['probability']:.4f}", right=True),
    ]
    if any("label" in answer for _, answer in answers):
        columns.append(Column("label", lambda each: _label(each[1], chosen.name), right=True))
    columns += [
        Column("runner-up", lambda each: _label({"label": each[1]["runner_up"]}, chosen.name), right=True),
        Column("mostly by", lambda each: _leader(each[1], groups)),
    ]
    print_table(columns, answers, "no rows")
    known = [answer for _, answer in answers if answer.get("label") is not None]
    right = sum(answer["label"] == answer["class"] for answer in known)
    said = f"version {result['version']}"
    click.echo(f"\n{said}; {right} of {len(known)} rows are right" if known else f"\n{said}")


def _label(answer: dict[str, Any], name: Callable[[int], str]) -> str | None:
    return None if answer["label"] is None else name(answer["label"])


def _leader(answer: dict[str, Any], groups: Sequence[str]) -> str | None:
    """Who added most to the lead of a row, or to its logit if there is one class."""
    measure = "logit" if answer["margin"] is None else "margin"
    best = max(answer["parts"], key=lambda part: int(part[measure]), default=None)
    return None if best is None else groups[best["group"]]


def _group(found: dict[str, Any], person: Callable[[str | None], str], word: Callable[[int], str]) -> str:
    from engram.library.explanation import group_text

    return group_text(found["version"], found["classes"], person(found["author"]), word)
