"""A round's calendar is made once for a question, whatever the question needs to know of it."""

from collections.abc import Callable
from typing import Any

import pytest

from engram.node.rpc.render import Renderer
from engram.statemachine.rounds.calendar import Calendar, Phase
from engram.statemachine.rounds.entry import enter
from engram.statemachine.rounds.settlement import settle
from tests.support.round_matter import train_terms
from tests.support.rounds import Play


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The heights of the rounds for which a calendar was made."""
    heights: list[int] = []
    real: Callable[..., Calendar] = Calendar.opened_at

    def counted(opened: int, *rest: Any) -> Calendar:
        heights.append(opened)
        return real(opened, *rest)

    monkeypatch.setattr(Calendar, "opened_at", counted)
    return heights


def test_entering_a_round_makes_one_calendar_however_much_is_due(made: list[int]) -> None:
    play = Play()
    play.found()
    play.reveal_validation()
    play.at(Phase.COMMIT)
    state, ctx = play.ledger.state.child(), play.ledger.ctx
    made.clear()
    entered = enter(state, ctx, play.round.id, Phase.COMMIT)
    assert len(made) == 1
    assert entered.calendar.span(Phase.UPDATE).first > ctx.tick


def test_settling_several_steps_makes_one_calendar(made: list[int]) -> None:
    play = Play()
    play.found(terms=train_terms(play.parts, epochs=3))
    play.reveal_validation()
    play.at(Phase.CLOSED)
    state, ctx = play.ledger.state.child(), play.ledger.ctx
    made.clear()
    round_, events = settle(state, ctx, play.round.id)
    assert [event.name for event in events].count("epoch_ended") == 3
    assert round_.settled_epochs == 3
    assert len(made) == 1


def test_a_rendered_round_makes_one_calendar(made: list[int]) -> None:
    play = Play()
    play.found()
    render, round_ = Renderer("eng", play.ledger.rules), play.round
    made.clear()
    assert render.round(round_, play.height - 1, play.tick)["phase"] == "open"
    assert len(made) == 1
