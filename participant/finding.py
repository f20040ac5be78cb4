"""Finds the model or the round that somebody means: by the beginning of its id, or without any.

Ids have 64 hexadecimal digits, which nobody wants to type. Without an id, one rule holds for all commands and
for the library: what is alive comes first, and among that what is the asker's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from engram.participant.errors import IdAmbiguous, IdNotFound, NoOpenRound

if TYPE_CHECKING:  # commands import this module for `--help`, too
    from engram.node.client import RpcClient

ID_DIGITS: Final = 64
LEAST_DIGITS: Final = 4
"""Of the beginning of a block's or transaction's id: a node finds these on disk, among very many."""
HEX_DIGITS: Final = frozenset("0123456789abcdef")
SHOWN_DIGITS: Final = 12
"""Digits of an id in a message."""

ENDING: Final = frozenset({"unattended", "unrevealed", "no_candidate", "withheld", "decision"})
"""Due steps, by the names in `round_list`, with which a round ends: it only waits to be settled."""

Concerns = Callable[[Mapping[str, Any]], bool]
"""Whether a round, in the form that `round_list` gives, is the asker's own."""


async def find_model(client: RpcClient, beginning: str | None) -> str:
    """The id of the model whose id begins with `beginning`; None means the only model of the chain.

    Raises `IdNotFound`, `IdAmbiguous`.
    """
    digits = None if beginning is None else beginning.lower()
    if digits is not None and is_whole(digits):
        return digits
    return chosen("model", await client.call("model_list"), digits)


async def find_round(client: RpcClient, beginning: str | None, concerns: Concerns | None = None) -> str:
    """The id of the round whose id begins with `beginning`; None means what `meant` gives.

    Raises `IdNotFound`, `IdAmbiguous`.
    """
    digits = None if beginning is None else beginning.lower()
    if digits is not None and is_whole(digits):
        return digits
    rounds = await client.call("round_list")
    return chosen("round", rounds if digits is not None else meant(rounds, concerns), digits)


async def find_own_round(
    client: RpcClient, beginning: str | None, concerns: Concerns, part: str, *, ended: bool
) -> str:
    """As `find_round`, for somebody who acts: without `beginning`, only what is the actor's own is meant.

    `part` says in the message what nobody found, such as "that alice has opened". With `ended`, one's own
    round that has ended is meant if no other is open, because a program may go on after a crash to be told
    how its round ended.

    Raises `NoOpenRound` if there is none, `IdNotFound`, `IdAmbiguous`.
    """
    if beginning is not None:
        return await find_round(client, beginning)
    rounds = await client.call("round_list")
    own = [item for item in rounds if concerns(item) and (ended or is_open(item))]
    if own:
        return chosen("round", meant(own), None)
    others = [item for item in rounds if is_alive(item)]
    told = "; ".join(f"{item['id'][:SHOWN_DIGITS]} of {item['opener']}" for item in others)
    raise NoOpenRound(
        f"there is no open round {part}; "
        + (f"the rounds that go on are: {told}" if told else "no round goes on")
        + ". Name a round by its id; `engram round list` lists all"
    )


def meant(
    rounds: Sequence[Mapping[str, Any]], concerns: Concerns | None = None
) -> Sequence[Mapping[str, Any]]:
    """The rounds that somebody may mean who names none; more than one if nothing tells them apart.

    Rounds that are alive come before those that only wait to be settled, and these before those that have
    ended, of which the one opened last is meant. Among equals, those that concern the asker come first.
    """
    alive = [item for item in rounds if is_alive(item)]
    unsettled = [item for item in rounds if is_open(item)]
    for some in (alive, unsettled):
        own = [item for item in some if concerns is not None and concerns(item)]
        if some:
            return own or some
    return [max(rounds, key=lambda item: int(item["opened"]))] if rounds else []


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
    """Whether a round, in the form that `round_list` gives, has not been settled."""
    return int(item["status"]) == 0


def is_alive(item: Mapping[str, Any]) -> bool:
    """Whether a round is open and goes on: the step that is due, if any, does not end it."""
    return is_open(item) and item["due"] not in ENDING


def names_witness(item: Mapping[str, Any], address: str) -> bool:
    """Whether a round, in the form that `round_list` gives, names an account as one of its witnesses."""
    witnesses = (*item["standing"], *item["terms"]["witnesses"])
    return any(witness["address"] == address for witness in witnesses)


def takes_updates(item: Mapping[str, Any]) -> bool:
    """Whether an author can still commit to an update in a round that is alive."""
    last = max(span[1] for name, span in item["calendar"].items() if name.startswith("commit_"))
    return is_alive(item) and int(item["tick"]) <= last


def chosen(kind: str, items: Sequence[Mapping[str, Any]], beginning: str | None) -> str:
    """The one id among `items` that begins with `beginning`. Raises `IdNotFound`, `IdAmbiguous`.

    `kind` is what the messages call the items, such as "model".
    """
    ids = [str(item["id"]) for item in items]
    found = [identity for identity in ids if identity.startswith(beginning or "")]
    if len(found) == 1:
        return found[0]
    names = ", ".join(identity[:SHOWN_DIGITS] for identity in found or ids)
    if not ids:
        raise IdNotFound(f"the chain has no {kind} yet", got=beginning)
    if found:
        such = "such " if beginning else ""
        raise IdAmbiguous(f"there are several {such}{kind}s, name one of them: {names}", got=beginning)
    raise IdNotFound(f"the chain has no such {kind}; it has: {names}", got=beginning)
