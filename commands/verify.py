"""`engram verify`: checks a proof bundle without a node and says what it proves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.completion import complete_data
from engram.commands.support.exitcodes import NOT_ANCHORED_STATUS
from engram.commands.support.options import Command, json_flag, refuse_given
from engram.commands.support.output import print_fields, print_json
from engram.commands.support.predictions import ChosenRows, RowsOfFile, rows_of, show_classes
from engram.commands.support.proof_check import Check, with_check
from engram.commands.support.reading import label_option, mapping_option

if TYPE_CHECKING:
    from engram.consensus.proof import ProofReport
    from engram.nn.network import Parameters


@click.command(
    "verify",
    cls=Command,
    example="engram verify model.proof --checkpoint 00b1f2…\n"
    "engram verify model.proof --chain main --min-work 100000000000\n"
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
    """Check a proof bundle offline: headers, work, and the records they commit to.

    FILE is a bundle that `engram model prove` wrote. The command asks no node. It prints what is recorded
    about the version, and ends with two lists in plain words: what this proves, and what it does not.

    A proof needs an anchor, which you bring: --checkpoint or --min-work. The first line is "accepted" if the
    proof rests on an anchor; the exit status is then 0. Without an anchor the first line is "consistent, not
    anchored" and the exit status is 1: anybody could have made such a file, and the text says how long it
    would take on this machine. A proof that breaks a rule is refused with an error and a status of 65 or 75.
    """
    from engram.commands.support.proof_words import (
        ANCHORED,
        NOT_ANCHORED,
        digests_per_s,
        facts,
        for_people,
        limits,
        proves,
    )

    if data is None:
        refuse_given(("label", "mapping", "first", "rows"), "goes with --predict only")
    elif weights is None:
        raise click.UsageError("--predict goes with --model", click.get_current_context())
    report = check.report(file)
    rate = digests_per_s(report.spec.pow)
    known = facts(report, rate)
    parameters = None if weights is None else _checked_weights(weights, report)
    proved = proves(known, rate)
    if weights is not None:
        proved.append(f"The file {weights.name} holds exactly the weights and biases of this version.")
    unproved = limits(known, weights_checked=weights is not None)
    answers = None
    if data is not None and parameters is not None:
        answers = _predicted(report, parameters, rows_of(RowsOfFile(data, label, mapping), first, rows))
    if as_json:
        lists = {"proves": proved, "does_not_prove": unproved}
        print_json({**known, "weights_checked": weights is not None, **lists, "predictions": answers})
    else:
        click.echo(ANCHORED if report.anchored else NOT_ANCHORED)
        print_fields(for_people(known).items())
        if answers is not None:
            click.echo(f"\nPredictions of version {report.version.number}, computed here from {weights}:")
            show_classes(answers)
        heading = "What this proves" if report.anchored else "What the file claims"
        for title, sentences in ((heading, proved), ("What this does not prove", unproved)):
            click.echo(f"\n{title}:")
            for sentence in sentences:
                click.echo(f"- {sentence}")
    if not report.anchored:
        click.get_current_context().exit(NOT_ANCHORED_STATUS)


def _checked_weights(weights: Path, report: ProofReport) -> Parameters:
    from engram.participant.export import load_weights

    return load_weights(weights, report.network)


def _predicted(report: ProofReport, parameters: Parameters, chosen: ChosenRows) -> list[dict[str, Any]]:
    """What the version predicts for rows of a data set, with their labels."""
    from engram.nn.network import forward
    from engram.node.rpc.explain import explained, features_of

    spec = report.network.spec
    logits = forward(spec, parameters, features_of(chosen.features, spec.inputs)).tolist()
    predictions: list[dict[str, Any]] = [dict(explained(row)) for row in logits]
    chosen.explain(predictions)
    return predictions
