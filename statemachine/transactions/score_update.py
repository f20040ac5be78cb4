"""Score update: anyone can have a candidate scored on parts that its author could not see.

The sender pays, for one candidate and some parts at a time. A candidate that is not scored on every part
cannot win, and one without any loss below a baseline loses its bond; so its author has reason to pay.

On a model with `ClaimTerms`, no node computes anything here: the author claims the scores, row by row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, ClassVar

from engram.primitives.codec import encode
from engram.primitives.types import U8, U16, Address, Blob, Hash, Size, Trailing
from engram.statemachine.context import BlockContext
from engram.statemachine.loading import composition_of, open_part, version_network
from engram.statemachine.receipt import Event
from engram.statemachine.records import Part, RetentionPart
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import (
    ScoredRows,
    find_candidate,
    is_complete,
    is_scored,
    parts_to_score,
    with_retention,
    with_unseen,
)
from engram.statemachine.rounds.claims import (
    Claims,
    check_misplaced,
    name_of,
    open_claim,
    read_claims,
    roots_bytes,
    rows_of,
    with_claims,
)
from engram.statemachine.rounds.entry import EnteredRound, enter
from engram.statemachine.rounds.errors import NotTheAuthor, PartScored, PartsNotScorable
from engram.statemachine.rounds.leading import judge
from engram.statemachine.rounds.records import Candidate, OpenedPart
from engram.statemachine.rounds.union import check_halves_scored
from engram.statemachine.rounds.update import proposal_rows, propose, reading_macs, scoring_macs
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class ScoreUpdate:
    """Asks for the scores of one candidate on the parts with these numbers: the unseen parts in the order in
    which they opened, then in GROW the retention parts of the model."""

    KIND: ClassVar[int] = 22
    NAME: ClassVar[str] = "score_update"
    round: Hash
    epoch: U8
    author: Address
    """Author of the candidate; epoch and author together name it."""
    parts: Annotated[tuple[U16, ...], Size(1, 272)]
    """Numbers of parts, ascending."""
    claimed: Annotated[Blob, Trailing()] = b""
    """On a model with `ClaimTerms`, the head and the claimed rows of these parts, see
    docs/protocol/claims.md; else nothing.
    """

    def check(self, rules: Rules) -> None:
        """Raises `PartsNotScorable` unless the numbers ascend."""
        if any(before >= after for before, after in pairwise(self.parts)):
            raise PartsNotScorable("the numbers of the parts do not ascend", got=self.parts)

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """The MACs of version t and of the candidate on each part without a score; their records.

        A part that somebody else has had scored is left out and not charged, so nobody can make the whole
        transaction void by coming first with one part. Of claimed parts, only the reading is charged.

        Raises what `enter` raises, `MissingRecord`, `PartsNotScorable`, `PartScored`, `HalfNotScored`; and of
        claims `ClaimMisplaced`, `NotTheAuthor`, `ClaimDecided`, `ClaimMalformed`, `OtherPartsClaimed`.
        """
        entry, candidate = self._enter(state.child(), ctx, sender)
        rows = self._rows(entry, candidate)
        size = entry.record_bytes + entry.class_bytes + len(encode(candidate.update))
        if self.claimed:
            macs = [reading_macs(ctx.rules, entry.model.inputs, count) for count in rows]
            size += roots_bytes(entry.round, entry.model)
        else:
            base = composition_of(state, ctx, entry.version)
            macs = [scoring_macs(ctx.rules, entry.round, base, candidate.update, count) for count in rows]
        return Cost(macs=sum(macs), records=1, record_bytes=size)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Adds the scores to the candidate. If they are complete, the candidate may become its epoch's best.

        Scores that are claimed have to be confirmed before. Raises what `cost` raises, and `MissingBlob`.
        """
        entry, candidate = self._enter(state, ctx, sender)
        round_, model = entry.round, entry.model
        numbers = tuple(number for number, _ in self._parts(entry, candidate))
        for number, found in self._score(state, ctx, entry, candidate):
            if number < len(round_.unseen):
                candidate = with_unseen(ctx.rules, round_, model, candidate, number, found)
            else:
                candidate = with_retention(candidate, number, found)
        if candidate.claim is not None:
            places = [len(round_.validation_opened) + number for number in numbers]
            claim = with_claims(round_, model, candidate.claim, places, self.claimed, ctx.tick)
            candidate = replace(candidate, claim=claim)
        state.put(candidate)
        names = (self.author.hex(),)
        scored = Event("update_scored", self.round, (self.epoch, *numbers), names)
        if not is_complete(round_, model, candidate):
            return Outcome((*entry.events, scored))
        noted, judged = judge(state, ctx.rules, round_, model, candidate)
        if noted is not round_:
            state.put(noted)
        return Outcome((*entry.events, scored, judged))

    def _enter(self, state: State, ctx: BlockContext, sender: Address) -> tuple[EnteredRound, Candidate]:
        entry = enter(state, ctx, self.round, Phase.SCORE)
        candidate = find_candidate(state, entry.round, self.epoch, self.author)
        if self.parts[-1] >= (count := len(parts_to_score(entry.round, entry.model))):
            raise PartsNotScorable(
                "there is no part with this number", expected=count - 1, got=self.parts[-1]
            )
        if not self._parts(entry, candidate):
            raise PartScored(got=self.parts)
        check_misplaced(entry.model, self.claimed)
        if self.claimed:
            self._check_claim(entry, candidate, sender)
        else:
            check_halves_scored(state, entry.round, entry.model, candidate)
        return entry, candidate

    def _check_claim(self, entry: EnteredRound, candidate: Candidate, sender: Address) -> None:
        """Refuses a claim of somebody else, of parts that are claimed already, and bytes that are none."""
        open_claim(candidate)
        if sender != candidate.author:
            raise NotTheAuthor(expected=candidate.author, got=sender)
        if len(self._parts(entry, candidate)) < len(self.parts):
            raise PartScored(got=self.parts)
        self._read(entry, candidate)

    def _read(self, entry: EnteredRound, candidate: Candidate) -> tuple[Claims, ...]:
        return read_claims(entry.round, [part for _, part in self._parts(entry, candidate)], self.claimed)

    def _parts(
        self, entry: EnteredRound, candidate: Candidate
    ) -> list[tuple[int, OpenedPart | RetentionPart]]:
        parts = parts_to_score(entry.round, entry.model)
        return [(number, parts[number]) for number in self.parts if not is_scored(candidate, number)]

    def _rows(self, entry: EnteredRound, candidate: Candidate) -> list[int]:
        return [rows_of(entry.round, part) for _, part in self._parts(entry, candidate)]

    def _score(
        self, state: State, ctx: BlockContext, entry: EnteredRound, candidate: Candidate
    ) -> Iterator[tuple[int, ScoredRows]]:
        round_, model = entry.round, entry.model
        if self.claimed:
            found = self._read(entry, candidate)
            for (number, opened), (before, own) in zip(self._parts(entry, candidate), found, strict=True):
                part = open_part(state, ctx, state.get(Part, name_of(opened)))
                yield number, ScoredRows(part.load().labels, before, own)
            return
        base, kind = version_network(state, ctx, entry.version), entry.model.loss_function
        network = propose(state, ctx, base, candidate.update, candidate.author)
        for number, opened in self._parts(entry, candidate):
            part = open_part(state, ctx, state.get(Part, name_of(opened)))
            before = ctx.scorer.network_rows(base, part, round_.old_classes, kind, keep=entry.is_growth)
            own = proposal_rows(ctx, round_, model, network, part)
            yield number, ScoredRows(part.load().labels, before, own)
