"""`engram db`: checks, measures or rebuilds the stored data of a node that is not running."""

from __future__ import annotations

import click

from engram.commands.support.options import Group, with_session
from engram.commands.support.session import CommandSession


@click.group("db", cls=Group, example="engram db check --blocks 1000\nengram db reindex")
def command() -> None:
    """Check, measure or rebuild a stopped node's data.

    Stop the node first: a data directory can be used by one process at a time.
    """


@command.command("check", example="engram db check\nengram db check --blocks 1000 --data-dir ~/node1")
@click.option("--blocks", type=click.IntRange(1), help="How many of the last blocks to check. Default: all.")
@with_session
def check(session: CommandSession, blocks: int | None) -> None:
    """Check that blocks, receipts, state changes and index entries are whole and agree with each other.

    The command reads every row of the database and every body, and changes nothing. It names everything that
    is damaged or missing, says what helps, and ends with status 65 then.
    """
    from engram.node.chain.maintenance import check_data_dir

    result = check_data_dir(session.config, blocks).to_json()
    session.show(result, result.items())


@command.command("size", example="engram db size\nengram db size --json")
@with_session
def size(session: CommandSession) -> None:
    """Show what blocks and blobs take on disk, and what they hold.

    Both are deflated where that makes them smaller. Plain bytes are those that fees and limits count, stored
    bytes those that the disk holds. The command reads all of them and changes nothing.
    """
    from engram.node.chain.maintenance import measure_data_dir

    result = measure_data_dir(session.config).to_json()
    session.show(result, result.items())


@command.command("reindex", example="engram db reindex\nengram db reindex --yes")
@click.option("--yes", is_flag=True, help="Go on although blocks are lost.")
@with_session
def reindex(session: CommandSession, yes: bool) -> None:
    """Make a new database from the block files, and keep the old one beside it.

    Every block is verified and executed again, which takes about as long as the first time. Use it after
    `engram db check` has found damage other than in bodies. If the block files lack blocks that the database
    knows, nothing is changed unless you say --yes; a node that runs fetches damaged bodies from its peers,
    and after that nothing is lost.

    "damaged_bytes" counts what could not be read in the block files, "blocks_lost" the blocks that the new
    database lacks; the status is 65 if there are any. "kept" is the folder of the old database: delete it
    once you do not need it.
    """
    from engram.commands.support.failures import DATA
    from engram.node.chain.maintenance import reindex_data_dir

    done = reindex_data_dir(session.config, lambda height: _progress(session, height), allow_loss=yes)
    session.show(done.to_json(), done.to_json().items())
    if done.blocks_lost:
        click.get_current_context().exit(DATA)


def _progress(session: CommandSession, height: int) -> None:
    if height % 1_000 == 0:
        session.note(f"height {height}")
