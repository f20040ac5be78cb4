"""`engram chain export` and `engram chain import`: blocks of a stopped node as a file."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import click

from engram.commands.support.files import check_free, output_option
from engram.commands.support.options import Command, with_session
from engram.commands.support.session import CommandSession


@click.command(
    "export",
    cls=Command,
    example="engram chain export\nengram chain export -o a.chain --first 9 --last 99",
)
@click.option("--first", type=click.IntRange(1), default=1, show_default=True, help="The lowest height.")
@click.option("--last", type=click.IntRange(1), help="The greatest height. Default: the head's.")
@output_option("blocks.chain")
@with_session
def export(session: CommandSession, first: int, last: int | None, output: Path, force: bool) -> None:
    """Write blocks of the best chain to a file.

    The command reads the data directory of a node that does not run. Another node takes the file in with
    `engram chain import`.
    """
    from engram.node.chain.maintenance import export_data_dir

    check_free(output, force=force)
    result = {**asdict(export_data_dir(session.config, output, first, last)), "file": str(output)}
    session.show(result, result.items())


@click.command("import", cls=Command, example="engram chain import blocks.chain --data-dir ~/node2")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_session
def import_(session: CommandSession, file: Path) -> None:
    """Take in the blocks of a file that `engram chain export` has written.

    The command works on the data directory of a node that does not run. Every block is verified as if a peer
    had sent it. It ends at the first block that breaks a rule, or whose parent is unknown; the blocks before
    that one stay.
    """
    from engram.node.chain.maintenance import import_data_dir

    def progress(height: int) -> None:
        if height % 1_000 == 0:
            session.note(f"height {height}")

    result = import_data_dir(session.config, file, time.time_ns() // 1_000_000, progress).to_json()
    session.show(result, result.items())
