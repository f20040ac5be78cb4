"""Commit update: an author commits to an update and its loss by a hash, under a bond, and books the reveal.

Booking reserves the bytes and MACs of the reveal at a height that the author chooses. An author must not lose
the bond because blocks are full when it is time to reveal. The booking is paid for in the fee of this
transaction, used or not, and the reveal pays for its bytes and MACs once more. If bookings were free,
somebody who can tie up some coins for a while could book every height of the window and keep all authors out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from engram.primitives.types import U8, U64, Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.money import take
from engram.statemachine.parameters import HasParameters
from engram.statemachine.receipt import Event
from engram.statemachine.record import u64
from engram.statemachine.records import Reservation
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.entry import EnteredRound, enter
from engram.statemachine.rounds.errors import (
    CommitRepeated,
    EpochFull,
    ReservationFull,
    SlotOutsideWindow,
    WrongPhase,
)
from engram.statemachine.rounds.records import Commit, Round
from engram.statemachine.rounds.terms import reserved_share
from engram.statemachine.rounds.update import reveal_macs
from engram.statemachine.rules import ENVELOPE_BYTES, Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class CommitUpdate:
    """Commits to one update; an author can send one in each epoch."""

    KIND: ClassVar[int] = 19
    NAME: ClassVar[str] = "commit_update"
    round: Hash
    epoch: U8
    digest: Hash
    """`commit_digest` of the claim, which stays secret until the reveal."""
    slot: U64
    """Height at which the reveal is booked; it lies in the update window of this epoch."""

    def check(self, rules: Rules) -> None:
        """Checks nothing: whether the values are right depends on the round."""

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """The author's bond, two records (commit and reservation), and the bytes and MACs that are booked.

        Raises what `enter` raises, `WrongPhase` for another epoch, `CommitRepeated`, `EpochFull`,
        `SlotOutsideWindow`, `ReservationFull`.
        """
        trial = state.child()
        entry = self._enter(trial, ctx, sender)
        booked(trial, ctx.rules, entry, self.slot)
        size_bytes, macs = reveal_share(ctx.rules, entry.round, entry.base)
        bond = entry.round.terms.author_bond
        return Cost(booked_bytes=size_bytes, booked_macs=macs, records=2, funds=bond)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Takes the bond, which is held until the reveal, and books. Raises what `cost` raises."""
        entry = self._enter(state, ctx, sender)
        round_, bond = entry.round, entry.round.terms.author_bond
        take(state, sender, bond)
        state.put(booked(state, ctx.rules, entry, self.slot))
        state.put(Commit(self.round, self.epoch, sender, self.digest, bond, ctx.height, self.slot))
        state.put(replace(round_, pending=(*round_.pending, sender)))
        event = Event("update_committed", self.round, (self.epoch, self.slot), (sender.hex(),))
        return Outcome((*entry.events, event))

    def _enter(self, state: State, ctx: BlockContext, sender: Address) -> EnteredRound:
        entry = enter(state, ctx, self.round, Phase.COMMIT)
        if self.epoch != entry.epoch:
            raise WrongPhase("another epoch is running", expected=entry.epoch, got=self.epoch)
        if sender in entry.round.pending:
            raise CommitRepeated(got=sender)
        if len(entry.round.pending) >= ctx.rules.max_commits_per_epoch:
            raise EpochFull(expected=ctx.rules.max_commits_per_epoch)
        window = entry.calendar.span(Phase.UPDATE, entry.epoch)
        if not window.first <= self.slot <= window.last:
            raise SlotOutsideWindow(expected=f"{window.first}..{window.last}", got=self.slot)
        return entry


def booked(state: State, rules: Rules, entry: EnteredRound, slot: int) -> Reservation:
    """The reservation of a height after one more reveal is added. Raises `ReservationFull`."""
    held = state.find(Reservation, u64(slot)) or Reservation(slot, 0, 0)
    size_bytes, macs = reveal_share(rules, entry.round, entry.base)
    booking = Reservation(slot, held.size_bytes + size_bytes, held.macs + macs)
    if booking.size_bytes > (most := reserved_share(rules, rules.max_body_bytes)):
        raise ReservationFull(
            "no bytes are left to reserve at this height", expected=most, got=booking.size_bytes
        )
    if booking.macs > (most := reserved_share(rules, rules.max_block_macs)):
        raise ReservationFull(
            "no multiply-accumulates are left to reserve at this height", expected=most, got=booking.macs
        )
    return booking


def reveal_share(rules: Rules, round_: Round, base: HasParameters) -> tuple[int, int]:
    """The most bytes and MACs that one reveal in this round may need; `base` is version t."""
    terms = round_.terms
    macs = reveal_macs(rules, round_, base, terms.max_update_macs)
    return terms.max_update_bytes + ENVELOPE_BYTES, macs
