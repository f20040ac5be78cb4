"""`engram key`: makes, imports and shows the encrypted keys of a data directory, and the node's own key."""

from __future__ import annotations

import sys

import click

from engram.commands.support.errors import SeedInvalid
from engram.commands.support.options import Group, with_key, with_passphrase, with_session
from engram.commands.support.output import Column
from engram.commands.support.session import CommandSession


@click.group("key", cls=Group, example="engram key new alice\nengram key list")
def command() -> None:
    """Make, list and import account keys.

    A key owns one account: whoever holds it can spend the account's coins. The keys lie in the data
    directory, each in a file of its own that is encrypted with a passphrase.
    """


@command.command("new", example="engram key new alice\nengram key new bob --passphrase-file secret.txt")
@click.argument("name")
@with_passphrase
@with_session
def new(session: CommandSession, name: str) -> None:
    """Make a random key, encrypt it with a passphrase, and print its address.

    NAME is how other commands refer to the key. Without --passphrase-file and ENGRAM_PASSPHRASE, the command
    asks for a new passphrase. Nobody can recover a passphrase that is lost.
    """
    _create(session, name, seed=None)


@command.command("import-seed", example="engram key import-seed alice < seed.hex")
@click.argument("name")
@with_passphrase
@with_session
def import_seed(session: CommandSession, name: str) -> None:
    """Make a key from a seed that is read from standard input.

    The seed is the 32 bytes of an Ed25519 private key, written as 64 hexadecimal digits. In a terminal the
    command asks for it and does not show what is typed. The key is then stored as `engram key new` stores it.
    """
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
    """List the keys with their addresses and files. This needs no passphrase."""
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
@click.option("--public-key", is_flag=True, help="Show the public key too; this needs the passphrase.")
@with_key
@with_session
def show(session: CommandSession, name: str | None, public_key: bool) -> None:
    """Show the address and the file of one key.

    Without NAME, the command shows the key of --key, or the only key of the data directory.
    """
    entry = session.key_entry(name)
    result = {"name": entry.name, "address": session.address(entry.name), "file": str(entry.path)}
    if public_key:
        result["public_key"] = session.unlock(name).public_key.hex()
    session.show(result, result.items())


@command.command("node", example="engram key node")
@with_session
def node(session: CommandSession) -> None:
    """Show the node's own public key.

    The node has this key besides the account keys. Its peers know the node by it; it owns no coins.
    """
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
