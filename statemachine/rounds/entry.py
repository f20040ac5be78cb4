"""How a transaction enters a round: due steps are applied first, then the phase is checked."""

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
    """A round that accepts the transaction, with its model and the version that the round improves."""

    round: Round
    model: Model
    base: Version
    """Version t."""
    calendar: Calendar
    epoch: int
    """The running epoch in COMMIT and UPDATE; 0 in other phases."""
    events: tuple[Event, ...]
    """Events of the due steps that were applied."""


def enter(state: State, ctx: BlockContext, round_id: Hash, phase: Phase) -> EnteredRound:
    """Applies the due steps of the round in `state`, then checks that the round is open and in `phase`.

    What the due steps changed is kept only if the transaction is included and its `apply` returns. Raises
    `MissingRecord`, `RoundEnded`, `WrongPhase`.
    """
    found = state.get(Round, round_id)
    calendar = Calendar.of(found, ctx.rules)
    round_, events = settle_by(calendar, state, ctx, found)
    if round_.status != RoundStatus.OPEN:
        raise RoundEnded(got=RoundStatus(round_.status).name.lower())
    span = calendar.at(ctx.tick)
    check_phase(phase, span.phase)
    model = state.get(Model, round_.model)
    base = state.get(Version, round_.model, u32(round_.version))
    return EnteredRound(round_, model, base, calendar, span.epoch, events)


def check_phase(expected: Phase, got: Phase) -> None:
    """Raises `WrongPhase` if the round is in another phase, earlier or later."""
    if got is not expected:
        raise WrongPhase(expected=expected.name.lower(), got=got.name.lower())
