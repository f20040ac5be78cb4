"""In which round an account has something to do: in one that goes on, that is due, or that has ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from engram.node.client import RpcClient
from engram.participant.errors import IdAmbiguous, NoOpenRound
from engram.participant.finding_work import (
    find_round_to_score,
    find_round_to_settle,
    find_round_to_withdraw,
)
from engram.statemachine.rounds.errors import NothingDue, NothingToWithdraw

OPEN, DECIDED = 0, 1
ME, THEM = "leng1me", "leng1them"


class Answers:
    """A node that knows these rounds, and these updates of every account."""

    def __init__(self, rounds: Sequence[dict[str, Any]], updates: Sequence[dict[str, Any]] = ()) -> None:
        self._answers = {"round_list": rounds, "account_updates": updates}

    async def call(self, method: str, **params: Any) -> Any:
        return self._answers[method]


def node(*rounds: dict[str, Any], updates: Sequence[dict[str, Any]] = ()) -> RpcClient:
    return cast(RpcClient, Answers(rounds, updates))


def a_round(name: str, **facts: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"status": OPEN, "due": None, "opened": 1, "opener": THEM, "standing": []}
    return {"id": name * 32, **given, "terms": {"witnesses": []}, **facts}


def held(name: str, *, ended: bool) -> dict[str, Any]:
    return {"round": name * 32, "can_withdraw": ended}


async def test_candidates_are_scored_in_the_last_own_round_that_goes_on() -> None:
    theirs, mine, later = a_round("01", opened=9), a_round("02", opener=ME), a_round("03", opened=5)
    over, dead = a_round("04", status=DECIDED), a_round("05", due="withheld", opener=ME, opened=8)
    everything = node(theirs, mine, later, over, dead, updates=[held("03", ended=False)])
    assert await find_round_to_score(everything, None, ME, None) == later["id"], "it holds an update of ours"
    assert await find_round_to_score(node(theirs, mine, dead), None, ME, None) == mine["id"]
    assert await find_round_to_score(node(theirs, over), None, ME, None) == theirs["id"], "for everybody's"
    with pytest.raises(IdAmbiguous):
        await find_round_to_score(node(theirs, a_round("06")), None, ME, None)
    with pytest.raises(NoOpenRound, match="that goes on, so no"):
        await find_round_to_score(node(over, dead), None, ME, None)
    assert await find_round_to_score(everything, None, ME, THEM) == later["id"]
    with pytest.raises(NoOpenRound, match="holds an update of leng1them"):
        await find_round_to_score(node(theirs, mine), None, ME, THEM)
    assert await find_round_to_score(node(mine, theirs), "01", ME, None) == theirs["id"], "who names one"


async def test_a_round_is_settled_in_which_something_is_due() -> None:
    alive, dead = a_round("01", opener=ME, opened=9), a_round("02", due="unrevealed")
    assert await find_round_to_settle(node(alive, dead), None, ME) == dead["id"]
    witnessed = a_round("03", due="unopened", terms={"witnesses": [{"address": ME}]})
    assert await find_round_to_settle(node(alive, dead, witnessed), None, ME) == witnessed["id"]
    with pytest.raises(IdAmbiguous):
        await find_round_to_settle(node(dead, a_round("04", due="decision")), None, ME)
    with pytest.raises(NothingDue, match="no round waits for a step"):
        await find_round_to_settle(node(alive), None, ME)


async def test_updates_are_withdrawn_from_the_last_round_that_has_ended() -> None:
    rounds = [a_round("01", status=DECIDED), a_round("02", status=DECIDED, opened=5), a_round("03", opened=9)]
    three = [held("01", ended=True), held("02", ended=True), held("03", ended=False)]
    assert await find_round_to_withdraw(node(*rounds, updates=three), None, ME) == rounds[1]["id"]
    assert await find_round_to_withdraw(node(*rounds, updates=three[:1]), None, ME) == rounds[0]["id"]
    with pytest.raises(NothingToWithdraw, match="updates in 1 round that goes on can be withdrawn once"):
        await find_round_to_withdraw(node(*rounds, updates=three[2:]), None, ME)
    with pytest.raises(NothingToWithdraw, match=r"holds an update of leng1me\. `engram"):
        await find_round_to_withdraw(node(*rounds), None, ME)
