"""`engram key`: makes, keeps and uses the encrypted keys of a data directory; shows the node's own key."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support import streams
from engram.commands.support.completion import complete_keys
from engram.commands.support.errors import SeedInvalid
from engram.commands.support.files import check_free
from engram.commands.support.options import (
    Group,
    json_flag,
    with_key,
    with_offline_session,
    with_passphrase,
    with_session,
)
from engram.commands.support.output import Column
from engram.commands.support.param_types import HEX
from engram.commands.support.session import CommandSession

if TYPE_CHECKING:
    from engram.node.keystore import KeyEntry, Keystore

NEW_PASSPHRASE: Final = "ENGRAM_NEW_PASSPHRASE"
_KEY = click.argument("name", shell_complete=complete_keys)
_CHAIN = click.option(
    "--chain",
    type=click.Choice(("local", "consortium", "cluster", "dev", "test", "main")),
    help="The chain whose addresses the key has, for a directory that holds no chain yet.",
)
_TEXT = (
    click.argument("text", required=False),
    click.option(
        "--file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Take the bytes of this file instead of TEXT.",
    ),
)


@click.group("key", cls=Group, example="engram key new alice\nengram key list")
def command() -> None:
    """Make, list, back up and use account keys.

    A key owns one account: whoever holds it can spend the account's coins. The keys lie in the data
    directory, each in a file of its own that is encrypted with a passphrase. They may be made before the
    directory holds a chain.
    """


@command.command(
    "new",
    example="engram key new alice\nengram key new bob --passphrase-file secret.txt\n"
    "engram key new carol --chain main",
)
@click.argument("name")
@_CHAIN
@with_passphrase
@with_session
def new(session: CommandSession, name: str, chain: str | None) -> None:
    """Make a random key, encrypt it with a passphrase, and print its address.

    NAME is how other commands refer to the key. Without --passphrase-file and ENGRAM_PASSPHRASE, the command
    asks for a new passphrase. Nobody can recover a passphrase that is lost.
    """
    _create(session, name, chain, seed=None)


@command.command("import-seed", example="engram key import-seed alice < seed.hex")
@click.argument("name")
@_CHAIN
@with_passphrase
@with_session
def import_seed(session: CommandSession, name: str, chain: str | None) -> None:
    """Make a key from a seed that is read from standard input.

    The seed is the 32 bytes of an Ed25519 private key, written as 64 hexadecimal digits. In a terminal the
    command asks for it and does not show what is typed. The key is then stored as `engram key new` stores it.
    """
    prompted = sys.stdin.isatty()
    text = str(click.prompt("Seed", hide_input=True, err=True)) if prompted else streams.read_line()
    try:
        seed = bytes.fromhex(text.strip())
    except ValueError as error:
        raise SeedInvalid(str(error)) from error
    if len(seed) != 32:
        raise SeedInvalid(expected=64, got=len(text.strip()))
    _create(session, name, chain, seed)


@command.command("import", example="engram key import alice alice.json")
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_session
def import_file(session: CommandSession, name: str, file: Path) -> None:
    """Add a key file that `engram key export` has written, or that was copied from another data directory.

    The file stays encrypted with its passphrase, which the command does not need.
    """
    from engram.node.files import read_plain
    from engram.node.keystore import MAX_FILE_BYTES

    _show(session, session.keystore.add(name, read_plain(file, MAX_FILE_BYTES, pipes=True)))


@command.command(
    "export", example="engram key export alice -o alice.json\nengram key export alice --seed -o alice.seed"
)
@_KEY
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to this file, which only you may read. Default: standard output.",
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option(
    "--seed", is_flag=True, help="Export the seed itself, unencrypted; this needs the passphrase. Guard it."
)
@with_passphrase
@with_session
def export(session: CommandSession, name: str, output: Path | None, force: bool, seed: bool) -> None:
    """Export a key, encrypted as it is, to back it up or to take it to another data directory.

    `engram key import` reads it; it opens with the same passphrase. With --seed, what is exported is the
    secret itself, for `engram key import-seed` or another program.
    """
    from engram.node.files import write_private

    if output is not None:
        check_free(output, force=force)
    entry = session.key_entry(name)
    content = (session.unlock(name).seed.hex() + "\n").encode() if seed else session.keystore.content(name)
    if output is None:
        click.echo(content.decode(), nl=False)
        return
    write_private(output, content)
    _show(session, entry, exported=str(output))


@command.command("passwd", example="engram key passwd alice")
@_KEY
@click.option(
    "--new-passphrase-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help=f"A file whose first line is the new passphrase. Default: the variable {NEW_PASSPHRASE}; if that is "
    "not set either, the command asks.",
)
@with_passphrase
@with_session
def passwd(session: CommandSession, name: str, new_passphrase_file: Path | None) -> None:
    """Change the passphrase of a key.

    The account and its address stay the same. Backups that were made before still open with the old
    passphrase: make a new one, and destroy them if somebody may know it.
    """
    entry = session.key_entry(name)
    old = session.passphrase(f"Passphrase of {name}")
    new = CommandSession(as_json=session.as_json, passphrase_file=new_passphrase_file)
    chosen = new.passphrase(f"New passphrase of {name}", confirm=True, variable=NEW_PASSPHRASE)
    session.keystore.change_passphrase(name, old, chosen)
    _show(session, entry)


@command.command("rename", example="engram key rename alice savings")
@_KEY
@click.argument("new_name")
@with_session
def rename(session: CommandSession, name: str, new_name: str) -> None:
    """Give a key another name. The account, its address and the passphrase stay the same.

    A setting such as miner_address that names the key must be changed by hand.
    """
    _show(session, session.keystore.rename(name, new_name))


@command.command(
    "sign", example='engram key sign alice "I run node 3"\nengram key sign alice --file terms.txt'
)
@_KEY
@_TEXT[0]
@_TEXT[1]
@with_passphrase
@with_session
def sign(session: CommandSession, name: str, text: str | None, file: Path | None) -> None:
    """Sign a text, to show others that you hold the key of an address.

    Nothing is sent to a node. The signature is no transaction and cannot become one; `engram key verify`
    checks it anywhere.
    """
    from engram.node.statements import sign_statement

    content = _content(text, file)
    entry = session.key_entry(name)
    signature = sign_statement(session.unlock(name), content).hex()
    result = {"address": entry.address_text, "signature": signature}
    session.show(result, result.items())


@command.command("verify", example='engram key verify eng1… 3fa2… "I run node 3"')
@click.argument("address")
@click.argument("signature", type=HEX)
@_TEXT[0]
@_TEXT[1]
@json_flag
def verify(address: str, signature: bytes, text: str | None, file: Path | None, as_json: bool) -> None:
    """Check that the key of an address has signed a text. This needs neither a node nor a key.

    The command ends with bad_signature if it has not, or if the text is another one.
    """
    from engram.node.keystore import prefix_of
    from engram.node.statements import verify_statement
    from engram.primitives.keys import parse_address

    verify_statement(parse_address(address, prefix_of(address)), signature, _content(text, file))
    result = {"address": address, "valid": True}
    CommandSession(as_json=as_json).show(result, result.items())


@command.command("list", example="engram key list")
@with_session
def list_keys(session: CommandSession) -> None:
    """List the keys with their addresses and files. This needs no passphrase."""
    columns = (
        Column("name", lambda row: row["name"]),
        Column("address", lambda row: row["address"], whole=True),
        Column("file", lambda row: row["file"], whole=True, spare=1),
    )
    rows = [
        {"name": entry.name, "address": entry.address_text, "file": str(entry.path)}
        for entry in session.key_entries(some=True)
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
    result = {"name": entry.name, "address": entry.address_text, "file": str(entry.path)}
    if public_key:
        result["public_key"] = session.unlock(name).public_key.hex()
    session.show(result, result.items())


@command.command("node", example="engram key node")
@with_offline_session
def node(session: CommandSession) -> None:
    """Show the node's own public key.

    The node has this key besides the account keys. Its peers know the node by it; it owns no coins.
    """
    from engram.node.datadir import NODE_KEY_NAME
    from engram.node.keystore import load_node_key

    path = session.data_dir / NODE_KEY_NAME
    result = {"node_id": load_node_key(path).public_key.hex(), "file": str(path)}
    session.show(result, result.items())


def _create(session: CommandSession, name: str, chain: str | None, seed: bytes | None) -> None:
    from engram.node.errors import KeyExists

    keystore = _keystore(session, chain)
    if keystore.path_of(name).exists():
        raise KeyExists(f"there is a key named {name} already; choose another name", got=name)
    passphrase = session.passphrase(f"New passphrase of {name}", confirm=True)
    _show(session, keystore.create(name, passphrase, seed=seed))


def _keystore(session: CommandSession, chain: str | None) -> Keystore:
    """The store for a new key, whose address has the prefix of the directory's chain, or else of `chain`."""
    from engram.consensus import chainspec
    from engram.node.datadir import KEYS_DIRECTORY, find_hrp
    from engram.node.keystore import Keystore

    data_dir = session.data_dir
    if chain is None:
        return Keystore(data_dir / KEYS_DIRECTORY, session.hrp)
    new = chainspec.NEW_CHAINS.get(chain)
    hrp = chainspec.PUBLIC_CHAINS[chain]().hrp if new is None else new((), 0).hrp
    if find_hrp(data_dir) not in (None, hrp):
        raise click.UsageError("--chain is for a directory of no chain", click.get_current_context())
    return Keystore(data_dir / KEYS_DIRECTORY, hrp)


def _content(text: str | None, file: Path | None) -> bytes:
    if (text is None) == (file is None):
        raise click.UsageError("give either TEXT or --file", click.get_current_context())
    if file is not None:
        return file.read_bytes()
    # The bytes that were typed, also where they are no UTF-8.
    return (text or "").encode("utf-8", "surrogateescape")


def _show(session: CommandSession, entry: KeyEntry, **more: str) -> None:
    result: dict[str, Any] = {
        "name": entry.name,
        "address": entry.address_text,
        "file": str(entry.path),
        **more,
    }
    session.show(result, result.items())
