"""`engram chain`: shows a node's chain (head, blocks, headers, ChainSpec) and waits for blocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from engram.commands import chain_files
from engram.commands.support.errors import WaitTimedOut
from engram.commands.support.lookup import check_beginning
from engram.commands.support.options import Group, with_session
from engram.commands.support.output import ID_DIGITS, Column, short
from engram.commands.support.param_types import RealNumber
from engram.commands.support.session import CommandSession
from engram.commands.support.units import in_coins, node_fields, without_work
from engram.participant.finding import find_id

if TYPE_CHECKING:
    from engram.node.client import RpcClient
    from engram.participant.view import ChainView

T = TypeVar("T")

START_POLL_S: Final = 0.25
MOST_SECONDS: Final = 10**9
"""The longest time that a wait takes, about thirty years: a clock counts so far without fail."""


@click.group("chain", cls=Group, example="engram chain info\nengram chain block 7")
def command() -> None:
    """Show the chain: head, blocks, headers, rules; carry its blocks as a file.

    The commands ask one node and show the chain as that node has it; only `export`, `import` and `verify`
    read the data of a node that does not run.
    """


@command.command("info", example="engram chain info\nengram chain info --rpc http://127.0.0.1:8645 --json")
@with_session
def info(session: CommandSession) -> None:
    """Show the node, its chain and its head.

    Among others this shows the node's version and public key, the chain's name and id, the best block and the
    number of peers.
    """
    result = session.call("node_info")
    session.show(result, node_fields(result))


@command.command("head", example="engram chain head --json")
@with_session
def head(session: CommandSession) -> None:
    """Show the head: the header of the last block of the node's best chain, with its id and height.

    The best chain is the one with the most work behind it. "ticks" counts the blocks that were not crowded;
    deadlines of rounds are counted in them. "exponent" says how often crowded blocks have raised minimum
    fees, by an eighth each time.
    """
    result = session.call("chain_head")
    session.show(result, _dated(result))


@command.command("header", example="engram chain header 7\nengram chain header 00b1f2…")
@click.argument("block")
@with_session
def header(session: CommandSession, block: str) -> None:
    """Show the header of a block.

    BLOCK is a height, or the first four or more digits of a block's id.
    """
    result = _ask(session, "chain_header", block)
    session.show(result, _dated(result))


@command.command("block", example="engram chain block 7\nengram chain block 7 --json")
@click.argument("block")
@with_session
def show_block(session: CommandSession, block: str) -> None:
    """Show a block with its transactions and receipts.

    BLOCK is a height, or the first four or more digits of a block's id. Amounts are shown in coins; with
    --json they are in sparks, of which a coin has 100,000,000.
    """
    result = _ask(session, "chain_block", block)
    session.show(result, [(name, in_coins(value)) for name, value in _dated(result)])


@command.command("headers", example="engram chain headers --last 5")
@click.option("--first", type=click.IntRange(0), help="Height of the first header. Default: the last ones.")
@click.option(
    "--last", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many headers to list."
)
@with_session
def headers(session: CommandSession, first: int | None, last: int) -> None:
    """List the headers of the last blocks, or of the blocks from a height on.

    Without --first, the list ends at the head. With --first, it begins at that height and has at most --last
    headers.
    """

    async def action(client: RpcClient) -> list[dict[str, Any]]:
        height = int((await client.call("chain_head"))["height"])
        start = max(0, height - last + 1) if first is None else first
        found: list[dict[str, Any]] = await client.call("chain_headers", first=start, count=last)
        return found

    columns = (
        Column("height", lambda row: row["height"], right=True),
        Column("id", lambda row: short(row["id"])),
        Column("time", lambda row: _date(row["timestamp_ms"])),
        Column("miner", lambda row: row["miner"]),
        Column("state root", lambda row: short(row["state_root"]), spare=1),
    )
    session.show_rows(session.run(action), columns, "no blocks at these heights")


@command.command("reorgs", example="engram chain reorgs\nengram chain reorgs --json")
@with_session
def reorgs(session: CommandSession) -> None:
    """List the last reorganisations since the node started, the latest first.

    In a reorganisation the best chain changes to another branch with more work. "left" counts the blocks
    that lost their place; their transactions wait again, unless the new branch has them.
    """
    columns = (
        Column("time", lambda row: _date(row["time_ms"])),
        Column("fork at", lambda row: row["fork_height"], right=True),
        Column("left", lambda row: row["blocks_left"], right=True),
        Column("joined", lambda row: row["blocks_joined"], right=True),
        Column("old head", lambda row: short(row["old_head"])),
        Column("new head", lambda row: short(row["new_head"])),
    )
    session.show_rows(session.call("chain_reorgs"), columns, "no reorganisation since the node started")


@command.command("spec", example="engram chain spec > chain.json")
@with_session
def spec(session: CommandSession) -> None:
    """Print the ChainSpec as JSON: every constant that defines the chain.

    Save the output in a file: `engram init --spec FILE` makes a data directory for the same chain from it.
    """
    from engram.commands.support.output import print_json

    print_json(session.call("chain_spec"))


@command.command(
    "wait",
    example="engram chain wait --height 100\nengram chain wait --blocks 3\n"
    "engram chain wait --blocks 1 --timeout 600",
)
@click.option("--height", type=click.IntRange(0), help="Wait until the head has this height.")
@click.option("--blocks", type=click.IntRange(1), help="Wait until this many blocks have been added.")
@click.option(
    "--timeout",
    "timeout_s",
    type=RealNumber(0, MOST_SECONDS),
    metavar="SECONDS",
    help="Give up after so many seconds, with status 75 and the error wait_timed_out. Until then, a node "
    "that does not answer yet is waited for, too. Default: never, and a node must answer.",
)
@with_session
def wait(session: CommandSession, height: int | None, blocks: int | None, timeout_s: float | None) -> None:
    """Wait until the chain has grown, then show its head.

    Give either --height or --blocks. The node tells the command of each new block, so the command ends as
    soon as the head is high enough. Without --timeout there is no time limit.

    In a script that has just started a node, give --timeout.
    """
    if (height is None) == (blocks is None):
        raise click.UsageError("give either --height or --blocks", click.get_current_context())

    begun_s = time.monotonic()
    target = height

    async def action(client: RpcClient) -> dict[str, Any]:
        from engram.participant.view import ChainView

        nonlocal target
        view = ChainView(client)
        start = await view.height()
        if target is None:
            target = start + (blocks or 0)
        if start < target:
            await _waited(view, target, timeout_s, begun_s)
        head: dict[str, Any] = await client.call("chain_head")
        return head

    result = _of_a_node_that_starts(lambda: session.run(action), timeout_s, begun_s)
    session.show(result, _dated(result))


def _of_a_node_that_starts(ask: Callable[[], T], timeout_s: float | None, begun_s: float) -> T:
    """What `ask` gives, once a node answers; without a time limit it must answer at once."""
    from engram.node.errors import NodeUnreachable

    while True:
        try:
            return ask()
        except NodeUnreachable:
            if timeout_s is None or time.monotonic() - begun_s >= timeout_s:
                raise
            time.sleep(START_POLL_S)


async def _waited(view: ChainView, target: int, timeout_s: float | None, begun_s: float) -> None:
    """Waits until the head has this height.

    Raises `WaitTimedOut` `timeout_s` seconds after `begun_s`, or never if `timeout_s` is None.
    """
    import asyncio

    left_s = None if timeout_s is None else begun_s + timeout_s - time.monotonic()
    try:
        async with asyncio.timeout(left_s):
            await view.wait_height(target)
    except TimeoutError:
        height = await view.height()
        raise WaitTimedOut(
            f"after {timeout_s:g} seconds the head has the height {height}, and {target} is waited for; "
            "`engram status` says whether blocks are made, and a larger --timeout waits longer",
            expected=target,
            got=height,
        ) from None


def _ask(session: CommandSession, method: str, block: str) -> Any:
    """The node's answer to `method` about a block, named by its height or the beginning of its id.

    Decimal digits are a height, unless there are 64 of them: then they are an id.
    """

    is_height = block.isascii() and block.isdecimal() and len(block) < ID_DIGITS
    if not is_height:
        check_beginning("block", block)

    async def action(client: RpcClient) -> Any:
        if is_height:
            return await client.call(method, height=int(block))
        return await client.call(method, id=await find_id(client, "block", block))

    return session.run(action)


def _dated(record: dict[str, Any]) -> list[tuple[str, object]]:
    """The fields of a header for people, and its timestamp as a date that they can read."""
    return [
        *without_work(record, has_work=record["has_work"]).items(),
        ("time", _date(record["timestamp_ms"])),
    ]


def _date(timestamp_ms: int) -> str:
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).isoformat(" ", "milliseconds")


command.add_command(chain_files.export)
command.add_command(chain_files.import_)
command.add_command(chain_files.verify)
