"""`engram miner`: starts, stops and shows a node's miner.

All commands but `status` change the node, so they send the token that stands in its data directory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.options import Group, choosing_key, with_session
from engram.commands.support.output import Column, short
from engram.commands.support.session import CommandSession

if TYPE_CHECKING:
    from engram.node.client import RpcClient


@click.group("miner", cls=Group, example="engram miner start --key miner\nengram miner mine 10")
def command() -> None:
    """Start, stop and drive the node's miner.

    The miner makes blocks by proof of work and sends the rewards to one address. All commands but `status`
    change the node, so they need the token in its data directory.
    """


@command.command("status", example="engram miner status")
@with_session
def status(session: CommandSession) -> None:
    """Show whether the node mines, for which address, and with what result.

    "hashes" and "blocks" count the digests tried and the blocks found since the node started. "paused" means
    that the node first fetches a longer chain from its peers, and "waits" says why the miner waits, and what
    to do. "pace" is there on test networks only: "limit" is the height up to which all programs that play a
    round are ready, "programs" is their number at this node, and "muster" is how many must play before blocks
    without transactions are made. Once it is "met", "left" of them have left before they had finished.
    """
    result = session.call("miner_status")
    session.show(result, result.items())


@command.command("start", example="engram miner start --key miner\nengram miner start --address alice")
@click.option(
    "--address",
    help="Who receives the rewards: an address or a key's name. Default: --key, else the address as before.",
)
@click.option(
    "--max-hashes-per-s",
    type=click.IntRange(0),
    help="Most digests a second of all threads together; 0 means no limit. Default: as before.",
)
@choosing_key
@with_session
def start(session: CommandSession, address: str | None, max_hashes_per_s: int | None) -> None:
    """Start mining. The node goes on until `engram miner stop`, or until it is stopped itself.

    The node needs only the address that receives the rewards, never the private key.
    """
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
    """Stop mining. The node itself goes on running."""
    result = session.call("miner_stop", admin=True)
    session.show(result, result.items())


@command.command("mine", example="engram miner mine 10")
@click.argument("blocks", type=click.IntRange(1), default=1)
@with_session
def mine(session: CommandSession, blocks: int) -> None:
    """Mine a number of blocks now, one by default, and list them.

    This works while mining is off, too, but the node must know an address for the rewards. It is meant for
    local chains and tests, where blocks are cheap.
    """
    columns = (
        Column("height", lambda row: row["height"], right=True),
        Column("id", lambda row: short(row["id"])),
        Column("state root", lambda row: short(row["state_root"])),
    )

    async def action(client: RpcClient) -> list[dict[str, Any]]:
        # Ask for one block at a time: mining many could take longer than a request may.
        mined = [await client.call("miner_mine", blocks=1) for _ in range(blocks)]
        return [header for headers in mined for header in headers]

    session.show_rows(session.run(action, admin=True), columns, "no block found")


@command.command("muster", example="engram miner muster 3\nengram miner muster 0")
@click.argument("programs", type=click.IntRange(0))
@with_session
def muster(session: CommandSession, programs: int) -> None:
    """Make only blocks with transactions until so many programs play a round at once; 0 ends that.

    It is for test networks, whose blocks wait for the programs that play: `engram round run`, `engram round
    unseal` and each `engram participate` count as one. `engram round open --wait-for` asks for the same.

    Until the round has ended, the blocks then also wait for a program that leaves before it has finished, by
    Ctrl-C or a crash: give its command again, or let the blocks go on by `engram miner muster 0`.
    """
    result = session.call("miner_muster", programs=programs)
    session.show(result, result.items())
