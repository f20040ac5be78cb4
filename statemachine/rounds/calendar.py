"""The calendar of a round: which phase a tick belongs to. Pure arithmetic on ticks; no state, no money.

Ticks are those of the round clock: a block full of transactions lets no time pass. A transaction is in the
phase of the tick that its parent block left, `BlockContext.tick`.

No code runs when a phase begins or ends. A transaction asks in which phase its block stands, and `settlement`
asks which phases are over. First and last ticks are inclusive. The first span begins one tick after the one
at which `open_round` stands, and each following span begins where the one before it ended:

    OPEN open_window · DRAW draw_ticks · WAIT gap · REVEAL reveal_window
    for each epoch: COMMIT commit_window · WAIT gap · UPDATE update_window
    WAIT gap · AUDIT_WITNESSES witness_window · AUDIT audit_window · SCORE score_window · CLOSED for ever

Three phases end early, with the tick in which the last who owes something has acted: REVEAL, AUDIT_WITNESSES
and AUDIT. The record of the round keeps these ticks. Where no witness has sealed a part, AUDIT_WITNESSES is
empty. All other phases keep to their windows. To add a phase, add one line to `_lengths`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple

from engram.statemachine.rounds.errors import TermsInvalid
from engram.statemachine.rounds.records import Round, RoundStatus, RoundTerms, RoundWitness
from engram.statemachine.rules import Rules

FOREVER: Final = 2**64 - 1
"""Last tick of the span that has no end."""


class DueStep(IntEnum):
    """A step that settling applies to a round once a deadline has passed; see `settlement`."""

    UNATTENDED = 0
    """A standing witness of the model did not seal a part: the round is cancelled."""
    UNREVEALED = 1
    """The opener did not reveal the k validation parts: the round aborts."""
    NO_CANDIDATE = 2
    """The last UPDATE is over and there is no candidate: the round ends, and nobody owes anything."""
    UNOPENED = 3
    """A witness did not open the part that they sealed: they lose their bond."""
    WITHHELD = 4
    """The opener did not open the s sealed parts: the round aborts."""
    DECISION = 5
    """The time for scoring is over: the round ends."""


class Phase(IntEnum):
    """What a round waits for."""

    OPEN = 0
    """Witnesses seal parts."""
    DRAW = 1
    """Block ids gather for the seed."""
    WAIT = 2
    """A gap: nothing is accepted, so that a short reorganisation cannot turn a public thing secret again."""
    REVEAL = 3
    """The opener reveals the validation parts."""
    COMMIT = 4
    """Authors commit to updates."""
    UPDATE = 5
    """Authors reveal the updates they committed to."""
    AUDIT_WITNESSES = 6
    """Witnesses open their sealed parts."""
    AUDIT = 7
    """The opener opens the sealed parts, as the last who has something to open."""
    SCORE = 8
    """Candidates are scored on all parts that their authors could not see, and on the retention parts."""
    CLOSED = 9
    """The outcome can be settled."""


@dataclass(frozen=True, slots=True)
class Span:
    """A phase and its ticks, both inclusive; empty where last < first."""

    phase: Phase
    epoch: int
    """Epoch of COMMIT and UPDATE and of the gap between them; 0 elsewhere."""
    first: int
    last: int


class _Windows(NamedTuple):
    """What the calendar follows from, out of terms and rules: ticks, and a number of epochs."""

    opening: int
    draw: int
    gap: int
    reveal: int
    epochs: int
    commit: int
    update: int
    witness: int
    audit: int
    score: int

    @classmethod
    def of(cls, terms: RoundTerms, rules: Rules) -> _Windows:
        return cls(
            terms.open_window,
            rules.draw_ticks,
            terms.gap,
            terms.reveal_window,
            terms.epochs,
            terms.commit_window,
            terms.update_window,
            terms.witness_window,
            terms.audit_window,
            terms.score_window,
        )


def _lengths(windows: _Windows) -> Iterator[tuple[Phase, int, int]]:
    yield Phase.OPEN, 0, windows.opening
    yield Phase.DRAW, 0, windows.draw
    yield Phase.WAIT, 0, windows.gap
    yield Phase.REVEAL, 0, windows.reveal
    for epoch in range(windows.epochs):
        yield Phase.COMMIT, epoch, windows.commit
        yield Phase.WAIT, epoch, windows.gap
        yield Phase.UPDATE, epoch, windows.update
    yield Phase.WAIT, 0, windows.gap
    yield Phase.AUDIT_WITNESSES, 0, windows.witness
    yield Phase.AUDIT, 0, windows.audit
    yield Phase.SCORE, 0, windows.score


@dataclass(frozen=True, slots=True)
class Calendar:
    """All spans of one round. They follow from its terms alone: make one for a question and pass it on."""

    spans: tuple[Span, ...]
    """In order and without holes; the last is CLOSED and has no end."""

    @classmethod
    def of(cls, round_: Round, rules: Rules) -> Calendar:
        """The calendar of a round, as far as it has come."""
        before_it_began = round_.opened + 1
        witnesses_ended = round_.witnesses_ended if round_.witnesses else before_it_began
        windows = _Windows.of(round_.terms, rules)
        return cls._made(round_.opened, windows, round_.reveal_ended, witnesses_ended, round_.audit_ended)

    @classmethod
    def opened_at(cls, opened: int, terms: RoundTerms, rules: Rules) -> Calendar:
        """The longest calendar of a round with these terms whose `open_round` stands at this tick."""
        return cls._made(opened, _Windows.of(terms, rules), 0, 0, 0)

    @staticmethod
    @lru_cache(maxsize=256)
    def _made(
        opened: int, windows: _Windows, reveal_ended: int, witnesses_ended: int, audit_ended: int
    ) -> Calendar:
        """The last three are ticks with which a phase ended early, or 0.

        Every transaction of a round asks for its calendar several times, and few rounds are open at a time.
        """
        ended = {
            Phase.REVEAL: reveal_ended,
            Phase.AUDIT_WITNESSES: witnesses_ended,
            Phase.AUDIT: audit_ended,
        }
        spans, first = [], opened + 1
        for phase, epoch, length in _lengths(windows):
            last = first + length - 1
            if early := ended.get(phase, 0):
                last = max(first - 1, min(last, early))
            spans.append(Span(phase, epoch, first, last))
            first = last + 1
        return Calendar((*spans, Span(Phase.CLOSED, 0, first, FOREVER)))

    def at(self, tick: int) -> Span:
        """The span that holds `tick`. The tick of `open_round` itself belongs to OPEN."""
        return next(span for span in self.spans if tick <= span.last)

    def span(self, phase: Phase, epoch: int = 0) -> Span:
        """The span of a phase, of `epoch` where the phase recurs. WAIT gives the first gap."""
        return next(span for span in self.spans if span.phase is phase and span.epoch == epoch)

    def is_over(self, tick: int, phase: Phase, epoch: int = 0) -> bool:
        """Whether `tick` is past the last tick of the phase."""
        return tick > self.span(phase, epoch).last

    @property
    def draw_ticks(self) -> range:
        """Ticks whose block ids make the seed of the draw."""
        span = self.span(Phase.DRAW)
        return range(span.first, span.last + 1)

    def due(self, round_: Round, tick: int) -> DueStep | None:
        """The first step that is due at `tick` and not yet applied; `round_` is the round as it stands."""
        if round_.status != RoundStatus.OPEN:
            return None
        terms = round_.terms
        if len(round_.validation_opened) < terms.validation:
            if self.is_over(tick, Phase.OPEN) and not is_attended(round_):
                return DueStep.UNATTENDED
            return DueStep.UNREVEALED if self.is_over(tick, Phase.REVEAL) else None
        if not round_.has_candidates:
            return DueStep.NO_CANDIDATE if self.is_over(tick, Phase.UPDATE, terms.epochs - 1) else None
        if self.is_over(tick, Phase.AUDIT_WITNESSES) and owing_witnesses(round_):
            return DueStep.UNOPENED
        if self.is_over(tick, Phase.AUDIT) and opener_sealed_opened(round_) < terms.sealed:
            return DueStep.WITHHELD
        return DueStep.DECISION if self.is_over(tick, Phase.SCORE) else None


def is_attended(round_: Round) -> bool:
    """Whether every standing witness of the model has sealed a part."""
    sealed = {witness.author for witness in round_.witnesses}
    return all(witness.address in sealed for witness in round_.standing)


def owing_witnesses(round_: Round) -> tuple[RoundWitness, ...]:
    """The witnesses who still have to open the part that they sealed."""
    return tuple(witness for witness in round_.witnesses if witness.bond)


def opener_sealed_opened(round_: Round) -> int:
    """How many of the opener's s sealed parts are open."""
    return sum(part.commitment in round_.sealed_drawn for part in round_.unseen)


