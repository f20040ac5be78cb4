"""Arguments that name a model or a round; `participant/finding.py` finds what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.completion import complete_models, complete_rounds
from engram.participant.finding import HEX_DIGITS, ID_DIGITS, LEAST_DIGITS, find_model

if TYPE_CHECKING:
    from engram.commands.support.session import CommandSession
    from engram.node.client import RpcClient

model_argument = click.argument("model", required=False, shell_complete=complete_models)
round_argument = click.argument("round_", metavar="[ROUND]", required=False, shell_complete=complete_rounds)


def check_beginning(kind: str, text: str) -> None:
    """Raises `click.UsageError` for a text that can begin no id of a block or transaction."""
    if not LEAST_DIGITS <= len(text) <= ID_DIGITS or not set(text.lower()) <= HEX_DIGITS:
        digits = f"{LEAST_DIGITS} to {ID_DIGITS} hexadecimal digits"
        raise click.UsageError(f"{text!r} begins no {kind}'s id: give {digits}")


def ask_model(session: CommandSession, method: str, beginning: str | None, **params: Any) -> Any:
    """The node's answer to `method` about a model, which is found as `find_model` finds it."""

    async def action(client: RpcClient) -> Any:
        return await client.call(method, id=await find_model(client, beginning), **params)

    return session.run(action)
