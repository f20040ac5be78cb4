"""`engram localnet`: a network of nodes on this machine, kept for playing by hand."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support.options import Group, json_flag, with_passphrase
from engram.commands.support.output import Column, short
from engram.commands.support.session import CommandSession
from engram.commands.support.units import COINS, SPARKS_PER_COIN

if TYPE_CHECKING:
    from engram.consensus.chainspec import ChainSpec

PASSPHRASE: Final = "localnet"
"""Opens the keys of a localnet where none is given: its coins are worth nothing."""
NAMES: Final = ("alice", "bob", "carol", "dave")


def _with_folder(function: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--dir",
        "folder",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        envvar="ENGRAM_LOCALNET",
        show_envvar=True,
        help="Where the network lives; "
        "default: `localnet` in ENGRAM_DATA_DIR, else in the platform's place for application data.",
    )(function)


@click.group("localnet", cls=Group)
def command() -> None:
    """A network of nodes on this machine: start, look, stop."""


@command.command(
    "up",
    example="engram localnet up --nodes 3\n"
    "engram localnet up --nodes 2 --fund erin --fund frank --dir /tmp/net",
)
@click.option("--nodes", type=click.IntRange(1, 32), help="Nodes of a new network; default: 4.")
@click.option(
    "--fund",
    "names",
    metavar="NAME",
    multiple=True,
    help=f"Key that holds coins from genesis on; may be repeated; default: {', '.join(NAMES)}.",
)
@click.option("--coins", type=COINS, help="What each of them holds; default: 1000.")
@click.option("--hashes-per-s", type=click.IntRange(1), help="Digests a second of all miners; default: 600.")
@_with_folder
@with_passphrase
@json_flag
def up(
    folder: Path | None,
    nodes: int | None,
    names: tuple[str, ...],
    coins: int | None,
    hashes_per_s: int | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Start the network of a directory, a new one if there is none; it runs until `engram localnet down`.

    Any of its keys can be used at any of its nodes: engram account show --data-dir DIR/node0 --key alice.
    """
    from engram.node.errors import LocalnetExists
    from engram.node.localnet import background
    from engram.node.localnet.localnet import HASHES_PER_S

    session = CommandSession(as_json=as_json, passphrase_file=passphrase_file)
    place = _folder(folder)
    asks_for_new = (nodes, coins, hashes_per_s) != (None, None, None) or names
    if not background.members(place):
        _make(
            session,
            place,
            nodes or 4,
            names or NAMES,
            coins or 1_000 * SPARKS_PER_COIN,
            hashes_per_s or HASHES_PER_S,
        )
    elif asks_for_new:
        raise LocalnetExists(got=str(place))
    background.up(place)
    _show(session, place)
    _say_how(session, place)


@command.command("status", example="engram localnet status\nengram localnet status --json")
@_with_folder
@json_flag
def status(folder: Path | None, as_json: bool) -> None:
    """Show every node: where it answers, its head, its peers."""
    _show(CommandSession(as_json=as_json), _folder(folder))


@command.command("down", example="engram localnet down\nengram localnet down --delete")
@click.option("--delete", is_flag=True, help="Delete the chain, the keys and everything else of it.")
@_with_folder
@json_flag
def down(folder: Path | None, delete: bool, as_json: bool) -> None:
    """Stop every node."""
    from engram.node.localnet import background

    place = _folder(folder)
    stopped = background.down(place)
    if delete:
        for data_dir in background.members(place):
            shutil.rmtree(data_dir)
        if not any(place.iterdir()):
            place.rmdir()
    result = {"dir": str(place), "stopped": stopped, "deleted": delete}
    CommandSession(as_json=as_json).show(result, result.items())


def _folder(given: Path | None) -> Path:
    return (given or CommandSession(as_json=True).config.data_dir / "localnet").resolve()


def _make(
    session: CommandSession, place: Path, nodes: int, names: tuple[str, ...], coins: int, hashes_per_s: int
) -> None:
    """A new network whose keys are in every node's directory, so that any node serves any of them."""
    from engram.consensus.chainspec import Allocation, local
    from engram.node.keystore import Keystore
    from engram.node.localnet import background
    from engram.primitives.keys import PrivateKey

    begin_ms = time.time_ns() // 1_000_000
    passphrase = session.given_passphrase()
    miners = [PrivateKey.generate(os.urandom(32)).address for _ in range(nodes)]
    with tempfile.TemporaryDirectory() as keys:
        keystore = Keystore(Path(keys), local((), begin_ms).hrp)
        holders = [keystore.create(name, PASSPHRASE if passphrase is None else passphrase) for name in names]
        spec: ChainSpec = local(tuple(Allocation(key.address, coins) for key in holders), begin_ms)
        background.make(place, spec, miners, hashes_per_s, Path(keys))


def _say_how(session: CommandSession, place: Path) -> None:
    """How the network that runs now is used."""
    from engram.node.datadir import KEYS_DIRECTORY
    from engram.node.localnet import background

    data_dir = background.members(place)[0]
    names = sorted(path.stem for path in (data_dir / KEYS_DIRECTORY).glob("*.json"))
    if names:
        session.note(f"try: engram account show --data-dir {quote(str(data_dir))} --key {names[0]}")
    if session.given_passphrase() is None:
        session.note(f"its keys sign with ENGRAM_PASSPHRASE={PASSPHRASE}, unless they were made with another")


def _show(session: CommandSession, place: Path) -> None:
    from dataclasses import asdict

    from engram.node.localnet import background

    rows = [asdict(row) for row in asyncio.run(background.status(place))]
    columns = (
        Column("node", lambda row: row["name"]),
        Column("pid", lambda row: row["pid"], right=True),
        Column("rpc", lambda row: row["rpc_url"], whole=True),
        Column("height", lambda row: _fact(row, "head", "height"), right=True),
        Column("head", lambda row: short(_fact(row, "head", "id") or "")),
        Column("peers", lambda row: _fact(row, "peers"), right=True),
        Column("mempool", lambda row: _fact(row, "mempool", "count"), right=True),
        Column("data directory", lambda row: row["data_dir"], whole=True),
    )
    session.show_rows(rows, columns, "no nodes")


def _fact(row: dict[str, Any], *path: str) -> Any:
    """A fact of what the node answered; None where it did not."""
    value = row["info"]
    for name in path:
        value = None if value is None else value[name]
    return value
