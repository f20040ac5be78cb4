"""`engram play`: a guided round for somebody who sees Engram for the first time.

The steps stand in `engram.commands.guided`. This file turns options into a narrator and signals into Ctrl-C.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click

from engram.commands.support.options import Command, json_flag


@click.command(
    "play",
    cls=Command,
    example="engram play\nengram play ~/my-first-round\nengram play --yes --json",
    lines=True,
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path("engram-play"))
@click.option("--yes", is_flag=True, help="Go through all steps without waiting for Enter.")
@json_flag
def command(folder: Path, yes: bool, as_json: bool) -> None:
    """Play a first round, step by step, on a chain of your own.

    The command starts a node at free ports, with a chain of its own in FOLDER. That is ./engram-play unless
    you name another: a new or empty one, or that of a play to go on with. In the first chapter, dev
    founds a model of handwritten digits, alice and bob train it, carol is the witness, and you see a
    prediction, whose neurons made it, and a proof. In the second chapter another owner has the model grow.

    Before each step, the command says what will happen and what one types by hand to do it, and waits for
    Enter. It waits as long as you like: no phase of a round passes meanwhile. After Ctrl-C, a crash or `q`,
    the same command goes on with the step at which it was, and nothing is paid twice.

    With --json it waits for nobody and prints a line of JSON for each step; the last one is the result.
    """
    waits = not (yes or as_json)
    if waits and not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to wait at: say --yes", click.get_current_context())

    from engram.node.process import use_one_blas_thread

    use_one_blas_thread()
    from engram.commands.guided.guide import lead
    from engram.commands.guided.narrator import Narrator

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    lead(folder, Narrator(as_json=as_json, waits=waits))


def _interrupt(number: int, frame: object) -> None:
    """Ends the play as Ctrl-C does: what runs is stopped in order, the node last."""
    signal.raise_signal(signal.SIGINT)
