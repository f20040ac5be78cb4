"""`engram chain export`, `import` and `verify`: blocks of a stopped node, as a file or executed again."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import click

from engram.commands.support.files import check_free, output_option
from engram.commands.support.options import Command, with_offline_session
from engram.commands.support.progress import by_thousands
from engram.commands.support.session import CommandSession


@click.command(
    "export",
    cls=Command,
    example="engram chain export\nengram chain export -o a.chain --first 9 --last 99",
)
@click.option("--first", type=click.IntRange(1), default=1, show_default=True, help="The lowest height.")
@click.option("--last", type=click.IntRange(1), help="The greatest height. Default: the head's.")
@output_option("blocks.chain")
@with_offline_session
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
@with_offline_session
def import_(session: CommandSession, file: Path) -> None:
    """Take in the blocks of a file that `engram chain export` has written.

    The command works on the data directory of a node that does not run. Every block is verified as if a peer
    had sent it. It ends at the first block that breaks a rule, or whose parent is unknown; the blocks before
    that one stay.
    """
    from engram.node.chain.maintenance import import_data_dir

    now_ms, progress = time.time_ns() // 1_000_000, by_thousands(session.note)
    result = import_data_dir(session.config, file, now_ms, progress).to_json()
    session.show(result, result.items())


@click.command(
    "verify",
    cls=Command,
    example="engram chain verify\nengram chain verify --first 9000 --json",
)
@click.option("--first", type=click.IntRange(1), default=1, show_default=True, help="The lowest height.")
@click.option("--last", type=click.IntRange(1), help="The greatest height. Default: the head's.")
@with_offline_session
def verify(session: CommandSession, first: int, last: int | None) -> None:
    """Verify the stored chain anew: headers, work, and every block executed again.

    The command reads the data directory of a node that does not run, and believes nothing that the node has
    computed before: the whole chain is executed from its bodies. That takes about as long as a sync, and for
    its time the disk space of a second database. With --first, a range is executed on a state that the node
    has kept, or from genesis on if it has kept none. As long as a node that began with a snapshot lacks some
    of the bodies from before it, only headers and work are verified there, and the result says so.

    The command ends with chain_broken, and names the first block that does not hold. `engram db check` asks
    something else: whether the stored bytes are whole.
    """
    from engram.node.chain.maintenance import verify_data_dir

    now_ms, progress = time.time_ns() // 1_000_000, by_thousands(session.note)
    done = verify_data_dir(session.config, first, last, now_ms, progress)
    result = done.to_json()
    session.show(result, result.items())
    if result["not_replayed"]:
        low = f"{done.headers.first} to {done.replayed.first - 1}"
        session.note(
            f"of the blocks {low}, only headers and work were verified: this node began with a snapshot and "
            f"still lacks {done.missing} bodies from before it; start it with peers, and verify again once "
            "`engram status` says nothing of them any more: then all blocks are executed"
        )
