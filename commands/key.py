"""`engram key`: the encrypted keys of a data directory, and the node's own."""

from __future__ import annotations

import sys

import click

from engram.commands.support.errors import SeedInvalid
from engram.commands.support.options import Group, with_key, with_passphrase, with_session
from engram.commands.support.output import Column
from engram.commands.support.session import CommandSession


@click.group("key", cls=Group)
def command() -> None:
    """Make, list and import account keys."""


@command.command("new", example="engram key new alice\nengram key new bob --passphrase-file secret.txt")
@click.argument("name")
@with_passphrase
@with_session
def new(session: CommandSession, name: str) -> None:
    """Make a random key, encrypted under a passphrase, and print its address."""
    _create(session, name, seed=None)


@command.command("import-seed", example="engram key import-seed alice < seed.hex")
@click.argument("name")
@with_passphrase
@with_session
def import_seed(session: CommandSession, name: str) -> None:
    """Make a key from a 32-byte seed, read as 64 hexadecimal digits from standard input."""
    stdin = sys.stdin
    prompted = stdin.isatty()
    text = str(click.prompt("Seed", hide_input=True, err=True)) if prompted else stdin.readline()
    try:
        seed = bytes.fromhex(text.strip())
    except ValueError as error:
        raise SeedInvalid(str(error)) from error
    if len(seed) != 32:
        raise SeedInvalid(expected=64, got=len(text.strip()))
    _create(session, name, seed)


@command.command("list", example="engram key list")
@with_session
def list_keys(session: CommandSession) -> None:
    """List the keys: names, addresses, files. Needs no passphrase."""
    columns = (
        Column("name", lambda row: row["name"]),
        Column("address", lambda row: row["address"], whole=True),
        Column("file", lambda row: row["file"], whole=True),
    )
    rows = [
        {"name": entry.name, "address": session.address(entry.name), "file": str(entry.path)}
        for entry in session.keystore.entries()
    ]
    session.show_rows(rows, columns, "no keys yet: make one with `engram key new NAME`")


@command.command("show", example="engram key show alice\nengram key show alice --public-key")
@click.argument("name", required=False)
@click.option("--public-key", is_flag=True, help="Show the public key too; asks for the passphrase.")
@with_key
@with_session
def show(session: CommandSession, name: str | None, public_key: bool) -> None:
    """Show one key's address and file; by default the only key's."""
    entry = session.key_entry(name)
    result = {"name": entry.name, "address": session.address(entry.name), "file": str(entry.path)}
    if public_key:
        result["public_key"] = session.unlock(name).public_key.hex()
    session.show(result, result.items())


@command.command("node", example="engram key node")
@with_session
def node(session: CommandSession) -> None:
    """Show the public key that names the node of the data directory to its peers."""
    from engram.node.datadir import NODE_KEY_NAME
    from engram.node.keystore import load_node_key

    path = session.config.data_dir / NODE_KEY_NAME
    result = {"node_id": load_node_key(path).public_key.hex(), "file": str(path)}
    session.show(result, result.items())


def _create(session: CommandSession, name: str, seed: bytes | None) -> None:
    from engram.node.errors import KeyExists

    keystore = session.keystore
    if keystore.path_of(name).exists():
        raise KeyExists(f"there is a key named {name} already; choose another name", got=name)
    entry = keystore.create(name, session.passphrase(f"New passphrase of {name}", confirm=True), seed=seed)
    result = {"name": entry.name, "address": session.address(entry.name), "file": str(entry.path)}
    session.show(result, result.items())
