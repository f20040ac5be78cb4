"""Finds the round in which an account has something to do, for somebody who names none.

`finding` has the rule for rounds that are looked at or played. What is done for the updates of a round, and
what settles a round, is due in other rounds: candidates are scored while a round goes on, a round that only
waits to be settled is alive no more, and updates are withdrawn from rounds that have ended.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engram.participant.errors import NoOpenRound
from engram.participant.finding import chosen, find_round, is_alive, names_witness

if TYPE_CHECKING:  # commands import this module for `--help`, too
    from engram.node.client import RpcClient

Item = Mapping[str, Any]
"""A round in the form that `round_list` gives."""


async def find_round_to_score(client: RpcClient, beginning: str | None, own: str, author: str | None) -> str:
    """The id of the round whose candidates shall be scored: it goes on, and the last of the asker's own.

    `own` is the address of the asker; with an `author`, only rounds that hold updates of this address count.
    Without an author and a round of the asker's own, the only round that goes on is meant.

    Raises `NoOpenRound` if there is none, `IdNotFound`, `IdAmbiguous`.
    """
    if beginning is not None:
        return await find_round(client, beginning)
    alive = [item for item in await client.call("round_list") if is_alive(item)]
    updates = {str(held["round"]) for held in await _updates(client, own if author is None else author)}
    if author is not None:
        alive = [item for item in alive if item["id"] in updates]
    if not alive:
        part = "that goes on" if author is None else f"that goes on and holds an update of {author}"
        raise NoOpenRound(
            f"there is no round {part}, so no candidate can be scored; `engram round list` lists all"
        )
    return _last_of(alive, own, updates)


async def find_round_to_settle(client: RpcClient, beginning: str | None, own: str) -> str:
    """The id of the round in which a step is due: the last of the asker's own, else the only one.

    Raises `NothingDue` if no step of any round is due, `IdNotFound`, `IdAmbiguous`.
    """
    from engram.statemachine.rounds.errors import NothingDue

    if beginning is not None:
        return await find_round(client, beginning)
    due = [item for item in await client.call("round_list") if item["due"] is not None]
    if not due:
        raise NothingDue(
            "no round waits for a step whose deadline has passed; `engram round show` shows the phase of a "
            "round and its calendar"
        )
    return _last_of(due, own, {str(held["round"]) for held in await _updates(client, own)})


async def find_round_to_withdraw(client: RpcClient, beginning: str | None, author: str) -> str:
    """The id of the round that has ended and still holds updates of an author; the last of several.

    Raises `NothingToWithdraw` if there is none, `IdNotFound`, `IdAmbiguous`.
    """
    from engram.statemachine.rounds.errors import NothingToWithdraw

    if beginning is not None:
        return await find_round(client, beginning)
    held = await _updates(client, author)
    ended = {str(update["round"]) for update in held if update["can_withdraw"]}
    if not ended:
        waiting = len({str(update["round"]) for update in held})
        rounds = "1 round that goes on" if waiting == 1 else f"{waiting} rounds that go on"
        raise NothingToWithdraw(
            f"no round that has ended holds an update of {author}"
            + (f"; updates in {rounds} can be withdrawn once the round has ended" if held else "")
            + ". `engram account updates` lists updates that hold a bond"
        )
    return _latest([item for item in await client.call("round_list") if item["id"] in ended])


async def _updates(client: RpcClient, address: str) -> Sequence[Item]:
    """The updates of an account that hold a bond."""
    found: Sequence[Item] = await client.call("account_updates", address=address)
    return found


def _last_of(rounds: Sequence[Item], own: str, updated: Collection[str]) -> str:
    """The one opened last of the account's own rounds; if none is its own, the only one.

    Raises `IdAmbiguous` if there are several, and none is its own.
    """
    mine = [
        item for item in rounds if item["opener"] == own or item["id"] in updated or names_witness(item, own)
    ]
    return _latest(mine) if mine else chosen("round", rounds, None)


def _latest(rounds: Sequence[Item]) -> str:
    last = max(int(item["opened"]) for item in rounds)
    return chosen("round", [item for item in rounds if int(item["opened"]) == last], None)
