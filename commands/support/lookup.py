"""Finds the model or round that a command line means: by the beginning of its id, or by being the only one.

Ids have 64 hexadecimal digits, which nobody wants to type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support.completion import complete_models, complete_rounds
from engram.commands.support.errors import IdAmbiguous, IdNotFound
from engram.commands.support.output import short

if TYPE_CHECKING:
    from engram.commands.support.session import CommandSession
    from engram.node.client import RpcClient

ID_DIGITS: Final = 64
LEAST_DIGITS: Final = 4
"""Of the beginning of a block's or transaction's id: a node finds these on disk, among very many."""
HEX_DIGITS: Final = frozenset("0123456789abcdef")

model_argument = click.argument("model", required=False, shell_complete=complete_models)
round_argument = click.argument("round_", metavar="[ROUND]", required=False, shell_complete=complete_rounds)


async def find_model(client: RpcClient, beginning: str | None) -> str:
    """The id of the model whose id begins with `beginning`; None means the only model of the chain.

    Raises `IdNotFound`, `IdAmbiguous`.
    """
    if beginning is not None and is_whole(beginning):
        return beginning
    return chosen("model", await client.call("model_list"), beginning)


async def find_round(
    client: RpcClient, beginning: str | None, concerns: Callable[[Mapping[str, Any]], bool] | None = None
) -> str:
    """The id of the round whose id begins with `beginning`; None means the open round.

    If no round is open, None means the one opened last. If several are open, None means the one for which
    `concerns` is true. Raises `IdNotFound`, `IdAmbiguous`.
    """
    if beginning is not None and is_whole(beginning):
        return beginning
    rounds = await client.call("round_list")
    if beginning is None and rounds:
        running = [item for item in rounds if is_open(item)]
        mine = [item for item in running if concerns is not None and concerns(item)]
        rounds = mine or running or [max(rounds, key=lambda item: int(item["opened"]))]
    return chosen("round", rounds, beginning)


def check_beginning(kind: str, text: str) -> None:
    """Raises `click.UsageError` for a text that can begin no id of a block or transaction."""
    if not LEAST_DIGITS <= len(text) <= ID_DIGITS or not set(text.lower()) <= HEX_DIGITS:
        digits = f"{LEAST_DIGITS} to {ID_DIGITS} hexadecimal digits"
        raise click.UsageError(f"{text!r} begins no {kind}'s id: give {digits}")


async def find_id(client: RpcClient, kind: str, beginning: str) -> str:
    """The id of the block or transaction whose id begins with `beginning`, of which 4 digits are needed.

    Raises `IdNotFound`, `IdAmbiguous`, `RemoteError`.
    """
    digits = beginning.lower()
    if is_whole(digits):
        return digits
    found = await client.call("chain_find", kind=kind, beginning=digits)
    if not found:
        raise IdNotFound(f"the node knows no {kind} whose id begins with {digits}", got=digits)
    return chosen(kind, [{"id": identity} for identity in found], digits)


def is_whole(text: str) -> bool:
    """Whether a text is a whole id rather than the beginning of one."""
    return len(text) == ID_DIGITS and set(text) <= HEX_DIGITS


def is_open(item: Mapping[str, Any]) -> bool:
    """Whether a round, in the form that `round_list` gives, has not ended."""
    return int(item["status"]) == 0


def chosen(kind: str, items: Sequence[Mapping[str, Any]], beginning: str | None) -> str:
    """The one id among `items` that begins with `beginning`. Raises `IdNotFound`, `IdAmbiguous`.

    `kind` is what the messages call the items, such as "model".
    """
    ids = [str(item["id"]) for item in items]
    found = [identity for identity in ids if identity.startswith(beginning or "")]
    if len(found) == 1:
        return found[0]
    names = ", ".join(short(identity) for identity in found or ids)
    if not ids:
        raise IdNotFound(f"the chain has no {kind} yet", got=beginning)
    if found:
        raise IdAmbiguous(f"there are several such {kind}s, name one of them: {names}", got=beginning)
    raise IdNotFound(f"the chain has no such {kind}; it has: {names}", got=beginning)


def ask_model(session: CommandSession, method: str, beginning: str | None, **params: Any) -> Any:
    """The node's answer to `method` about a model, which is found as `find_model` finds it."""

    async def action(client: RpcClient) -> Any:
        return await client.call(method, id=await find_model(client, beginning), **params)

    return session.run(action)
