"""Score update: anyone can have a candidate scored on parts that its author could not see.

The sender pays, for one candidate and some parts at a time. A candidate that is not scored on every part
cannot win, and one without any loss below a baseline loses its bond; so its author has reason to pay.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, ClassVar

from engram.primitives.codec import encode
from engram.primitives.types import U8, U16, Address, Hash, Size
from engram.statemachine.context import BlockContext
from engram.statemachine.loading import composition_of, open_part, version_network
from engram.statemachine.receipt import Event
from engram.statemachine.records import Model, Part, RetentionPart
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import (
    ScoredRows,
    best_of,
    find_candidate,
    is_complete,
    is_refused,
    is_scored,
    parts_to_score,
    with_retention,
    with_unseen,
)
from engram.statemachine.rounds.entry import EnteredRound, enter
from engram.statemachine.rounds.errors import PartScored, PartsNotScorable
from engram.statemachine.rounds.judging import is_lower
from engram.statemachine.rounds.records import NOBODY, Candidate, EpochBest, OpenedPart, Round
from engram.statemachine.rounds.union import check_halves_scored, half_weights, reasons_against_all
from engram.statemachine.rounds.update import proposal_rows, propose, scoring_macs
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class ScoreUpdate:
    """Asks for the scores of one candidate on the parts with these numbers, see `parts_to_score`."""

    KIND: ClassVar[int] = 22
    NAME: ClassVar[str] = "score_update"
    round: Hash
    epoch: U8
    author: Address
    """Author of the candidate; epoch and author together name it."""
    parts: Annotated[tuple[U16, ...], Size(1, 272)]
    """Numbers of parts, ascending."""

    def check(self, rules: Rules) -> None:
        """Raises `PartsNotScorable` unless the numbers ascend."""
        if any(before >= after for before, after in pairwise(self.parts)):
            raise PartsNotScorable("the numbers of the parts do not ascend", got=self.parts)

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """The MACs of version t and of the candidate on each part without a score; their records.

        A part that somebody else has had scored is left out and not charged, so nobody can make the whole
        transaction void by coming first with one part.

        Raises what `enter` raises, `MissingRecord`, `PartsNotScorable`, `PartScored`, `HalfNotScored`.
        """
        entry, candidate = self._enter(state.child(), ctx)
        rows = [self._rows(entry, part) for _, part in self._parts(entry, candidate)]
        base = composition_of(state, ctx, entry.version)
        macs = [scoring_macs(ctx.rules, entry.round, base, candidate.update, count) for count in rows]
        size = entry.record_bytes + entry.class_bytes + len(encode(candidate.update))
        return Cost(macs=sum(macs), records=1, record_bytes=size)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Adds the scores to the candidate. If they are complete, the candidate may become its epoch's best.

        Raises what `cost` raises, and `MissingBlob`.
        """
        entry, candidate = self._enter(state, ctx)
        round_, model = entry.round, entry.model
        numbers = tuple(number for number, _ in self._parts(entry, candidate))
        for number, found in self._score(state, ctx, entry, candidate):
            if number < len(round_.unseen):
                candidate = with_unseen(ctx.rules, round_, model, candidate, number, found)
            else:
                candidate = with_retention(candidate, number, found)
        state.put(candidate)
        names = (self.author.hex(),)
        scored = Event("update_scored", self.round, (self.epoch, *numbers), names)
        if not is_complete(round_, model, candidate):
            return Outcome((*entry.events, scored))
        share = best_of(candidate, round_)
        halves = half_weights(state, ctx.rules, round_, model, candidate)
        reasons = reasons_against_all(ctx.rules, round_, model, candidate, halves)
        mine = None if reasons else replace(share, halves=halves)
        if (noted := _with_candidate(round_, model, candidate, mine)) is not round_:
            state.put(noted)
        done = Event(
            "update_judged", self.round, (self.epoch, share.loss, share.baseline), (*names, *reasons)
        )
        return Outcome((*entry.events, scored, done))

    def _enter(self, state: State, ctx: BlockContext) -> tuple[EnteredRound, Candidate]:
        entry = enter(state, ctx, self.round, Phase.SCORE)
        candidate = find_candidate(state, entry.round, self.epoch, self.author)
        if self.parts[-1] >= (count := len(parts_to_score(entry.round, entry.model))):
            raise PartsNotScorable(
                "there is no part with this number", expected=count - 1, got=self.parts[-1]
            )
        if not self._parts(entry, candidate):
            raise PartScored(got=self.parts)
        check_halves_scored(state, entry.round, entry.model, candidate)
        return entry, candidate

    def _parts(
        self, entry: EnteredRound, candidate: Candidate
    ) -> list[tuple[int, OpenedPart | RetentionPart]]:
        parts = parts_to_score(entry.round, entry.model)
        return [(number, parts[number]) for number in self.parts if not is_scored(candidate, number)]

    def _rows(self, entry: EnteredRound, part: OpenedPart | RetentionPart) -> int:
        return part.rows if isinstance(part, RetentionPart) else entry.round.terms.rows

    def _score(
        self, state: State, ctx: BlockContext, entry: EnteredRound, candidate: Candidate
    ) -> Iterator[tuple[int, ScoredRows]]:
        round_, model = entry.round, entry.model
        base, kind = version_network(state, ctx, entry.version), entry.model.loss_function
        network = propose(state, ctx, base, candidate.update, candidate.author)
        for number, opened in self._parts(entry, candidate):
            name = opened.part if isinstance(opened, RetentionPart) else opened.commitment
            part = open_part(state, ctx, state.get(Part, name))
            before = ctx.scorer.network_rows(base, part, round_.old_classes, kind, keep=entry.is_growth)
            own = proposal_rows(ctx, round_, model, network, part)
            yield number, ScoredRows(part.load().labels, before, own)


def _with_candidate(round_: Round, model: Model, candidate: Candidate, mine: EpochBest | None) -> Round:
    """The round, with the candidate as the best of its epoch if it is, and marked if it was refused.

    `mine` is its share; None if it is not eligible.
    """
    if is_refused(round_, model, candidate) and not round_.refused:
        round_ = replace(round_, refused=True)
    if mine is None:
        return round_
    epoch = candidate.epoch
    held = round_.best[epoch]
    if held.author != NOBODY and not is_lower(mine, held):
        return round_
    best = [mine if number == epoch else other for number, other in enumerate(round_.best)]
    return replace(round_, best=tuple(best))
