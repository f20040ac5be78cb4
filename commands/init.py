"""`engram init`: makes a data directory with a chain's constants, settings, and the node's key and token."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.options import Command, data_dir_option, json_flag
from engram.commands.support.session import CommandSession
from engram.participant.coins import parse_coins

if TYPE_CHECKING:
    from engram.consensus.chainspec import Allocation, ChainSpec


class _Allocation(click.ParamType[tuple[str, int]]):
    """A click parameter ACCOUNT=COINS; its value is the account as text and the amount in sparks."""

    name = "allocation"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        account, equals, coins = str(value).partition("=")
        if not equals:
            self.fail(f"{value!r} is not ACCOUNT=COINS, such as alice=1000", param, ctx)
        try:
            return account, parse_coins(coins)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Time(click.ParamType[int]):
    """A click parameter for an ISO 8601 time; its value is in milliseconds since 1970.

    A time without a zone is taken as UTC.
    """

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2026-11-01T12:00:00Z", param, ctx)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)


@click.command(
    "init",
    cls=Command,
    example="engram init\n"
    "engram init --chain test --data-dir ~/testnet\n"
    "engram init --spec chain.json --data-dir ~/node2",
)
@click.option(
    "--chain",
    type=click.Choice(("local", "consortium", "cluster", "dev", "test", "main")),
    help="A chain that Engram knows. Default: local, a new chain for this machine. consortium is a new chain "
    "for institutions that know each other, cluster the same for nodes with a graphics card, dev one for "
    "development, whose blocks cost no work.",
)
@click.option(
    "--spec",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A file with a chain's constants, as `engram chain spec` prints them.",
)
@click.option(
    "--allocate",
    "allocations",
    type=_Allocation(),
    multiple=True,
    metavar="ACCOUNT=COINS",
    help="Coins that an account, an address or the name of a key of the data directory, holds from the first "
    "block of a new chain on; may be repeated.",
)
@click.option(
    "--genesis-time",
    "genesis_time_ms",
    type=_Time(),
    metavar="TIME",
    help="When the new chain begins, such as 2026-11-01T12:00:00Z. Default: now.",
)
@data_dir_option
@json_flag
def command(
    as_json: bool,
    data_dir: Path | None,
    chain: str | None,
    spec: Path | None,
    allocations: tuple[tuple[str, int], ...],
    genesis_time_ms: int | None,
) -> None:
    """Make a data directory for a chain.

    The directory gets the chain's constants, a settings file with comments (engram.toml), and the node's own
    key and token; `engram run` then starts the node. Nothing is changed if the directory holds the chain
    already. Without options, any local chain in the directory counts as the chain asked for.
    """
    from engram.node.datadir import make_data_dir

    if spec is not None and chain is not None:
        raise click.UsageError("give either --chain or --spec, not both", click.get_current_context())
    if (spec is not None or chain in ("test", "main")) and (allocations or genesis_time_ms is not None):
        raise click.UsageError(
            "--allocate and --genesis-time are for a new chain: local, consortium, cluster or dev",
            click.get_current_context(),
        )
    session = CommandSession(as_json=as_json, data_dir=data_dir)
    chosen = None
    if spec is None and chain in (None, "local") and not allocations and genesis_time_ms is None:
        chosen = _standing_local(session.data_dir)
    if chosen is None:
        chosen = _chosen_spec(session, chain or "local", spec, allocations, genesis_time_ms)
    new = make_data_dir(session.data_dir, chosen)
    result = _facts(session.data_dir, chosen, new)
    session.show(result, result.items())
    if not new:
        session.note("the chain is already there; nothing was changed")


def _standing_local(data_dir: Path) -> ChainSpec | None:
    """The local chain that the directory holds; None if it holds none or another chain. Raises `BadSpec`.

    Every `engram init` would make a new local chain, because its beginning is the present time. So that a
    second call is harmless, a call without options accepts the local chain that is there.
    """
    from engram.node.datadir import read_spec
    from engram.node.errors import ChainNotFound

    try:
        found = read_spec(data_dir)
    except ChainNotFound:
        return None
    return found if found.name == "local" else None


def _chosen_spec(
    session: CommandSession,
    chain: str,
    file: Path | None,
    allocations: tuple[tuple[str, int], ...],
    genesis_time_ms: int | None,
) -> ChainSpec:
    """The constants of the chain that the options ask for. Raises `BadSpec`, `BadAddress`."""
    from engram.consensus import chainspec
    from engram.node.datadir import read_spec_file

    if file is not None:
        return read_spec_file(file, pipes=True)
    make = chainspec.NEW_CHAINS.get(chain)
    if make is not None:
        begin_ms = time.time_ns() // 1_000_000 if genesis_time_ms is None else genesis_time_ms
        hrp = make((), begin_ms).hrp
        return make(tuple(_allocation(session, *entry, hrp) for entry in allocations), begin_ms)
    return chainspec.PUBLIC_CHAINS[chain]()


def _allocation(session: CommandSession, account: str, sparks: int, hrp: str) -> Allocation:
    """The coins of an account. Raises `BadAddress`."""
    from engram.consensus.chainspec import Allocation
    from engram.primitives.errors import BadAddress
    from engram.primitives.keys import parse_address

    known = {entry.name: entry.address for entry in session.key_entries()}
    if account in known:
        return Allocation(known[account], sparks)
    if not account.lower().startswith(f"{hrp}1"):
        there = ", ".join(sorted(known)) or "none"
        raise BadAddress(
            f"this is neither an address of the new chain ({hrp}1…) nor the name of a key of the data "
            f"directory; the keys are: {there}",
            got=account,
        )
    return Allocation(parse_address(account, hrp), sparks)


def _facts(data_dir: Path, spec: ChainSpec, new: bool) -> dict[str, Any]:
    from engram.consensus.chainspec import chain_id, spec_id
    from engram.consensus.genesis import genesis
    from engram.node.datadir import NODE_KEY_NAME
    from engram.node.keystore import load_node_key

    return {
        "data_dir": str(data_dir),
        "new": new,
        "name": spec.name,
        "hrp": spec.hrp,
        "chain_id": chain_id(spec),
        "spec_id": spec_id(spec).hex(),
        "genesis": genesis(spec).id.hex(),
        "node_id": load_node_key(data_dir / NODE_KEY_NAME).public_key.hex(),
    }
