"""`engram config`: shows the settings with which a node would start, and where each comes from."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from engram.commands.support.options import Group, with_session
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
@with_session
def show(session: CommandSession, names: tuple[str, ...]) -> None:
    """Show the settings with which `engram run` would start now, each with its origin.

    NAME is a setting such as rpc_port; without NAME, all are shown. Options that a running node was started
    with are not known here. A setting that is wrong is named, with what it must be.
    """
    from engram.node.errors import ConfigInvalid

    rows = _rows(session)
    known = [row["name"] for row in rows]
    for name in names:
        if name not in known:
            raise ConfigInvalid(f"there is no setting named {name}", expected=known, got=name)
    columns = (
        Column("setting", lambda row: row["name"]),
        Column("value", lambda row: row["value"], whole=True),
        Column("origin", lambda row: row["origin"], whole=True),
    )
    chosen = [row for row in rows if not names or row["name"] in names]
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
