"""Reveal sealed: after the last update, a witness or the opener discloses a sealed part.

All witnesses come first, then the opener: who opens last knows what the others have shown, and the opener is
the one with the most to lose. Nothing but version t is scored here; candidates are scored afterwards, by
whoever pays for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from engram.nn.data import PartData
from engram.primitives.errors import Invalid
from engram.primitives.types import Address, Hash
from engram.statemachine.content import Content, carried_blobs, resolve
from engram.statemachine.context import BlockContext
from engram.statemachine.money import burn, give, mature
from engram.statemachine.receipt import Event
from engram.statemachine.rounds.calendar import Phase, opener_sealed_opened, owing_witnesses
from engram.statemachine.rounds.disclosure import (
    Disclosure,
    check_commitment,
    check_content,
    check_drawn,
    opening_macs,
    publish,
    read_rows,
    with_counts,
)
from engram.statemachine.rounds.entry import EnteredRound, check_phase, enter
from engram.statemachine.rounds.records import OpenedPart, Round
from engram.statemachine.rounds.settlement import Settled, abort, burn_bond
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class RevealSealed:
    """Discloses one of the opener's s sealed parts, or the part of a witness."""

    KIND: ClassVar[int] = 21
    NAME: ClassVar[str] = "reveal_sealed"
    round: Hash
    part: Hash
    """Its commitment."""
    salt: Hash
    content: Content

    def check(self, rules: Rules) -> None:
        """Checks nothing: whether the values are right depends on the round."""

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """The MACs of version t on the part, and four records: the part, its blob and bytes, and a score.

        Raises what `enter`, `check_drawn` and `check_content` raise.
        """
        trial = state.child()
        entry = self._enter(trial, ctx, sender)
        check_content(trial, ctx, entry, self._opening(sender))
        return Cost(macs=opening_macs(state, ctx, entry), records=4, record_bytes=entry.record_bytes)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Publishes the part, and pays a witness fee and bond; FAILED if the bytes are broken.

        Broken are bytes that match the commitment but are no part of this round, hold fewer old rows than
        promised, or were public before the round opened. If they are the opener's, the round aborts. If they
        are a witness's, the witness loses the bond and the part does not count. With the last part that
        somebody owes the phase ends. Raises what `cost` raises, `CommitmentMismatch` for stored bytes, and
        `MissingBlob`.
        """
        entry = self._enter(state, ctx, sender)
        opening = self._opening(sender)
        raw = resolve(state, ctx, self.content)
        check_commitment(self.part, self.salt, raw)
        try:
            rows = read_rows(state, entry, opening, raw, least_old_rows(entry.round, sender))
        except Invalid as error:
            round_, happened = _broken(state, ctx, entry.round, sender)
            state.put(round_)
            return Outcome((*entry.events, *happened), failed=error.code)
        opened = publish(state, ctx, entry, opening, raw, rows)
        round_ = _paid(state, ctx, entry.round, sender)
        state.put(_with_ends(_with_part(round_, opened, rows), ctx.tick))
        event = Event("sealed_opened", self.round, (opened.old_loss,), (sender.hex(), self.part.hex()))
        return Outcome((*entry.events, event), blobs=carried_blobs(self.content))

    def _opening(self, sender: Address) -> Disclosure:
        return Disclosure(sender, self.part, self.salt, self.content)

    def _enter(self, state: State, ctx: BlockContext, sender: Address) -> EnteredRound:
        entry = enter(state, ctx, self.round, Phase.AUDIT_WITNESSES, Phase.AUDIT)
        mine = Phase.AUDIT if sender == entry.round.opener else Phase.AUDIT_WITNESSES
        check_phase(entry.calendar.at(ctx.tick).phase, (mine,))
        check_drawn(entry.round, self.part, openable(entry.round, sender))
        return entry


def openable(round_: Round, sender: Address) -> tuple[Hash, ...]:
    """The commitments that this sender has to open: the opener's sealed ones, or a witness's own."""
    if sender == round_.opener:
        return round_.sealed_drawn
    return tuple(witness.commitment for witness in owing_witnesses(round_) if witness.author == sender)


def least_old_rows(round_: Round, owner: Address) -> int:
    """The fewest rows of old classes that this owner's sealed part must have."""
    limited = any(witness.author == owner and witness.old_only for witness in round_.witnesses)
    return round_.terms.rows if limited else round_.terms.old_rows


def _broken(state: State, ctx: BlockContext, round_: Round, sender: Address) -> Settled:
    if sender == round_.opener:
        return abort(state, ctx, round_)
    mine = next(witness for witness in round_.witnesses if witness.author == sender)
    burn(state, mine.fee)
    events = burn_bond(state, round_, sender, mine.bond)
    return _with_ends(_with_witness(round_, sender, opened=False), ctx.tick), events


def _paid(state: State, ctx: BlockContext, round_: Round, sender: Address) -> Round:
    """Returns a witness's bond and pays the fee. Returns the round, does not store it."""
    if sender == round_.opener:
        return round_
    mine = next(witness for witness in round_.witnesses if witness.author == sender)
    give(state, sender, mine.bond)
    mature(state, ctx, sender, mine.fee)
    return _with_witness(round_, sender, opened=True)


def _with_witness(round_: Round, author: Address, *, opened: bool) -> Round:
    """The round in which this witness owes nothing any more."""
    return replace(
        round_,
        witnesses=tuple(
            replace(witness, bond=0, fee=0, opened=opened) if witness.author == author else witness
            for witness in round_.witnesses
        ),
    )


def _with_part(round_: Round, part: OpenedPart, rows: PartData) -> Round:
    counts, theirs = with_counts(round_.unseen_counts, rows, round_.classes), round_.witness_counts
    if part.owner in round_.witness_side:
        theirs = with_counts(theirs, rows, round_.classes)
    return replace(round_, unseen=(*round_.unseen, part), unseen_counts=counts, witness_counts=theirs)


def _with_ends(round_: Round, tick: int) -> Round:
    """The round whose phases end with this tick if nobody owes anything in them any more."""
    if not round_.witnesses_ended and round_.witnesses and not owing_witnesses(round_):
        round_ = replace(round_, witnesses_ended=tick)
    if opener_sealed_opened(round_) == round_.terms.sealed:
        round_ = replace(round_, audit_ended=tick)
    return round_
