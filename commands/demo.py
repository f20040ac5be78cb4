"""`engram demo`: runs the demonstration and shows its report.

The demonstration itself stands in `participant/demo`. This file makes the folder for the network, chooses how
the events are shown, and saves the proof and the JSON report.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from engram.commands.support.errors import DirectoryNotEmpty, DirectoryNotWritable
from engram.commands.support.options import Command, is_given, refuse_given

if TYPE_CHECKING:
    from engram.participant.demo.play import DemoOptions
    from engram.participant.demo.report import DemoReport
    from engram.participant.demo.stage import Stage

T = TypeVar("T")

PROOF_NAME: Final = "engram-demo.proof"
"""File name of the proof where --keep is not given: beside the --json FILE, or in the current directory."""
HEAVY_NODES: Final = 2
"""Node processes of the story with --heavy, where no number is given: each holds the large network."""
CHAIN_NAME: Final = "engram-demo.chain.json"
"""File name of the chain's spec, beside the proof."""


@click.command(
    "demo",
    cls=Command,
    example="engram demo\n"
    "engram demo --nodes 3 --seed 7 --keep ./demo\n"
    "engram demo --data ~/mnist --json report.json\n"
    "engram demo --details --picture demo.svg\n"
    "engram demo --heavy",
)
@click.option(
    "--nodes", type=click.IntRange(1, 16), default=4, show_default=True, help="Node processes to start."
)
@click.option(
    "--data",
    metavar="digits|DIR",
    default="digits",
    show_default=True,
    envvar="ENGRAM_DATA",
    show_envvar=True,
    help="The 8x8 digits that ship with Engram, or a folder with MNIST's four idx files.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Fixes how the data are split, the keys and the first weights. Blocks still differ between runs.",
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep databases, logs, keys and the proof in this new or empty directory. "
    "Default: keep only the proof.",
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Write the report as JSON to FILE. With -, the report goes to standard output and all else to "
    "standard error.",
)
@click.option(
    "--details", is_flag=True, help="Show the tables of all numbers at the end; a pipe gets them always."
)
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write what the end shows as an SVG picture to FILE.",
)
@click.option(
    "--heavy",
    is_flag=True,
    help="Play another story instead: a lie in one row about a network of ten million weights, which no node "
    "computes as a whole, is found and disputed. It takes about a minute.",
)
@click.option(
    "--neurons",
    type=click.IntRange(16, 16_000),
    help="With --heavy: hidden neurons of the network. Default: 12700, which makes ten million weights.",
)
@click.option("--plain", is_flag=True, help="Print plain lines, without a live display, in a terminal too.")
def command(
    nodes: int,
    data: str,
    seed: int,
    keep: Path | None,
    json_path: Path | None,
    details: bool,
    picture: Path | None,
    heavy: bool,
    neurons: int | None,
    plain: bool,
) -> None:
    """Demonstrate the whole protocol on a network of nodes on this machine.

    The command starts several nodes. Participants found a model, train it until it freezes, and grow it by
    new classes, while a liar, a copycat, a leaker and a forger try to cheat and fail. It takes about a minute
    and a half.

    At the end stands a proof about the model that `engram verify` accepts: the file engram-demo.proof, and
    the ChainSpec in engram-demo.chain.json, beside the --json FILE or in the current directory; or
    model.proof and chain.json in the --keep directory. The last lines say how to check it.

    The exit status is 65 if anything turns out otherwise than the protocol promises.
    """
    if not heavy:
        refuse_given(("neurons",), "is for --heavy")
    if json_path is not None and not json_path.parent.is_dir():
        raise click.BadParameter(f"{json_path.parent} is not a directory", param_hint="--json")
    if picture is not None and not picture.parent.is_dir():
        raise click.BadParameter(f"{picture.parent} is not a directory", param_hint="--picture")

    from engram.node.process import use_one_blas_thread

    use_one_blas_thread()
    if heavy:
        refuse_given(("data", "details", "picture"), "is not for --heavy")
        _play_heavy(nodes if is_given("nodes") else HEAVY_NODES, seed, keep, json_path, neurons)
        return
    from engram.commands.support.demo_screen import screen, show_report
    from engram.participant.demo.play import DemoOptions

    to_stderr = str(json_path) == "-"
    beside = Path.cwd() if json_path is None or to_stderr else json_path.parent.resolve()
    if keep is None and not os.access(beside, os.W_OK):
        raise DirectoryNotWritable(
            f"the proof would be written to {beside}, which is not writable", got=str(beside)
        )
    with _folder(keep) as folder:
        with screen(plain=plain, to_stderr=to_stderr) as stage:
            report = _play(DemoOptions(folder, nodes, data, seed), stage)
        if keep is None:
            _save_proof(report, beside)
    show_report(report, to_stderr=to_stderr, details=details, picture=picture)
    if json_path is not None:
        with click.open_file(str(json_path), "w") as stream:
            stream.write(json.dumps(report.to_json(), indent=2) + "\n")


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """The directory of the network: `keep`, or a temporary one.

    The temporary directory is deleted at the end, but not after an error: its logs show what went wrong.
    Raises `DirectoryNotEmpty` if `keep` holds files.
    """
    if keep is not None:
        if keep.is_dir() and any(keep.iterdir()):
            raise DirectoryNotEmpty(f"{keep} is not empty: name a new directory", got=str(keep))
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="engram-demo-"))
    try:
        yield folder
    except Exception:
        if any(folder.iterdir()):
            click.echo(f"the nodes' data and logs are kept in {folder}", err=True)
        else:
            folder.rmdir()
        raise
    except BaseException:
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)


def _play_heavy(
    nodes: int, seed: int, keep: Path | None, json_path: Path | None, neurons: int | None
) -> None:
    """Plays the story of a disputed lie, and prints a line for each thing that happens."""
    from engram.participant.demo.heavy import NEURONS, HeavyOptions, HeavyReport, play_heavy

    begun, to_stderr = time.monotonic(), str(json_path) == "-"

    def say(who: str, line: str) -> None:
        click.echo(f"{time.monotonic() - begun:6.1f} s  {who}: {line}", err=to_stderr)

    async def play(folder: Path) -> HeavyReport:
        return await play_heavy(HeavyOptions(folder, nodes, seed, neurons or NEURONS), say)

    with _folder(keep) as folder:
        report = _interruptible(lambda: play(folder))
    if json_path is not None:
        with click.open_file(str(json_path), "w") as stream:
            stream.write(json.dumps(report.to_json(), indent=2) + "\n")


def _save_proof(report: DemoReport, folder: Path) -> None:
    """Moves proof and spec out of the temporary directory, replacing those of an earlier demonstration."""
    assert report.proof is not None, "the demonstration ends with a proof"
    proof, chain = folder / PROOF_NAME, folder / CHAIN_NAME
    shutil.move(report.proof.path, proof)
    shutil.move(report.proof.chain, chain)
    report.proof = replace(report.proof, path=str(proof), chain=str(chain))


def _play(options: DemoOptions, stage: Stage) -> DemoReport:
    """Plays the demonstration and returns its report."""
    from engram.participant.demo.play import play_demo

    return _interruptible(lambda: play_demo(options, stage))


def _interruptible(play: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs a story to its end. SIGTERM ends it as Ctrl-C does."""
    import asyncio

    async def run() -> T:
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs inside of a task"
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await play()

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
