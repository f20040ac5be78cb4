"""What the shell offers when the user presses Tab: keys, data sets, files, ids of models and rounds.

Names of keys come from the data directory, ids from the node. If the node does not answer within two seconds,
nothing is offered: a shell that hangs or prints errors while the user types is worse.
"""

from __future__ import annotations

import os
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from engram.participant.short_ids import SHORT_DIGITS

_PATIENCE_S: Final = 2.0


def complete_keys(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the keys in the data directory."""
    from engram.node.configsources import find_data_dir
    from engram.node.datadir import KEYS_DIRECTORY
    from engram.primitives.errors import ChainError

    try:
        data_dir = find_data_dir(ctx.params.get("data_dir"), os.environ)[0]
        names = sorted(path.stem for path in (data_dir / KEYS_DIRECTORY).glob("*.json"))
    except (ChainError, OSError):
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_data(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The name of the data set that ships with Engram, and files."""
    shipped = [CompletionItem(name) for name in ("digits",) if name.startswith(incomplete)]
    return [*shipped, *complete_files(ctx, param, incomplete)]


def complete_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files and folders; click asks the shell itself to complete them."""
    return [CompletionItem(incomplete, type="file")]


def complete_models(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The first digits of the models' ids, as many as a command needs."""
    return _ids(_asked(ctx, "model_list"), incomplete, lambda item: f"version {item['head']}")


def complete_rounds(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The first digits of the rounds' ids, as many as a command needs."""
    return _ids(_asked(ctx, "round_list"), incomplete, lambda item: str(item["phase"]))


def _ids(items: list[dict[str, Any]], incomplete: str, help_of: Any) -> list[CompletionItem]:
    shown = max(SHORT_DIGITS, len(incomplete))
    found = [item for item in items if item["id"].startswith(incomplete)]
    return [CompletionItem(item["id"][:shown], help=help_of(item)) for item in found]


def _asked(ctx: click.Context, method: str) -> list[dict[str, Any]]:
    import asyncio

    from engram.commands.support.session import CommandSession
    from engram.primitives.errors import ChainError

    rpc = ctx.params.get("rpc") or os.environ.get("ENGRAM_RPC")
    session = CommandSession(as_json=True, data_dir=ctx.params.get("data_dir"), rpc=rpc)

    async def ask() -> list[dict[str, Any]]:
        async with asyncio.timeout(_PATIENCE_S), session.client() as client:
            result: list[dict[str, Any]] = await client.call(method)
            return result

    try:
        return asyncio.run(ask())
    except (ChainError, OSError, TimeoutError):
        return []
