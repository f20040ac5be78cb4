"""`engram db`: checks and rebuilds the store of a node that is not running."""

from __future__ import annotations

import click

from engram.commands.support.options import Group, with_session
from engram.commands.support.session import CommandSession


@click.group("db", cls=Group)
def command() -> None:
    """Check or rebuild a stopped node's data."""


@command.command("check", example="engram db check\nengram db check --blocks 1000 --data-dir ~/node1")
@click.option("--blocks", type=click.IntRange(1), help="Check the last so many blocks only; default: all.")
@with_session
def check(session: CommandSession, blocks: int | None) -> None:
    """Read every block, receipt, state change and index entry and see that they belong together."""
    from engram.node.chain.maintenance import check_data_dir

    result = check_data_dir(session.config, blocks).to_json()
    session.show(result, result.items())


@command.command("reindex", example="engram db reindex")
@with_session
def reindex(session: CommandSession) -> None:
    """Throw the database away and rebuild it from the block files, executing every block again."""
    from engram.node.chain.maintenance import reindex_data_dir

    result = reindex_data_dir(session.config, lambda height: _progress(session, height)).to_json()
    session.show(result, result.items())


def _progress(session: CommandSession, height: int) -> None:
    if height % 1_000 == 0:
        session.note(f"height {height}")
