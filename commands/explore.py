"""`engram explore`: opens the node's own pages in a browser, or says where they are."""

from __future__ import annotations

import os
import sys
from typing import Final
from urllib.parse import urlsplit

import click

from engram.commands.support.errors import ExplorerOff
from engram.commands.support.options import Command, with_session
from engram.commands.support.session import CommandSession

_DISPLAYS: Final = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
"""Where a node that listens at all addresses is reached from this machine."""


@click.command(
    "explore",
    cls=Command,
    example="engram explore\nengram explore --no-open\nengram explore --rpc http://127.0.0.1:8645",
)
@click.option(
    "--open/--no-open",
    "is_to_open",
    default=True,
    show_default=True,
    help="Open the page in the browser, or only print its address.",
)
@with_session
def command(session: CommandSession, is_to_open: bool) -> None:
    """Explore the node's chain in a browser: blocks, accounts, rounds, models.

    The node serves the pages itself. They follow the chain as it grows, and only read: keys and coins stay
    with the command line. Without a display, the address is printed and nothing is opened.
    """
    info = session.call("node_info")
    if not info.get("explorer"):
        raise ExplorerOff()
    url = page_of(session.url)
    opened = is_to_open and _open(url)
    result = {"url": url, "opened": opened}
    if session.as_json:
        session.show(result, ())
        return
    click.echo(url)
    if is_to_open and not opened:
        parts = urlsplit(url)
        port = parts.port or 80
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        click.echo("No browser could be opened here: open this address in one on this machine.")
        click.echo(f"From another machine, bring the port there first: ssh -L {port}:{host}:{port} HOST")


def page_of(rpc: str) -> str:
    """The address of the first page of the node with this RPC address, for browsers on this machine."""
    parts = urlsplit(rpc)
    host = _EVERYWHERE.get(parts.hostname or "")
    place = parts.netloc if host is None else host + (f":{parts.port}" if parts.port else "")
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}/explore/"


def _open(url: str) -> bool:
    """Whether a browser shows the address. It must be one of a desktop: those of terminals run no script."""
    import webbrowser

    has_display = sys.platform == "darwin" or any(map(os.environ.get, _DISPLAYS))
    try:
        return has_display and webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False
