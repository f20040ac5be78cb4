"""A round's calendar is made a few times for a question, whatever the question needs to know of it."""

from collections.abc import Callable
from typing import Any

import pytest

from engram.node.rpc.render import Renderer
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds.calendar import Calendar, Phase
from engram.statemachine.rounds.entry import enter
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.rounds.settlement import settle
from tests.support.round_matter import train_terms
from tests.support.rounds import ALICE, WITNESS, Play, network


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ticks at which the rounds opened for which a calendar was made."""
    ticks: list[int] = []
    real: Callable[..., Calendar] = Calendar._made

    def counted(opened: int, *rest: Any) -> Calendar:
        ticks.append(opened)
        return real(opened, *rest)

    monkeypatch.setattr(Calendar, "_made", counted)
    return ticks


def test_entering_a_round_makes_one_calendar_to_settle_and_one_for_the_question(made: list[int]) -> None:
    play = Play()
    play.found()
    play.reveal_validation()
    play.at(Phase.COMMIT)
    state, ctx = play.ledger.state.child(), play.ledger.ctx
    made.clear()
    entered = enter(state, ctx, play.round.id, Phase.COMMIT)
    assert len(made) == 2
    assert entered.calendar.span(Phase.UPDATE).first > ctx.tick


def test_settling_makes_a_calendar_after_each_step_and_none_for_each_epoch(made: list[int]) -> None:
    """A step can end a phase, so the calendar of the round before it does not hold any more."""
    play = Play(parts=5)
    named = (NamedWitness(WITNESS.address, False),)
    play.found(terms=train_terms(play.parts[:4], epochs=3, witnesses=named))
    play.seal(WITNESS, play.parts[4])
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    play.at(Phase.CLOSED)
    state, ctx = play.ledger.state.child(), play.ledger.ctx
    made.clear()
    round_, events = settle(state, ctx, play.round.id)
    assert [event.name for event in events] == ["bond_burned", "bond_burned", "round_ended"]
    assert round_.status == RoundStatus.ABORTED
    assert len(made) == 3, "one before each of two steps, one that finds nothing"


def test_a_rendered_round_makes_one_calendar(made: list[int]) -> None:
    play = Play()
    play.found()
    render, round_ = Renderer("eng", play.ledger.rules), play.round
    made.clear()
    assert render.round(round_, play.height - 1, play.tick)["phase"] == "open"
    assert len(made) == 1
