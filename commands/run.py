"""`engram run`: runs a node in the foreground; every setting of `engram.toml` is also an option.

With --dev it first makes a chain for development in a directory that holds none. The node itself stands in
`engram.node`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.explore import page_of
from engram.commands.support import streams
from engram.commands.support.dev_chain import DEV_KEY, fork_dev_chain, make_dev_chain
from engram.commands.support.options import (
    Command,
    Function,
    data_dir_option,
    json_flag,
    with_known_passphrase,
)
from engram.commands.support.param_types import WholeNumber
from engram.commands.support.session import CommandSession
from engram.node.config import SETTINGS, Setting

if TYPE_CHECKING:
    from engram.node.config import Config
    from engram.node.datadir import RunInfo
    from engram.node.node import Node

SECTIONS: Final = {
    "Test networks": ("dev", "fork", "miner_waits", "miner_waits_at"),
    "Peers": (
        *("p2p_host", "p2p_port", "p2p_tls", "public_address", "peers", "seeds", "connect_only"),
        *("max_outbound", "max_inbound", "max_inbound_per_host", "max_inbound_per_group"),
    ),
    "Requests of other programs": tuple(each.name for each in SETTINGS if each.name.startswith("rpc_")),
    "Mining": ("mine", "miner_address", "miner_threads", "max_hashes_per_s"),
    "Computing": ("engine",),
    "What is kept": ("archive", "account_index", "mempool_bytes", "cache_bytes"),
    "Log": ("log_level", "log_format"),
}


def _setting_options(function: Function) -> Function:
    """Adds an option for every setting. An option that the user does not give is None or an empty tuple."""
    for setting in reversed(SETTINGS):
        function = _option(setting)(function)
    return function


def _option(setting: Setting) -> Callable[[Function], Function]:
    name, flag = setting.name, "--" + setting.name.replace("_", "-")
    if isinstance(setting.default, tuple):
        text = f"{setting.text} May be repeated."
        return click.option(flag.removesuffix("s"), name, multiple=True, help=text)
    if isinstance(setting.default, bool):
        flags = f"{flag}/--no-{flag.removeprefix('--')}"
        return click.option(flags, name, default=None, help=setting.text)
    kind: click.ParamType[Any] = click.STRING
    if setting.choices:
        kind = click.Choice(setting.choices)
    elif setting.limits is not None:
        kind = WholeNumber(*setting.limits)
    default = f"; default: {setting.default}." if setting.default != "" else "."
    return click.option(flag, name, type=kind, help=setting.text.removesuffix(".") + default)


@click.command(
    "run",
    cls=Command,
    example="engram run\n"
    "engram run --mine --miner-address alice --peer 192.0.2.7:8646\n"
    "engram run --dev --data-dir /tmp/dev\n"
    "engram run --dev --data-dir /tmp/copy --fork http://127.0.0.1:8645",
    sections=SECTIONS,
)
@click.option(
    "--dev",
    is_flag=True,
    help="Mine only while transactions wait or a round runs, and make no block before every program that "
    "plays the round is ready for it. Take free ports if those by default are taken. If the directory holds "
    "no chain, make a chain for development, whose blocks cost no work and whose coins belong to the new "
    "key `dev`.",
)
@click.option(
    "--fork",
    metavar="DIR|URL",
    help="With --dev, in a directory that holds no chain: begin with the accounts, models and rounds of "
    "another chain, after its last block. DIR is the data directory of a stopped node, URL the address of "
    "one that runs, such as http://127.0.0.1:8645.",
)
@_setting_options
@with_known_passphrase("the passphrase of the key that --dev makes is `dev`")
@data_dir_option
@json_flag
def command(
    as_json: bool,
    data_dir: Path | None,
    passphrase_file: Path | None,
    dev: bool,
    fork: str | None,
    **given: Any,
) -> None:
    """Run a node until Ctrl-C, SIGTERM or SIGHUP, which stop it with status 0.

    They do so also while it starts.

    The node keeps the chain of the data directory, answers requests of the other commands, and exchanges
    blocks and transactions with its peers. Make the directory with `engram init`, or let --dev make one.

    A setting is taken from its option, else from the environment (ENGRAM_RPC_PORT for --rpc-port), else from
    the file engram.toml in the data directory.
    """
    from engram.node.process import end_cleanly_until_it_runs, import_logging_alone, use_one_blas_thread

    end_cleanly_until_it_runs()
    use_one_blas_thread()
    import_logging_alone()
    session = CommandSession(as_json=as_json, data_dir=data_dir, passphrase_file=passphrase_file)
    if fork is not None and not dev:
        raise click.UsageError("--fork begins a chain for development: name --dev, too")
    if fork is not None:
        _fork_dev_chain(session, fork)
    elif dev:
        _make_dev_chain(session)
    _run(session, _config(session, dev, given), dev)


def _config(session: CommandSession, dev: bool, given: dict[str, Any]) -> Config:
    """The settings to run with. A miner address that is a key's name is replaced by the key's address.

    With --dev the node mines for the key `dev`, waits for programs, and takes free ports if those by default
    are taken, unless a setting says otherwise.
    Raises `ConfigInvalid`, `BadPeerAddress`, `BadAddress`.
    """
    from engram.node.configsources import load_config
    from engram.node.listening import free_or_any

    arguments = {name: value for name, value in given.items() if value not in (None, ())}
    loaded = load_config({"data_dir": session.data_dir, **arguments}, os.environ)
    config = loaded.config
    session.note_unknown(loaded)
    if dev and loaded.origins["mine"] == "default":
        config = replace(config, mine=True)
    if dev and loaded.origins["miner_waits"] == "default":
        config = replace(config, miner_waits=True)
    if dev and loaded.origins["miner_address"] == "default":
        config = replace(config, miner_address=DEV_KEY)
    if dev and loaded.origins["rpc_port"] == "default":
        config = replace(config, rpc_port=free_or_any(config.rpc_host, config.rpc_port))
    if dev and loaded.origins["p2p_port"] == "default":
        config = replace(config, p2p_port=free_or_any(config.p2p_host, config.p2p_port))
    if config.miner_address:
        config = replace(config, miner_address=session.address(config.miner_address))
    return config


def _run(session: CommandSession, config: Config, dev: bool) -> None:
    import asyncio

    from engram.node import logs
    from engram.node.datadir import make_data_dir, read_spec
    from engram.node.node import Node

    spec = read_spec(config.data_dir)
    make_data_dir(config.data_dir, spec)
    logs.configure(config.log_level, config.log_format, sys.stderr)
    asyncio.run(_serve(Node(config, spec, mine_on_demand=dev), session))


async def _serve(node: Node, session: CommandSession) -> None:
    from engram.node.process import run_until_signal

    serves_page = node.config.rpc_explorer
    await run_until_signal(node, lambda info: _say_where(info, session.as_json, serves_page=serves_page))


def _say_where(info: RunInfo, as_json: bool, *, serves_page: bool) -> None:
    """Prints where the node answers, and where its pages are if it serves them.

    That is a line for people, or one line of JSON, so that a program can read it from a pipe while the node
    goes on running. A node does not end because nobody reads where it is.
    """
    text = f"{info.chain} node answers at {info.rpc_url} and takes peers at port {info.p2p_port}"
    if serves_page:
        text += f"; a browser shows its chain at {page_of(info.rpc_url)}"
    from engram.node import logs

    try:
        click.echo(json.dumps(asdict(info)) if as_json else text)
    except OSError as error:
        streams.drop_output()
        logs.get_logger("node").warning("nobody was told where the node answers", error=str(error))


def _make_dev_chain(session: CommandSession) -> None:
    """Makes a chain for development in a directory that holds none, and says how to use its key."""
    if make_dev_chain(session.data_dir, session.given_passphrase):
        _tell_passphrase(session)


def _fork_dev_chain(session: CommandSession, place: str) -> None:
    """Makes a chain that begins with the state of another one, and says what it has taken over."""
    import asyncio

    making = fork_dev_chain(session.data_dir, place, session.given_passphrase)
    is_usual, forked = asyncio.run(making)
    session.note(
        f"forked after block {forked.height:,} ({forked.block.hex()[:12]}…): "
        f"{forked.records:,} records, {forked.content:,} tensors and data parts"
    )
    if is_usual:
        _tell_passphrase(session)


def _tell_passphrase(session: CommandSession) -> None:
    session.note(
        f"the passphrase of the key {DEV_KEY} is {DEV_KEY}: set ENGRAM_PASSPHRASE={DEV_KEY} to use it"
    )
