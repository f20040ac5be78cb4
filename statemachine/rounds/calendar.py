"""The calendar of a round: which phase a tick belongs to. Pure arithmetic on ticks; no state, no money.

Ticks are those of the round clock: a block full of transactions lets no time pass. A transaction is in the
phase of the tick that its parent block left, `BlockContext.tick`.

No code runs when a phase begins or ends. A transaction asks in which phase its block stands, and `settlement`
asks which phases are over. First and last ticks are inclusive. The first span begins one tick after the one
at which `open_round` stands, and each following span begins where the one before it ended:

    OPEN open_window · DRAW draw_ticks · WAIT gap · REVEAL reveal_window
    for each epoch: COMMIT commit_window · WAIT gap · UPDATE update_window
    WAIT gap · AUDIT audit_window · RETENTION retention_window · CLOSED for ever

A round whose work is done early still keeps to its calendar. To add a phase, add one line to `_lengths`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from engram.statemachine.rounds.errors import TermsInvalid
from engram.statemachine.rounds.records import Round, RoundStatus, RoundTerms
from engram.statemachine.rules import Rules

FOREVER: Final = 2**64 - 1
"""Last tick of the span that has no end."""


class DueStep(IntEnum):
    """A step that settling applies to a round once a deadline has passed; see `settlement`."""

    UNREVEALED = 0
    """The opener did not reveal the k validation parts: the round aborts."""
    EPOCH_END = 1
    """An epoch is over: authors who committed and did not reveal lose their bonds."""
    UNSEALED = 2
    """A third party did not open the part that they sealed: they lose their bond."""
    WITHHELD = 3
    """The opener did not open the s sealed parts: the round aborts."""
    DECISION = 4
    """Everything is open and scored, or there is no candidate: the round ends."""


class Phase(IntEnum):
    """What a round waits for."""

    OPEN = 0
    """Third parties seal parts."""
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
    AUDIT = 6
    """The sealed parts open."""
    RETENTION = 7
    """Candidates are scored on the retention parts."""
    CLOSED = 8
    """The outcome can be settled."""


@dataclass(frozen=True, slots=True)
class Span:
    """A phase and its ticks, both inclusive; empty where last < first."""

    phase: Phase
    epoch: int
    """Epoch of COMMIT and UPDATE and of the gap between them; 0 elsewhere."""
    first: int
    last: int


def _lengths(terms: RoundTerms, rules: Rules) -> Iterator[tuple[Phase, int, int]]:
    yield Phase.OPEN, 0, terms.open_window
    yield Phase.DRAW, 0, rules.draw_ticks
    yield Phase.WAIT, 0, terms.gap
    yield Phase.REVEAL, 0, terms.reveal_window
    for epoch in range(terms.epochs):
        yield Phase.COMMIT, epoch, terms.commit_window
        yield Phase.WAIT, epoch, terms.gap
        yield Phase.UPDATE, epoch, terms.update_window
    yield Phase.WAIT, 0, terms.gap
    yield Phase.AUDIT, 0, terms.audit_window
    yield Phase.RETENTION, 0, terms.retention_window


@dataclass(frozen=True, slots=True)
class Calendar:
    """All spans of one round. They follow from its terms alone: make one for a question and pass it on."""

    spans: tuple[Span, ...]
    """In order and without holes; the last is CLOSED and has no end."""

    @classmethod
    def of(cls, round_: Round, rules: Rules) -> Calendar:
        """The calendar of a round."""
        return cls.opened_at(round_.opened, round_.terms, rules)

    @classmethod
    def opened_at(cls, opened: int, terms: RoundTerms, rules: Rules) -> Calendar:
        """The calendar of a round with these terms whose `open_round` stands at this tick."""
        spans, first = [], opened + 1
        for phase, epoch, length in _lengths(terms, rules):
            spans.append(Span(phase, epoch, first, first + length - 1))
            first += length
        return cls((*spans, Span(Phase.CLOSED, 0, first, FOREVER)))

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
        """The first step that is due at `tick` and not yet applied; `round_` is the round as it stands.

        A round without candidates skips the steps that open its sealed parts: there is nothing to judge.
        """
        if round_.status != RoundStatus.OPEN:
            return None
        terms, epoch = round_.terms, round_.settled_epochs
        if len(round_.validation_opened) < terms.validation:
            return DueStep.UNREVEALED if self.is_over(tick, Phase.REVEAL) else None
        if epoch < terms.epochs:
            return DueStep.EPOCH_END if self.is_over(tick, Phase.UPDATE, epoch) else None
        if round_.candidates and self.is_over(tick, Phase.AUDIT):
            if any(sealed.bond for sealed in round_.third_party):
                return DueStep.UNSEALED
            if opener_sealed_opened(round_) < terms.sealed:
                return DueStep.WITHHELD
        return DueStep.DECISION if self.is_over(tick, Phase.RETENTION) else None


def opener_sealed_opened(round_: Round) -> int:
    """How many of the opener's s sealed parts are open."""
    return sum(part.commitment in round_.sealed_drawn for part in round_.sealed_opened)


def check_calendar(terms: RoundTerms, rules: Rules) -> None:
    """Refuses windows, gaps and epochs outside the rules, and a calendar that outlives what it needs.

    There are no more epochs than places for candidates, so that every epoch has one of its own.

    The oldest tick of the draw must still stand in the ring of recent ticks when the reveal window ends.
    Raises `TermsInvalid`.
    """
    retention = terms.retention_window or rules.min_window_ticks
    windows = (
        terms.open_window,
        terms.reveal_window,
        terms.commit_window,
        terms.update_window,
        terms.audit_window,
        retention,
    )
    for window in windows:
        within("window", window, rules.min_window_ticks, rules.max_window_ticks)
    within("gap", terms.gap, rules.min_gap_ticks, rules.max_window_ticks)
    within("epochs", terms.epochs, 1, min(rules.max_epochs, rules.max_candidates))
    memory = rules.draw_ticks + terms.gap + terms.reveal_window
    within("ticks from the draw to the last reveal", memory, 0, rules.tick_ring)
    length = sum(length for _, _, length in _lengths(terms, rules))
    within("ticks of the whole round", length, 0, rules.max_round_ticks)


def within(name: str, value: int, low: int, high: int) -> None:
    """Refuses a term outside [low, high]. Raises `TermsInvalid`."""
    if not low <= value <= high:
        raise TermsInvalid(f"{name} is out of bounds", expected=f"{low}..{high}", got=value)
