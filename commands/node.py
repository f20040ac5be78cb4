"""`engram node`: shows the running node, changes how much it logs, and stops it."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support.errors import StillRunning
from engram.commands.support.options import Group, with_session
from engram.commands.support.output import Column
from engram.commands.support.session import CommandSession
from engram.commands.support.units import node_fields

if TYPE_CHECKING:
    from engram.node.client import RpcClient
    from engram.node.datadir import RunInfo

STOP_POLL_S: Final = 0.05
STOP_PATIENCE_S: Final = 120.0


@click.group("node", cls=Group, example="engram node info\nengram node stop")
def command() -> None:
    """Show, adjust and stop the running node.

    All commands but `info` change the node or show what only its operator may see, so they need the token in
    its data directory. `engram status` shows how the node fares.
    """


@command.command("info", example="engram node info\nengram node info --json")
@with_session
def info(session: CommandSession) -> None:
    """Show the node: its version, public key, chain, head, ports and data directory.

    "rss_bytes" is the memory that the process has in RAM; "uptime_s" counts the seconds since its start.
    """
    result = session.call("node_info")
    session.show(result, node_fields(result))


@command.command("stop", example="engram node stop\nengram node stop --no-wait")
@click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    help="Wait until the process has ended, if it runs on this machine.",
)
@with_session
def stop(session: CommandSession, wait: bool) -> None:
    """Stop the node in good order, as Ctrl-C does.

    Nothing that the node has acknowledged is lost. "height" is that of the head which it has left; with
    --no-wait, that of the head which it had when it was asked. Another node can use the data directory as
    soon as the command has ended.
    """
    from engram.node.datadir import find_run_info

    running = find_run_info(session.data_dir)
    asked: dict[str, Any] = {}

    async def action(client: RpcClient) -> None:
        asked.update(await client.call("node_info"))
        await client.call("node_stop")

    session.run(action, admin=True)
    here = running if running is not None and running.node_id == asked["node_id"] else None
    if wait and here is not None:
        _until_ended(session, here)
    ended = wait and here is not None
    left = _height_left(session) if ended else None
    height = asked["head"]["height"] if left is None else left
    result = {"node_id": asked["node_id"], "height": height, "ended": ended}
    session.show(result, result.items())


def _height_left(session: CommandSession) -> int | None:
    """The height of the head in the database; None if another node has it already."""
    from engram.node.storage.db import LevelDatabase
    from engram.node.storage.rows import opened_tip
    from engram.node.storage.schema import TIP
    from engram.node.storage.swap import DATABASE_DIRECTORY
    from engram.primitives.errors import StorageError

    try:
        database = LevelDatabase(session.data_dir / DATABASE_DIRECTORY)
    except StorageError:
        return None
    try:
        raw = database.get(TIP)
        return None if raw is None else opened_tip(raw).height
    finally:
        database.close()


def _until_ended(session: CommandSession, here: RunInfo) -> None:
    """Returns once the process is gone. Raises `StillRunning` if it is not after two minutes."""
    from engram.node.datadir import find_run_info

    end_s = time.monotonic() + STOP_PATIENCE_S
    while find_run_info(session.data_dir) == here:
        if time.monotonic() > end_s:
            raise StillRunning(got=here.pid)
        time.sleep(STOP_POLL_S)


@command.command("log-level", example="engram node log-level debug\nengram node log-level")
@click.argument("level", required=False)
@with_session
def log_level(session: CommandSession, level: str | None) -> None:
    """Show or change how much the running node writes into its log.

    LEVEL is debug, info, warning or error. It holds until the node stops; the setting log_level decides with
    which level it starts. Without LEVEL, the command shows the present one.
    """
    result = session.call("node_log_level", admin=True, level=level)
    session.show(result, result.items())


@command.command(
    "profile", example="engram node profile\nengram node profile --seconds 30 --json > profile.json"
)
@click.option(
    "--seconds", type=click.IntRange(1, 30), default=10, show_default=True, help="How long to look."
)
@click.option(
    "--top", type=click.IntRange(1), default=20, show_default=True, help="How many functions to list."
)
@with_session
def profile(session: CommandSession, seconds: int, top: int) -> None:
    """Show where the running node spends its time, from a hundred looks a second at its threads.

    "self" counts the looks at which a thread was in the function itself, "all" also those in what it called,
    both as a share of the time. With --json, whole stacks are printed, from the outermost function to the
    innermost. Threads that wait for work are left out.
    """
    found = session.call("node_profile", admin=True, seconds=seconds)
    looks = max(1, round(seconds / found["every_s"]))
    inner: Counter[str] = Counter()
    outer: Counter[str] = Counter()
    for stack, count in found["stacks"].items():
        functions = stack.split(";")[1:]
        inner[functions[-1]] += count
        outer.update(dict.fromkeys(functions, count))
    rows = [(name, count, outer[name]) for name, count in inner.most_common(top)]
    columns = (
        Column("self", lambda row: f"{100 * row[1] / looks:.1f} %", right=True),
        Column("all", lambda row: f"{100 * row[2] / looks:.1f} %", right=True),
        Column("function", lambda row: row[0], whole=True),
    )
    if session.as_json:
        session.show(found, ())
    else:
        session.show_rows(rows, columns, "no thread had anything to do")
