"""`engram miner`: the node's miner. All but `status` need the token of its data directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.options import Group, choosing_key, with_session
from engram.commands.support.output import Column, short
from engram.commands.support.session import CommandSession

if TYPE_CHECKING:
    from engram.node.client import RpcClient


@click.group("miner", cls=Group)
def command() -> None:
    """Start, stop and drive the node's miner."""


@command.command("status", example="engram miner status")
@with_session
def status(session: CommandSession) -> None:
    """Show whether the node mines, for whom and how fast."""
    result = session.call("miner_status")
    session.show(result, result.items())


@command.command("start", example="engram miner start --key miner\nengram miner start --address leng1…")
@click.option("--address", help="Who gets the rewards: an address or a key; default: --key, or as set up.")
@click.option("--max-hashes-per-s", type=click.IntRange(0), help="Limit of all threads together; 0 is none.")
@choosing_key
@with_session
def start(session: CommandSession, address: str | None, max_hashes_per_s: int | None) -> None:
    """Mine until told to stop."""
    chosen = address or session.key
    result = session.call(
        "miner_start",
        admin=True,
        address=None if chosen is None else session.address(chosen),
        max_hashes_per_s=max_hashes_per_s,
    )
    session.show(result, result.items())


@command.command("stop", example="engram miner stop")
@with_session
def stop(session: CommandSession) -> None:
    """Stop mining."""
    result = session.call("miner_stop", admin=True)
    session.show(result, result.items())


@command.command("mine", example="engram miner mine 10")
@click.argument("blocks", type=click.IntRange(1), default=1)
@with_session
def mine(session: CommandSession, blocks: int) -> None:
    """Mine a number of blocks now, one by default, and list them."""
    columns = (
        Column("height", lambda row: row["height"], right=True),
        Column("id", lambda row: row["id"]),
        Column("state root", lambda row: short(row["state_root"])),
    )

    async def action(client: RpcClient) -> list[dict[str, Any]]:
        # One request a block: a long run would outlast the time that a request may take.
        mined = [await client.call("miner_mine", blocks=1) for _ in range(blocks)]
        return [header for headers in mined for header in headers]

    session.show_rows(session.run(action, admin=True), columns, "no block found")
