"""`engram miner`: the node's miner. All but `status` need the token of its data directory."""

from __future__ import annotations

import click

from engram.commands.output import Column, short
from engram.commands.session import Group, Session, choosing_key, with_session


@click.group("miner", cls=Group)
def command() -> None:
    """Start, stop and drive the node's miner."""


@command.command("status", example="engram miner status")
@with_session
def status(session: Session) -> None:
    """Show whether the node mines, for whom and how fast."""
    result = session.call("miner_status")
    session.show(result, result.items())


@command.command("start", example="engram miner start --key miner\nengram miner start --address leng1…")
@click.option("--address", help="Who gets the rewards: an address or a key; default: --key, or as set up.")
@click.option("--max-hashes-per-s", type=click.IntRange(0), help="Limit of all threads together; 0 is none.")
@choosing_key
@with_session
def start(session: Session, address: str | None, max_hashes_per_s: int | None) -> None:
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
def stop(session: Session) -> None:
    """Stop mining."""
    result = session.call("miner_stop", admin=True)
    session.show(result, result.items())


@command.command("mine", example="engram miner mine 10")
@click.argument("blocks", type=click.IntRange(1), default=1)
@with_session
def mine(session: Session, blocks: int) -> None:
    """Mine a number of blocks now, one by default, and list them."""
    columns = (
        Column("height", lambda row: row["height"], right=True),
        Column("id", lambda row: row["id"]),
        Column("state root", lambda row: short(row["state_root"])),
    )
    session.show_rows(session.call("miner_mine", admin=True, blocks=blocks), columns, "no block found")
