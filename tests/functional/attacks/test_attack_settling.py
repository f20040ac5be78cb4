"""Settling a round costs the same whatever was sent to it, and a commit writes little in any round."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from engram.primitives.types import Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.rounds import settlement
from engram.statemachine.rounds.calendar import DueStep, Phase
from engram.statemachine.rounds.records import Candidate, Round, RoundStatus
from engram.statemachine.state import State
from engram.statemachine.transaction import Outcome
from engram.statemachine.transactions.advance_round import AdvanceRound
from engram.statemachine.transactions.commit_update import CommitUpdate
from tests.support.attacks import crowd, play_with
from tests.support.ledger import Ledger
from tests.support.rounds import ACTORS, ALICE, CAROL, PURSE, SMALL_RULES, Play, network

COMMIT_BYTES = 2_048


def touched(names: int) -> Counter[str]:
    """How often settling looks up and writes a record, where so many candidates wait for the end."""
    strangers = crowd(names)
    play = play_with(strangers)
    play.found()
    play.reveal_validation()
    others = [(name, network(play.inputs, 6)) for name in strangers]
    play.play_epoch((ALICE, network(play.inputs, 8)), *others)
    play.audit()
    play.at(Phase.SCORE)
    play.score_update(ALICE)
    play.at(Phase.CLOSED)
    counted: Counter[str] = Counter()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("find", "put", "delete"):
            patch.setattr(State, name, counting(counted, name, getattr(State, name)))
        play.ok(play.send(CAROL, AdvanceRound(play.id)))
    assert play.round.status == RoundStatus.DECIDED
    return counted


def counting(counted: Counter[str], name: str, method: Callable[..., object]) -> Callable[..., object]:
    def call(self: State, *given: object) -> object:
        counted[name] += 1
        return method(self, *given)

    return call


def settling_costs_the_same(few: int, many: int) -> None:
    """A crowd of candidates makes the end of the round no dearer."""
    assert touched(few) == touched(many)


def written(parts: int, waiting: int) -> int:
    """Bytes of all records that a block with one more commit writes, where so many commits wait."""
    strangers = crowd(waiting)
    ledger = Ledger(dict.fromkeys((*ACTORS, *strangers), PURSE), rules=SMALL_RULES)
    play = Play(parts=parts, ledger=ledger)
    play.found()
    play.reveal_validation()
    play.at(Phase.COMMIT)
    waiting_commits = [(name, CommitUpdate(play.id, 0, name.public_key)) for name in strangers]
    if waiting_commits:
        play.send_all(waiting_commits)
    result = ledger.block(ledger.pay(ALICE, CommitUpdate(play.id, 0, ALICE.public_key)))
    return sum(len(value) for value in result.changes.values() if value is not None)


@pytest.mark.parametrize(("few", "many"), [(1, 12), (2, 60)])
def test_settling_costs_the_same(few: int, many: int) -> None:
    settling_costs_the_same(few, many)


@pytest.mark.parametrize(("few", "many"), [(1, 12), (2, 60)])
def test_where_settling_returns_every_bond(few: int, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    decide = settlement._STEPS

    def walk(state: State, ctx: BlockContext, round_: Round) -> settlement.Settled:
        for name in crowd(many):
            state.find(Candidate, round_.id, b"\x00", name.address)
        return decide[DueStep.DECISION](state, ctx, round_)

    steps = {**decide, DueStep.DECISION: walk}
    monkeypatch.setattr(settlement, "_STEPS", steps)
    assert touched(few)["find"] > many


@pytest.mark.parametrize(("parts", "waiting"), [(4, 0), (40, 0), (4, 100)])
def test_a_commit_writes_little(parts: int, waiting: int) -> None:
    assert written(parts, waiting) <= COMMIT_BYTES


def test_where_a_commit_is_noted_in_the_round(monkeypatch: pytest.MonkeyPatch) -> None:
    apply = CommitUpdate.apply

    def noting(self: CommitUpdate, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        state.put(replace(state.get(Round, self.round), refused=True))
        return apply(self, state, ctx, sender, txid)

    monkeypatch.setattr(CommitUpdate, "apply", noting)
    assert written(80, 0) > COMMIT_BYTES
