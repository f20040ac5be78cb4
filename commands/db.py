"""`engram db`: checks, measures, prunes or rebuilds a stopped node's data; takes and restores snapshots."""

from __future__ import annotations

from pathlib import Path

import click

from engram.commands.support.files import check_free, output_option
from engram.commands.support.options import Group, with_offline_session
from engram.commands.support.param_types import HASH
from engram.commands.support.progress import by_tenths, by_thousands
from engram.commands.support.session import CommandSession
from engram.commands.support.units import format_bytes

_CHECKED = ("state", "height", "head", "state_root", "blocks")


@click.group("db", cls=Group, example="engram db check --blocks 1000\nengram db reindex")
def command() -> None:
    """Check, measure, prune or rebuild a stopped node's data, and begin a node with a snapshot.

    Stop the node first: a data directory can be used by one process at a time.
    """


@command.command("check", example="engram db check\nengram db check --blocks 1000 --data-dir ~/node1")
@click.option("--blocks", type=click.IntRange(1), help="How many of the last blocks to check. Default: all.")
@with_offline_session
def check(session: CommandSession, blocks: int | None) -> None:
    """Check that blocks, receipts, state changes and index entries are whole and agree with each other.

    The command reads every row of the database and every body, and changes nothing. It names everything that
    is damaged or missing, says what helps, and ends with status 65 then.
    """
    from engram.node.chain.maintenance import block_files_of, check_data_dir

    extent = "every block" if blocks is None else f"the last {blocks} blocks"
    session.note(f"checking {extent}, and the database, against {_amount(block_files_of(session.config))}")
    result = check_data_dir(session.config, blocks, by_thousands(session.note)).to_json()
    session.show(result, [(name, result[name]) for name in _CHECKED])


@command.command("size", example="engram db size\nengram db size --json")
@with_offline_session
def size(session: CommandSession) -> None:
    """Show what the chain takes on disk, and what it holds.

    "blocks" are all bodies in the block files. "side_blocks" of them are on no best chain any more, since
    others won; `engram db compact` deletes those, unless the node is an archive. The database has all states
    that are kept, indexes, and the blobs: tensors, parts and chunks.

    Blocks and blobs are deflated where that makes them smaller. Plain bytes are those that fees and limits
    count, stored bytes those that the disk holds. The command reads all of them and changes nothing.
    """
    from engram.node.chain.maintenance import measure_data_dir

    result = measure_data_dir(session.config).to_json()
    session.show(result, result.items())


@command.command("reindex", example="engram db reindex\nengram db reindex --yes")
@click.option("--yes", is_flag=True, help="Go on although blocks are lost.")
@with_offline_session
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
    from engram.commands.support.exitcodes import DATA
    from engram.node.chain.maintenance import block_files_of, reindex_data_dir

    files = _amount(block_files_of(session.config))
    session.note(f"reading {files}, to see whether blocks would be lost")
    session.note("if none are, every block in them is executed again, into a new database")
    done = reindex_data_dir(session.config, by_tenths(session.note), allow_loss=yes)
    session.show(done.to_json(), done.to_json().items())
    if done.blocks_lost:
        click.get_current_context().exit(DATA)


@command.command("prune", example="engram db prune")
@with_offline_session
def prune(session: CommandSession) -> None:
    """Delete all old states at once and give their room back to the disk.

    A node does this by itself, a few states after each block. Use it after you have taken the setting archive
    back, or to see what a directory takes at the least. The bodies of the best chain's blocks stay.
    """
    _compacted(session, prune=True)


@command.command("compact", example="engram db compact")
@with_offline_session
def compact(session: CommandSession) -> None:
    """Give the room of deleted rows, and of bodies of losing branches, back to the disk.

    Nothing is deleted that the node knows.
    """
    _compacted(session, prune=False)


@command.command("snapshot", example="engram db snapshot\nengram db snapshot -o state.snapshot --height 1200")
@click.option(
    "--height",
    type=click.IntRange(1),
    help="The block after which the state is. Default: 100 below the head; on a chain of less than 200 "
    "blocks, the one in the middle.",
)
@output_option("state.snapshot")
@with_offline_session
def snapshot(session: CommandSession, height: int | None, output: Path, force: bool) -> None:
    """Write the state at a height to a file from which another node can begin.

    The file holds all headers up to the head, the records of the state and the content that they name. Tell
    the other node's operator the id of a recent block, so that they need not trust the file.
    """
    from engram.node.chain.maintenance import snapshot_data_dir

    check_free(output, force=force)
    result = {**snapshot_data_dir(session.config, output, height).to_json(), "file": str(output)}
    session.show(result, result.items())


@command.command(
    "restore",
    example="engram db restore state.snapshot --checkpoint 00b1f2…\n"
    "engram db restore state.snapshot --min-work 3000000",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--checkpoint", type=HASH, help="Id of a block that you trust, at or after the state's block.")
@click.option("--min-work", type=click.IntRange(1), help="The least work on top of the state.")
@with_offline_session
def restore(session: CommandSession, file: Path, checkpoint: bytes | None, min_work: int | None) -> None:
    """Begin the chain of a new data directory with a snapshot.

    Make the directory with `engram init` first. Every header is checked with its work, and the state with the
    root in its block's header; nothing is changed before all is verified. A node that starts afterwards
    follows its peers from there, and fetches the bodies of the earlier blocks in the background.
    """
    import time

    from engram.node.chain.maintenance import restore_data_dir

    now_ms = time.time_ns() // 1_000_000
    result = restore_data_dir(session.config, file, now_ms, checkpoint, min_work or 0).to_json()
    session.show(result, result.items())


def _amount(files: tuple[int, int]) -> str:
    """So many block files, and how large they are together."""
    count, size_bytes = files
    return f"{count} block file{'' if count == 1 else 's'} ({format_bytes(size_bytes)})"


def _compacted(session: CommandSession, *, prune: bool) -> None:
    from engram.node.chain.maintenance import compact_data_dir

    before, after = compact_data_dir(session.config, prune=prune)
    result = {"bytes_before": before, "bytes_after": after}
    session.show(result, result.items())
