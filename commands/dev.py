"""`engram dev`: moves the time of a chain for development, and takes it back to an earlier block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.lookup import check_beginning
from engram.commands.support.options import Group, with_session
from engram.commands.support.session import CommandSession
from engram.participant.finding import find_id, find_round

if TYPE_CHECKING:
    from engram.node.client import RpcClient


@click.group("dev", cls=Group, example="engram dev advance --phase reveal\nengram dev snapshot")
def command() -> None:
    """Move the time of a chain for development, and take it back.

    These commands work on a chain whose blocks cost no work, such as `engram run --dev` makes, and on no
    other.
    """


@command.command(
    "advance",
    example="engram dev advance --blocks 5\nengram dev advance --ticks 40\nengram dev advance --phase reveal",
)
@click.option("--blocks", type=click.IntRange(0), help="Make so many blocks. Default: 1.")
@click.option("--ticks", type=click.IntRange(0), help="Let so many ticks of the round clock pass.")
@click.option("--phase", help="Go on until the next block stands in this phase of the round, such as reveal.")
@click.option("--round", "round_id", help="The round whose phase is meant. Default: the one that goes on.")
@with_session
def advance(
    session: CommandSession, blocks: int | None, ticks: int | None, phase: str | None, round_id: str | None
) -> None:
    """Make blocks now, and so let time pass.

    Deadlines of rounds are counted in ticks, and each block that is not crowded is one. The blocks hold what
    waits in the mempool, and wait for no program that plays.

    After --phase, the "ticks" of the head are the first tick of the phase in the calendar that `engram round
    show` prints, or a later one if the phase had begun: the next block stands in the phase.
    """
    if sum(each is not None for each in (blocks, ticks, phase)) > 1:
        raise click.UsageError("--blocks, --ticks and --phase each say how far: give one of them.")
    if round_id is not None and phase is None:
        raise click.UsageError("--round belongs to --phase.")

    async def action(client: RpcClient) -> Any:
        if phase is None:
            given = {"ticks": ticks} if ticks is not None else {"blocks": 1 if blocks is None else blocks}
            return await client.call("dev_advance", **given)
        return await client.call("dev_advance", phase=phase, round=await find_round(client, round_id))

    _show(session, session.run(action, admin=True))


@command.command("snapshot", example="engram dev snapshot\nengram dev snapshot --json")
@with_session
def snapshot(session: CommandSession) -> None:
    """Show the head, to which `engram dev revert` can take the chain back later.

    The snapshot is the id of the block. It can be used as often as one likes, also after a restart of the
    node.
    """
    _show(session, session.call("dev_snapshot", admin=True))


@command.command("revert", example="engram dev revert 1b2f…")
@click.argument("block")
@with_session
def revert(session: CommandSession, block: str) -> None:
    """Take the chain back to a block; what came after is gone for good, and so is all that waits.

    BLOCK is the id of a block of the best chain, or its first four or more digits. It is refused while peers
    are connected, because they would bring the later blocks again.
    """
    check_beginning("block", block)

    async def action(client: RpcClient) -> Any:
        return await client.call("dev_revert", id=await find_id(client, "block", block))

    _show(session, session.run(action, admin=True))


def _show(session: CommandSession, head: dict[str, Any]) -> None:
    session.show(head, [(name, head[name]) for name in ("height", "id", "ticks")])
