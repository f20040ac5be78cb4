"""`engram localnet`: starts, shows and stops a network of nodes on this machine, for playing by hand.

The nodes run in the background after the command has ended. How they are started and found again stands in
`node/localnet/background.py`.
"""

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

from engram.commands.support.options import Group, json_flag, with_known_passphrase
from engram.commands.support.output import Column, print_json, short
from engram.commands.support.session import CommandSession
from engram.commands.support.units import COINS
from engram.participant.coins import SPARKS_PER_COIN

if TYPE_CHECKING:
    from engram.consensus.chainspec import ChainSpec

PASSPHRASE: Final = "localnet"
"""Passphrase of a localnet's keys if the user gives none. It is no secret: the coins are worth nothing."""
NAMES: Final = ("alice", "bob", "carol", "dave")


def _with_folder(function: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--dir",
        "folder",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        envvar="ENGRAM_LOCALNET",
        show_envvar=True,
        help="The directory of the network. Default: `localnet` in ENGRAM_DATA_DIR, or else in the "
        "platform's directory for application data.",
    )(function)


@click.group(
    "localnet",
    cls=Group,
    example="engram localnet up --nodes 3\nengram localnet status\nengram localnet down --delete",
)
def command() -> None:
    """Start, show and stop a network of nodes on this machine.

    The nodes share a local chain, are connected to each other and mine. They run in the background until
    `engram localnet down`. To restart one of them, stop it by `engram node stop --data-dir DIR/node1` and
    give `engram localnet up` again, which starts those that do not run.
    """


@command.command(
    "up",
    example="engram localnet up --nodes 3\n"
    "engram localnet up --nodes 2 --fund erin --fund frank --dir /tmp/net",
)
@click.option("--nodes", type=click.IntRange(1, 32), help="How many nodes a new network has. Default: 4.")
@click.option(
    "--fund",
    "names",
    metavar="NAME",
    multiple=True,
    help="Name of a new key that holds coins from the first block on; may be repeated. "
    f"Default: {', '.join(NAMES)}.",
)
@click.option("--coins", type=COINS, help="Coins that each of these keys holds. Default: 1000.")
@click.option(
    "--hashes-per-s",
    type=click.IntRange(1),
    help="Digests a second of all miners together. Default: 600.",
)
@_with_folder
@with_known_passphrase("the passphrase of new keys is `localnet`")
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
    """Start the network of a directory, and make a new network if the directory holds none.

    Nodes that do not run are started; those that run stay as they are. The command ends once all are
    connected.

    The options --nodes, --fund, --coins and --hashes-per-s are for a new network; they are refused if the
    directory holds one already. Every node's directory holds every key, so any key can be used at any node:
    engram account show --data-dir DIR/node0 --key alice.
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
    if not asyncio.run(background.until_one(place)):
        session.note("the nodes are not connected to each other yet: `engram peer list` says of each why")
    _show(session, place)
    _say_how(session, place)


@command.command("status", example="engram localnet status\nengram localnet status --json")
@_with_folder
@json_flag
def status(folder: Path | None, as_json: bool) -> None:
    """Show every node: the address at which it answers, its head and its number of peers.

    A node that does not run or does not answer has no head.
    """
    session = CommandSession(as_json=as_json)
    rows = _show(session, _folder(folder))
    down = [row["name"] for row in rows if row["pid"] is None]
    if down:
        session.note(f"not running: {', '.join(down)}; `engram localnet up` starts what does not run")


@command.command("targets", example="engram localnet targets > targets.json")
@_with_folder
@json_flag
def targets(folder: Path | None, as_json: bool) -> None:
    """Print where the nodes serve their measurements, as a file for Prometheus (`file_sd_configs`).

    The file stays right while the network exists, whether its nodes run or not.
    """
    from engram.node.localnet import background

    rows = asyncio.run(background.status(_folder(folder)))
    for row in rows:
        if row.rpc_url is None:
            click.echo(f"engram: {row.name} is left out: {row.problem}", err=True)
    places = [row.rpc_url.removeprefix("http://") for row in rows if row.rpc_url is not None]
    print_json([{"targets": places}])


@command.command("down", example="engram localnet down\nengram localnet down --delete")
@click.option("--delete", is_flag=True, help="Also delete the network's chain, keys and all its other data.")
@_with_folder
@json_flag
def down(folder: Path | None, delete: bool, as_json: bool) -> None:
    """Stop every node of the network.

    Without --delete the data stay, and `engram localnet up` goes on with the same chain.
    """
    from engram.node.localnet import background

    place = _folder(folder)
    stopped = background.down(place)
    if delete:
        for data_dir in background.members(place):
            shutil.rmtree(data_dir)
        (place / background.NETWORK_NAME).unlink(missing_ok=True)
        if not any(place.iterdir()):
            place.rmdir()
    result = {"dir": str(place), "stopped": stopped, "deleted": delete}
    CommandSession(as_json=as_json).show(result, result.items())


def _folder(given: Path | None) -> Path:
    return (given or CommandSession(as_json=True).data_dir / "localnet").resolve()


def _make(
    session: CommandSession, place: Path, nodes: int, names: tuple[str, ...], coins: int, hashes_per_s: int
) -> None:
    """Makes a new network. Every node's directory gets a copy of every key, so any key works at any node."""
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
    """Tells the user how to use the network that runs now."""
    from engram.node.datadir import KEYS_DIRECTORY
    from engram.node.localnet import background

    data_dir = background.members(place)[0]
    names = sorted(path.stem for path in (data_dir / KEYS_DIRECTORY).glob("*.json"))
    if names:
        session.note(f"keys: {', '.join(names)}; each that the network was made with has coins")
        session.note(f"try: engram account show --data-dir {quote(str(data_dir))} --key {names[0]}")
    if session.given_passphrase() is None:
        session.note(f"set ENGRAM_PASSPHRASE={PASSPHRASE} to use its keys, unless you made them with another")


def _show(session: CommandSession, place: Path) -> list[dict[str, Any]]:
    """Shows the nodes, and returns their rows."""
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
    for row in rows:
        if row["problem"] is not None:
            session.note(f"{row['name']} cannot start again: {row['problem']}")
    return rows


def _fact(row: dict[str, Any], *path: str) -> Any:
    """One value of the node's answer, found by its path of names; None if the node did not answer."""
    value = row["info"]
    for name in path:
        value = None if value is None else value[name]
    return value
