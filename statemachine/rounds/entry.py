"""How a transaction enters a round: what is due is settled first, then the phase is checked."""

from __future__ import annotations

from dataclasses import dataclass

from engram.primitives.types import Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.receipt import Event
from engram.statemachine.record import u32
from engram.statemachine.records import Model, Version
from engram.statemachine.rounds.calendar import Calendar, Phase
from engram.statemachine.rounds.errors import RoundEnded, WrongPhase
from engram.statemachine.rounds.records import Round, RoundStatus
from engram.statemachine.rounds.settlement import settle_by
from engram.statemachine.state import State


@dataclass(frozen=True)
class EnteredRound:
    """A round that takes the transaction, with the model and the version it stands on."""

    round: Round
    model: Model
    base: Version
    """Version t."""
    calendar: Calendar
    epoch: int
    """The running epoch of COMMIT and UPDATE; else 0."""
    events: tuple[Event, ...]
    """What became of deadlines that had passed."""


def enter(state: State, ctx: BlockContext, round_id: Hash, phase: Phase) -> EnteredRound:
    """Settles the round in `state` and lets a transaction in that belongs to `phase`.

    Raises `MissingRecord`, `RoundEnded`, `WrongPhase`.
    """
    found = state.get(Round, round_id)
    calendar = Calendar.of(found, ctx.rules)
    round_, events = settle_by(calendar, state, ctx, found)
    if round_.status != RoundStatus.OPEN:
        raise RoundEnded(got=RoundStatus(round_.status).name.lower())
    span = calendar.at(ctx.height)
    check_phase(phase, span.phase)
    model = state.get(Model, round_.model)
    base = state.get(Version, round_.model, u32(round_.version))
    return EnteredRound(round_, model, base, calendar, span.epoch, events)


def check_phase(expected: Phase, got: Phase) -> None:
    """Late and early alike: raises `WrongPhase`."""
    if got is not expected:
        raise WrongPhase(expected=expected.name.lower(), got=got.name.lower())
