"""`engram config`: shows the settings with which a node would start, and where each comes from."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from engram.commands.support.options import Group, with_offline_session
from engram.commands.support.output import Column
from engram.commands.support.session import CommandSession


@click.group("config", cls=Group, example="engram config show\nengram config show rpc_port")
def command() -> None:
    """Show a node's settings, and where each value comes from.

    A setting is taken from the option of `engram run`, else from its ENGRAM_* variable, else from the file
    engram.toml in the data directory, else it has its default.
    """


@command.command("show", example="engram config show\nengram config show rpc_port p2p_port --json")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@with_offline_session
def show(session: CommandSession, names: tuple[str, ...]) -> None:
    """Show the settings with which `engram run` would start now, each with its origin.

    NAME is a setting such as rpc_port; without NAME, all are shown. Options that a running node was started
    with are not known here. A setting that is wrong is named, with what it must be.
    """
    from engram.node.errors import ConfigInvalid
    from engram.node.settingrules import no_setting

    rows = _rows(session)
    known = [row["name"] for row in rows]
    for name in names:
        if name not in known:
            raise ConfigInvalid(no_setting(name, known))
    columns = (
        Column("setting", lambda row: row["name"]),
        Column("value", lambda row: row["value"], whole=True),
        Column("origin", lambda row: row["origin"], whole=True),
    )
    chosen = [row for row in rows if not names or row["name"] in names]
    for row in chosen:
        if row["name"] == "miner_address" and row["value"]:
            _check_account(session, row)
    session.show_rows(chosen, columns, "no settings")


def _rows(session: CommandSession) -> list[dict[str, Any]]:
    from engram.node.config import SETTINGS

    loaded = session.loaded_config
    session.note_unknown(loaded)
    values = {"data_dir": str(loaded.config.data_dir)}
    values |= {setting.name: getattr(loaded.config, setting.name) for setting in SETTINGS}
    origins = dict(loaded.origins)
    if click.get_current_context().get_parameter_source("data_dir") is ParameterSource.ENVIRONMENT:
        origins["data_dir"] = "environment"  # click hands the variable over as if it were the option
    return [{"name": name, "value": value, "origin": origins[name]} for name, value in values.items()]


def _check_account(session: CommandSession, row: dict[str, Any]) -> None:
    """Looks as `engram run` does whether the account that is to be paid is there. Raises `ConfigInvalid`.

    Without a chain, only `engram run` can say it: the chain decides how its addresses begin.
    """
    from engram.node.errors import ChainNotFound, ConfigInvalid
    from engram.primitives.errors import BadAddress

    try:
        session.address(row["value"])
    except BadAddress as error:
        raise ConfigInvalid(
            f"miner_address (set by {row['origin']}): {error.message}", got=row["value"]
        ) from error
    except ChainNotFound:
        return
