"""Withdraw: once a round has ended, anyone can have an update removed and its bond returned or burned.

Nothing that ends a round may iterate over its updates, so each is withdrawn by itself. Whoever sends it is
given the floor fee back out of a bond that burns: so removing what others have left behind costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.primitives.types import U8, Address, Hash
from engram.statemachine.additions import halves_of
from engram.statemachine.context import BlockContext
from engram.statemachine.fees import risen
from engram.statemachine.money import burn, give
from engram.statemachine.receipt import Event
from engram.statemachine.records import BadgeKind
from engram.statemachine.rounds.candidates import (
    is_below_a_baseline,
    is_final,
    is_scored,
    proves_any_gain,
    release_tensors,
)
from engram.statemachine.rounds.errors import NothingToWithdraw, RoundRunning
from engram.statemachine.rounds.records import Candidate, Commit, Round, RoundStatus
from engram.statemachine.rounds.rewards import give_badge
from engram.statemachine.rounds.settlement import settle
from engram.statemachine.rounds.update import update_tensors
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class Withdraw:
    """Names one update of a round that has ended."""

    KIND: ClassVar[int] = 24
    NAME: ClassVar[str] = "withdraw"
    round: Hash
    epoch: U8
    author: Address

    def check(self, rules: Rules) -> None:
        """Checks nothing: whether there is such an update depends on the round."""

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """One record, a badge, and one for each tensor that the update holds.

        Raises `MissingRecord`, `RoundRunning`, `NothingToWithdraw`.
        """
        _, update, _ = self._enter(state.child(), ctx)
        held = update_tensors(update.update) if isinstance(update, Candidate) else ()
        return Cost(records=1 + len(held))

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Removes the record. Raises what `cost` raises.

        The bond of a candidate returns if it was scored on all unseen parts and is below a baseline in any
        group, or if the round has ended before it could be scored; scores that the author has claimed must be
        confirmed. If it returns and the round made a version, the author gets a badge of participation, but
        not for a union. In every other case the bond burns, less the floor fee, which the sender gets.
        """
        round_, update, events = self._enter(state, ctx)
        state.delete(update)
        if isinstance(update, Candidate):
            release_tensors(state, ctx, update)
            if bond_returns(round_, update):
                give(state, self.author, update.bond)
                if _takes_part(round_, update):
                    badge = BadgeKind.PARTICIPATION
                    events += give_badge(state, ctx, round_.model, round_.new_version, self.author, badge)
                return Outcome((*events, self._event("bond_returned", update.bond)))
        back = min(update.bond, risen(ctx.rules.fees.floor, ctx.exponent))
        give(state, sender, back)
        burn(state, update.bond - back)
        return Outcome((*events, self._event("bond_burned", update.bond - back)))

    def _event(self, name: str, amount: int) -> Event:
        return Event(name, self.round, (amount, self.epoch), (self.author.hex(),))

    def _enter(self, state: State, ctx: BlockContext) -> tuple[Round, Candidate | Commit, tuple[Event, ...]]:
        round_, events = settle(state, ctx, self.round)
        if round_.status == RoundStatus.OPEN:
            raise RoundRunning(got=self.round)
        key = (self.round, bytes([self.epoch]), self.author)
        update = state.find(Candidate, *key) or state.find(Commit, *key)
        if update is None:
            raise NothingToWithdraw(got=self.author)
        return round_, update, events


def _takes_part(round_: Round, candidate: Candidate) -> bool:
    """Whether the candidate is its author's own work, and proves a gain in a round that made a version."""
    own = not halves_of(candidate.update)
    return own and round_.status == RoundStatus.DECIDED and proves_any_gain(round_, candidate)


def bond_returns(round_: Round, update: Candidate | Commit) -> bool:
    """Whether `Withdraw` gives back the bond of an update, in a round that has ended; otherwise it burns.

    It returns if the update was revealed, and has shown a gain on all unseen parts, or nobody could have it
    scored. A few parts are not enough: whoever chooses them could choose those on which chance was kind.
    """
    if isinstance(update, Commit):
        return False
    if round_.status not in (RoundStatus.DECIDED, RoundStatus.KEPT):
        return True
    scored = all(is_scored(update, number) for number in range(len(round_.unseen)))
    return is_final(update) and scored and is_below_a_baseline(round_, update)
