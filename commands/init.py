"""`engram init`: makes a data directory: the chain's constants, settings, the node's key and token."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.options import Command, data_dir_option, json_flag
from engram.commands.support.session import CommandSession
from engram.commands.support.units import parse_coins

if TYPE_CHECKING:
    from engram.consensus.chainspec import Allocation, ChainSpec


class _Allocation(click.ParamType[tuple[str, int]]):
    """ADDRESS=COINS; its value is the address text and the sparks."""

    name = "allocation"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        address, equals, coins = str(value).partition("=")
        if not equals:
            self.fail(f"{value!r} is not ADDRESS=COINS", param, ctx)
        try:
            return address, parse_coins(coins)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Time(click.ParamType[int]):
    """An ISO 8601 time, UTC unless it says otherwise; its value is in milliseconds since 1970."""

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
    type=click.Choice(("local", "test", "main")),
    help="A chain that ships with Engram; default: local, a new chain for one machine.",
)
@click.option(
    "--spec",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A chain's constants, as `engram chain spec` prints them.",
)
@click.option(
    "--allocate",
    "allocations",
    type=_Allocation(),
    multiple=True,
    metavar="ADDRESS=COINS",
    help="Coins that an address of the local chain holds from genesis on; may be repeated.",
)
@click.option(
    "--genesis-time",
    "genesis_time_ms",
    type=_Time(),
    metavar="TIME",
    help="When the local chain begins, as 2026-11-01T12:00:00Z; default: now.",
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

    A directory that holds it already, or any local chain where no other is asked for, is left as it is.
    """
    from engram.node.datadir import make_data_dir

    if spec is not None and chain is not None:
        raise click.UsageError("say either --chain or --spec", click.get_current_context())
    if (spec is not None or chain in ("test", "main")) and (allocations or genesis_time_ms is not None):
        raise click.UsageError(
            "--allocate and --genesis-time are for the local chain only", click.get_current_context()
        )
    session = CommandSession(as_json=as_json, data_dir=data_dir)
    chosen = None
    if spec is None and chain in (None, "local") and not allocations and genesis_time_ms is None:
        chosen = _standing_local(session.config.data_dir)
    if chosen is None:
        chosen = _chosen_spec(chain or "local", spec, allocations, genesis_time_ms)
    new = make_data_dir(session.config.data_dir, chosen)
    result = _facts(session.config.data_dir, chosen, new)
    session.show(result, result.items())
    if not new:
        session.note("the chain is already there; nothing was changed")


def _standing_local(data_dir: Path) -> ChainSpec | None:
    """The local chain that the directory holds: any is what was asked for. Raises `BadSpec`."""
    from engram.node.datadir import read_spec
    from engram.node.errors import ChainNotFound

    try:
        found = read_spec(data_dir)
    except ChainNotFound:
        return None
    return found if found.name == "local" else None


def _chosen_spec(
    chain: str, file: Path | None, allocations: tuple[tuple[str, int], ...], genesis_time_ms: int | None
) -> ChainSpec:
    """Raises `BadSpec`, `BadAddress`."""
    from engram.consensus import chainspec

    if file is not None:
        return chainspec.load_spec(file.read_text("utf-8"))
    if chain == "local":
        begin_ms = time.time_ns() // 1_000_000 if genesis_time_ms is None else genesis_time_ms
        empty = chainspec.local((), begin_ms)
        return chainspec.local(tuple(_allocation(*entry, empty.hrp) for entry in allocations), begin_ms)
    return {"test": chainspec.test, "main": chainspec.main}[chain]()


def _allocation(address: str, sparks: int, hrp: str) -> Allocation:
    from engram.consensus.chainspec import Allocation
    from engram.primitives.keys import parse_address

    return Allocation(parse_address(address, hrp), sparks)


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
