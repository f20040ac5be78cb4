"""`engram experiment`: runs an experiment cell by cell and writes its report.

The framework and the experiments stand in `participant/experiments`; this file parses and prints.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support.engines import experiment_engine_option
from engram.commands.support.options import Command, Group
from engram.commands.support.output import print_json

if TYPE_CHECKING:
    from engram.participant.experiments.runner import Ran

MINUTE_S: Final = 60


@click.group(
    "experiment",
    cls=Group,
    example="engram experiment list",
)
def command() -> None:
    """Run an experiment cell by cell, and write its report with tables and plots."""


@command.command("list", example="engram experiment list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def list_(as_json: bool) -> None:
    """List the experiments, and the data sets that they read."""
    from engram.participant.experiments.data import DATA_SETS
    from engram.participant.experiments.plan import Scale
    from engram.participant.experiments.registry import EXPERIMENTS, experiment_of

    found: list[dict[str, Any]] = []
    for name, title in EXPERIMENTS.items():
        experiment = experiment_of(name)
        found.append(
            {"name": name, "title": title, **{each.value: experiment.data_sets(each) for each in Scale}}
        )
    if as_json:
        print_json({"experiments": found})
        return
    for entry in found:
        click.echo(f"{entry['name']:<12} {entry['title']}")
        for scale in Scale:
            sets = (name if DATA_SETS[name].ships else f"{name} (--data)" for name in entry[scale.value])
            click.echo(f"{'':<12} reads in {scale.value}: {', '.join(sets)}")


def _experiment(name: str, title: str) -> click.Command:
    """The command of one experiment."""

    @click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        required=True,
        help="Where the report and the finished cells go. Cells that are there already are not run again.",
    )
    @click.option("--quick", is_flag=True, help="A small version: under a minute, with data that ship along.")
    @click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        envvar="ENGRAM_EXPERIMENT_DATA",
        show_envvar=True,
        help="A folder with the data sets that do not ship along, each in a subfolder: mnist, fashion-mnist.",
    )
    @click.option(
        "--jobs",
        type=click.IntRange(1),
        default=_cores,
        metavar="N",
        show_default="the cores of this machine",
        help="How many cells run at one time, each in a process of its own.",
    )
    @click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Run the cells on the Dask cluster of this scheduler, such as tcp://host:8786. Its workers need "
        "this version of Engram, and --data at the same path; start them with --nthreads 1.",
    )
    @experiment_engine_option
    @click.option("--only", metavar="CELL", multiple=True, help="Run this cell only; can be repeated.")
    @click.option(
        "--json", "as_json", is_flag=True, help="Print each event and the result as a line of JSON."
    )
    def run(
        out: Path,
        quick: bool,
        data: Path | None,
        jobs: int,
        scheduler: str | None,
        engine: str,
        only: tuple[str, ...],
        as_json: bool,
    ) -> None:
        _run(name, out, quick, data, jobs, scheduler, engine, only, as_json)

    run.__doc__ = f"""{title}

    The report is DIR/index.html and DIR/report.md, with plots/*.svg, tables/*.csv and results.json beside.
    Each finished cell is kept in DIR/cells. After Ctrl-C or a failure, the same command goes on.
    """
    examples = f"engram experiment {name} --quick --out ./{name}\nengram experiment {name} --out ./{name}"
    return click.command(name, cls=Command, lines=True, example=examples)(run)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run(
    name: str,
    out: Path,
    quick: bool,
    data: Path | None,
    jobs: int,
    scheduler: str | None,
    engine: str,
    only: tuple[str, ...],
    as_json: bool,
) -> None:
    from engram.node.process import use_one_blas_thread

    use_one_blas_thread()
    from engram.node.engines.choosing import engine_for
    from engram.participant.experiments.cluster import cluster
    from engram.participant.experiments.data import DataFolder
    from engram.participant.experiments.plan import Scale
    from engram.participant.experiments.registry import experiment_of
    from engram.participant.experiments.runner import RunPlan, run_experiment
    from engram.participant.experiments.scheduler import here

    plan = RunPlan(
        experiment_of(name),
        Scale.QUICK if quick else Scale.FULL,
        out.resolve(),
        DataFolder(None if data is None else data.resolve()),
        only,
        ("engram", *sys.argv[1:]),
        engine,
    )
    if scheduler is None:
        engine_for(engine)  # else each cell would fail
    signal.signal(signal.SIGTERM, _interrupt)
    schedule = here(jobs) if scheduler is None else cluster(scheduler)
    written = run_experiment(plan, schedule, jobs, lambda ran: _tell(ran, as_json=as_json))
    result = {"event": "result", "report": str(plan.out / "index.html") if written else None}
    if as_json:
        click.echo(json.dumps(result))
    elif written:
        click.echo(f"report  {result['report']}")
    else:
        click.echo("report  not yet: other cells are missing; the same command without --only runs them")


def _tell(ran: Ran, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"event": "cell", **vars(ran)}))
        return
    ended = "failed" if ran.error is not None else "finished"
    left = "" if ran.remaining_s is None else f", about {_duration(ran.remaining_s)} left"
    click.echo(
        f"{ran.cell} {ended} after {_duration(ran.seconds)}; "
        f"{ran.done} of {ran.cells} cells, {ran.share:.0%}{left}",
        err=True,
    )
    if ran.error is not None:
        click.echo(f"  {ran.error}", err=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 2 * MINUTE_S else f"{seconds / MINUTE_S:.0f} min"


def _interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends the command as Ctrl-C does."""
    raise KeyboardInterrupt


def _add_experiments() -> None:
    from engram.participant.experiments.registry import EXPERIMENTS

    for name, title in EXPERIMENTS.items():
        command.add_command(_experiment(name, title))


_add_experiments()
