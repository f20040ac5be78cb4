"""How a transaction enters a round: due steps are applied first, then the phase is checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engram.primitives.codec import encode
from engram.primitives.types import Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.receipt import Event
from engram.statemachine.record import u32
from engram.statemachine.records import Model, Version
from engram.statemachine.rounds.calendar import Calendar, Phase
from engram.statemachine.rounds.errors import RoundEnded, WrongPhase
from engram.statemachine.rounds.records import Round, RoundKind, RoundStatus
from engram.statemachine.rounds.settlement import settle
from engram.statemachine.rounds.terms import MAX_WITNESSES
from engram.statemachine.state import State

_PART_BYTES: Final = 150
"""The most bytes of an opened part in the record of a round."""
_EPOCH_BYTES: Final = 190
"""The most bytes of the results of an epoch there."""
_COUNT_BYTES: Final = 5
"""The most bytes of a number of rows."""
_CLASS_BYTES: Final = 9
"""The most bytes of an old class, with a number of rows, in the record of a candidate."""


@dataclass(frozen=True)
class EnteredRound:
    """A round that accepts the transaction, with its model and the version that the round improves."""

    round: Round
    model: Model
    version: Version
    """Version t."""
    calendar: Calendar
    epoch: int
    """The running epoch in COMMIT and UPDATE; 0 in other phases."""
    events: tuple[Event, ...]
    """Events of the due steps that were applied."""

    @property
    def is_growth(self) -> bool:
        """Whether updates are appended to version t, so that its activations are worth keeping."""
        return self.round.terms.kind == RoundKind.GROW

    @property
    def class_bytes(self) -> int:
        """What the lost rows by class can add to the record of a candidate, in bytes."""
        return _CLASS_BYTES * self.round.old_classes

    @property
    def record_bytes(self) -> int:
        """What the record of the round can grow to, in bytes: a transaction that writes it pays for them.

        It follows from the terms alone, so a price does not change while a transaction waits.
        """
        terms = self.round.terms
        parts = terms.validation + terms.sealed + MAX_WITNESSES
        counts = 2 * _COUNT_BYTES * self.round.classes
        return len(encode(terms)) + _PART_BYTES * parts + _EPOCH_BYTES * terms.epochs + counts


def enter(state: State, ctx: BlockContext, round_id: Hash, *phases: Phase) -> EnteredRound:
    """Applies the due steps of the round in `state`, then checks that the round is in one of the phases.

    What the due steps changed is kept only if the transaction is included and its `apply` returns. Raises
    `MissingRecord`, `RoundEnded`, `WrongPhase`.
    """
    round_, events = settle(state, ctx, round_id)
    if round_.status != RoundStatus.OPEN:
        raise RoundEnded(got=RoundStatus(round_.status).name.lower())
    calendar = Calendar.of(round_, ctx.rules)
    span = calendar.at(ctx.tick)
    check_phase(span.phase, phases)
    model = state.get(Model, round_.model)
    version = state.get(Version, round_.model, u32(round_.version))
    return EnteredRound(round_, model, version, calendar, span.epoch, events)


def check_phase(got: Phase, expected: tuple[Phase, ...]) -> None:
    """Raises `WrongPhase` if the round is in another phase, earlier or later."""
    if got not in expected:
        wanted = " or ".join(phase.name.lower() for phase in expected)
        raise WrongPhase(expected=wanted, got=got.name.lower())


def check_epoch(entry: EnteredRound, epoch: int) -> None:
    """Raises `WrongPhase` unless this epoch is running."""
    if epoch != entry.epoch:
        raise WrongPhase("another epoch is running", expected=entry.epoch, got=epoch)