def check_calendar(terms: RoundTerms, rules: Rules) -> None:
    """Refuses windows, gaps and epochs outside the rules, and a calendar that outlives what it needs.

    The oldest tick of the draw must still stand in the ring of recent ticks when the reveal window ends.
    Raises `TermsInvalid`.
    """
    windows = (
        terms.open_window,
        terms.reveal_window,
        terms.commit_window,
        terms.update_window,
        terms.witness_window,
        terms.audit_window,
        terms.score_window,
    )
    for window in windows:
        within("window", window, rules.min_window_ticks, rules.max_window_ticks)
    within("gap", terms.gap, rules.min_gap_ticks, rules.max_window_ticks)
    within("epochs", terms.epochs, 1, rules.max_epochs)
    memory = rules.draw_ticks + terms.gap + terms.reveal_window
    within("ticks from the draw to the last reveal", memory, 0, rules.tick_ring)
    length = sum(length for _, _, length in _lengths(_Windows.of(terms, rules)))
    within("ticks of the whole round", length, 0, rules.max_round_ticks)


def within(name: str, value: int, low: int, high: int) -> None:
    """Refuses a term outside [low, high]. Raises `TermsInvalid`."""
    if not low <= value <= high:
        raise TermsInvalid(f"{name} is out of bounds", expected=f"{low}..{high}", got=value)
