"""The option `--engine` of commands that evaluate networks themselves, or start nodes that do."""

from __future__ import annotations

from typing import Final

import click

from engram.node.config import SETTINGS

(_SETTING,) = (each for each in SETTINGS if each.name == "engine")

engine_option: Final = click.option(
    "--engine",
    type=click.Choice(_SETTING.choices),
    help="What evaluates networks: numpy, PyTorch with int8 (torch), a graphics card (cuda), or auto. "
    "Default: the setting `engine` of the data directory, ENGRAM_ENGINE, or auto.",
)
"""Adds `--engine`; the command gets None where it is not given, and asks its session for the setting."""

experiment_engine_option: Final = click.option(
    "--engine",
    type=click.Choice(_SETTING.choices),
    default="numpy",
    envvar="ENGRAM_ENGINE",
    show_default=True,
    show_envvar=True,
    help="What evaluates networks, in nodes and for whoever takes part: numpy, PyTorch with int8 (torch), a "
    "graphics card (cuda), or the fastest of these (auto). All give the same integers, but times that are "
    "measured differ. Networks are small here, so to choose an engine at every start rarely pays.",
)
"""Adds `--engine` to an experiment, whose nodes have no settings of their own."""
