"""Reveal part: the opener discloses a validation part, and with it the nonce of the draw.

The first of these transactions performs the draw. Every node scores version t on the part; that is the loss
that updates must beat.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from engram.nn.data import PartData
from engram.primitives.errors import Invalid
from engram.primitives.types import Address, Hash
from engram.statemachine.content import Content, carried_blobs, resolve
from engram.statemachine.context import BlockContext
from engram.statemachine.receipt import Event
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.disclosure import (
    Disclosure,
    check_commitment,
    check_content,
    check_drawn,
    opening_macs,
    publish,
    read_rows,
    with_counts,
    with_draw,
)
from engram.statemachine.rounds.entry import EnteredRound, enter
from engram.statemachine.rounds.errors import NotTheOpener
from engram.statemachine.rounds.records import OpenedPart, Round
from engram.statemachine.rounds.settlement import abort
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class RevealPart:
    """Discloses one of the k validation parts that were drawn."""

    KIND: ClassVar[int] = 18
    NAME: ClassVar[str] = "reveal_part"
    round: Hash
    nonce: Hash
    """32 bytes whose hash stands in the terms."""
    part: Hash
    """Its commitment."""
    salt: Hash
    content: Content

    def check(self, rules: Rules) -> None:
        """Checks nothing: whether the values are right depends on the round."""

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """The MACs of version t on the part, and four records: the part, its blob and bytes, and a score.

        Raises what `enter`, `with_draw`, `check_drawn` and `check_content` raise, and `NotTheOpener`.
        """
        trial = state.child()
        entry, _ = self._enter(trial, ctx, sender)
        check_content(trial, ctx, entry, self._opening(sender))
        return Cost(macs=opening_macs(state, ctx, entry), records=4, record_bytes=entry.record_bytes)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Publishes the part with version t's score. Aborts the round if its opener committed to bad bytes.

        Bad are bytes that match the commitment but are no part of this round, or were public before it
        opened; the receipt is then FAILED. With the last of the k parts the phase ends.
        Raises what `cost` raises, `CommitmentMismatch` for stored bytes, and `MissingBlob`.
        """
        entry, events = self._enter(state, ctx, sender)
        opening = self._opening(sender)
        raw = resolve(state, ctx, self.content)
        check_commitment(self.part, self.salt, raw)
        try:
            rows = read_rows(state, entry, opening, raw, least_old=0)
        except Invalid as error:
            aborted, happened = abort(state, ctx, entry.round)
            state.put(aborted)
            return Outcome((*events, *happened), failed=error.code)
        opened = publish(state, ctx, entry, opening, raw, rows)
        state.put(_with_part(entry.round, ctx, opened, rows))
        revealed = Event("part_revealed", self.round, (opened.old_loss, opened.old), (self.part.hex(),))
        return Outcome((*events, revealed), blobs=carried_blobs(self.content))

    def _opening(self, sender: Address) -> Disclosure:
        return Disclosure(sender, self.part, self.salt, self.content)

    def _enter(
        self, state: State, ctx: BlockContext, sender: Address
    ) -> tuple[EnteredRound, tuple[Event, ...]]:
        entry = enter(state, ctx, self.round, Phase.REVEAL)
        check_opener(entry.round, sender)
        round_, drawn = with_draw(state, ctx, entry, self.nonce)
        check_drawn(round_, self.part, round_.validation_drawn)
        return replace(entry, round=round_), (*entry.events, *drawn)


def _with_part(round_: Round, ctx: BlockContext, part: OpenedPart, rows: PartData) -> Round:
    opened = (*round_.validation_opened, part)
    return replace(
        round_,
        validation_opened=opened,
        validation_counts=with_counts(round_.validation_counts, rows, round_.classes),
        reveal_ended=ctx.tick if len(opened) == round_.terms.validation else 0,
    )


def check_opener(round_: Round, sender: Address) -> None:
    """Raises `NotTheOpener` unless the sender has opened the round."""
    if sender != round_.opener:
        raise NotTheOpener(expected=round_.opener, got=sender)
