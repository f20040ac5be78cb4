"""`engram verify`: checks a proof bundle without a node and says what it proves."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support.completion import complete_data
from engram.commands.support.exitcodes import NOT_ANCHORED_STATUS
from engram.commands.support.options import Command, json_flag, refuse_given
from engram.commands.support.output import print_fields, print_json
from engram.commands.support.predictions import ChosenRows, RowsOfFile, note_unnamed, rows_of, show_classes
from engram.commands.support.proof_check import Check, with_check
from engram.commands.support.reading import label_option, mapping_option
from engram.commands.support.session import CommandSession

if TYPE_CHECKING:
    from engram.library.network import Network

WIDEST: Final = 100
"""Sentences are broken at this width in a wider terminal."""


@click.command(
    "verify",
    cls=Command,
    example="engram verify model.proof --checkpoint 00b1f2…\n"
    "engram verify model.proof --chain main --min-work 1000000000000000\n"
    "engram verify model.proof --checkpoint 00b1f2… --model model.npz --predict digits --rows 3",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_check
@click.option(
    "--model",
    "weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Check that this file, which `engram model pull` wrote, holds the weights of the proven version.",
)
@click.option(
    "--predict",
    "data",
    metavar="DATA",
    shell_complete=complete_data,
    help="With --model: let the proven version predict rows of this data set: digits, or a file or folder "
    "that "
    "`engram data check` can read.",
)
@label_option
@mapping_option
@click.option(
    "--first",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="The first row of the data set to predict, counted from 0.",
)
@click.option(
    "--rows",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="How many rows of the data set to predict.",
)
@json_flag
def command(
    file: Path,
    check: Check,
    weights: Path | None,
    data: str | None,
    label: str | None,
    mapping: Path | None,
    first: int,
    rows: int,
    as_json: bool,
) -> None:
    """Check a proof bundle offline: headers, work, and the records that they name.

    FILE is a bundle that `engram model prove` wrote. The command asks no node. It prints what is recorded
    about the version, and ends with lists in plain words: what this proves, and what it does not.

    A proof needs an anchor, which you bring: --checkpoint or --min-work. The first line is "accepted" if the
    proof rests on an anchor; the exit status is then 0. Without an anchor the first line is "consistent, not
    anchored" and the exit status is 1: anybody could have made such a file, and the text says how many
    hash attempts that takes. Fewer than 2^40 (about 10^12) are no anchor, whatever --min-work says.
    A proof that breaks a rule is refused with an error and a status of 65 or 75.
    """
    from engram.library.proof_fields import record_fields

    if data is None:
        refuse_given(("label", "mapping", "first", "rows"), "goes with --predict only")
    elif weights is None:
        raise click.UsageError("--predict goes with --model", click.get_current_context())
    verdict = check.verdict(file, weights)
    answers = None
    if data is not None and verdict.network is not None:
        chosen = rows_of(RowsOfFile(data, label, mapping), first, rows)
        note_unnamed(CommandSession(as_json=as_json), chosen.mapping, verdict.network.classes)
        answers = _predicted(verdict.network, chosen)
    if as_json:
        checked = {"weights_checked": verdict.network is not None}
        print_json({**verdict.facts, **checked, **verdict.sentences, "predictions": answers})
    else:
        click.echo(verdict.verdict)
        print_fields(record_fields(verdict.facts))
        if answers is not None:
            number = verdict.facts["version"]
            click.echo(f"\nPredictions of version {number}, computed here from {weights}:")
            show_classes(answers)
        click.echo(_fitting(f"\n{verdict.conclusion}"))
    if not verdict.accepted:
        click.get_current_context().exit(NOT_ANCHORED_STATUS)


def _fitting(text: str) -> str:
    """The sentences of a conclusion; in a terminal, broken at its width."""
    if not sys.stdout.isatty():
        return text
    width = min(shutil.get_terminal_size().columns, WIDEST)
    lines = (click.wrap_text(line, width, subsequent_indent="  ") for line in text.split("\n"))
    return "\n".join(lines)


def _predicted(network: Network, chosen: ChosenRows) -> list[dict[str, Any]]:
    """What the version predicts for rows of a data set, with their labels."""
    from engram.node.rpc.explain import explained, features_of

    logits = network.logits(features_of(chosen.features, network.inputs)).tolist()
    predictions: list[dict[str, Any]] = [dict(explained(row)) for row in logits]
    chosen.explain(predictions)
    return predictions
