"""The option `--engine` of commands that evaluate networks themselves."""

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
