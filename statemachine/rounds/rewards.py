"""What a decided round gives: the pot, badges and reputation.

of each rung       ⌊pot · (share of the rung before - its own share)⌋, maturing; before the first, 1;
                   and as much of what the model carries; that of a union is divided among its halves
of the opener      the rest of the pot
of the model       the rest of what it carries
reputation         ⌊10^6 · (share of the rung before - its own share)⌋ for each rung, divided likewise
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engram.primitives.types import Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.money import mature
from engram.statemachine.receipt import Event
from engram.statemachine.records import Badge, BadgeKind, Reputation
from engram.statemachine.rounds.judging import PPM, removed, takes_lead
from engram.statemachine.rounds.records import NOBODY, EpochBest, Round
from engram.statemachine.state import State


@dataclass(frozen=True)
class Rung:
    """A candidate that took the lead."""

    epoch: int
    best: EpochBest
    before: EpochBest
    """The leader before it; before the first rung, nobody with the share 1."""

    def of(self, amount: int) -> int:
        """⌊amount · what its share removed⌋."""
        return removed(amount, self.best, self.before)

    def reward(self, round_: Round) -> int:
        """What it brings, in sparks: of the pot, and as much of what the model carries."""
        return self.of(round_.pot) + self.of(round_.carried)

    def divided(self, amount: int) -> list[tuple[Address, int]]:
        """Who earns how much of an amount: the author, or of a union the authors of the halves that weigh.

        The first half gets ⌊amount · weight / both weights⌋, the second the rest. Whoever has sent the union
        gets nothing for that.
        """
        if not self.best.halves:
            return [(self.best.author, amount)]
        first, second = self.best.halves
        own = amount * first.weight // (first.weight + second.weight)
        parts = ((first, own), (second, amount - own))
        return [(half.author, part) for half, part in parts if half.weight]

    @property
    def authors(self) -> list[Address]:
        """Those who earn it."""
        return [author for author, _ in self.divided(0)]


def ladder(round_: Round) -> tuple[Rung, ...]:
    """The rungs in the order of epochs, the winner last; empty if the model stays as it is."""
    rungs: list[Rung] = []
    lead = EpochBest()
    for epoch, best in enumerate(round_.best):
        if best.author != NOBODY and takes_lead(best, lead):
            rungs.append(Rung(epoch, best, lead))
            lead = best
    return tuple(rungs)


def pay_pot(
    state: State, ctx: BlockContext, round_: Round, rungs: Sequence[Rung]
) -> tuple[int, tuple[Event, ...]]:
    """Pays out the pot; returns what is left of what the model carries.

    The caller must set what the round holds to 0, and give the rest to the model.
    """
    left, carried, events = round_.pot, round_.carried, []
    for rung in rungs:
        left, carried = left - rung.of(round_.pot), carried - rung.of(round_.carried)
        for author, paid in rung.divided(rung.reward(round_)):
            mature(state, ctx, author, paid)
            events.append(Event("bounty_paid", round_.id, (rung.epoch, paid), (author.hex(),)))
    mature(state, ctx, round_.opener, left)
    return carried, tuple(events)


def give_badge(
    state: State, ctx: BlockContext, model: Hash, version: int, address: Address, kind: BadgeKind
) -> tuple[Event, ...]:
    """Gives a badge, unless the address already has one of this kind for this version."""
    badge = Badge(model, version, address, int(kind), ctx.height)
    if state.find(Badge, badge.key) is not None:
        return ()
    state.put(badge)
    return (Event("badge_given", model, (version, int(kind)), (address.hex(),)),)


def raise_reputation(state: State, model: Hash, rung: Rung) -> None:
    """Adds what a rung removed to the reputation of those who earn it, up to 2^64 - 1 each."""
    for address, points in rung.divided(rung.of(PPM)):
        held = state.find(Reputation, model, address) or Reputation(model, address, 0)
        state.put(replace(held, points=min(held.points + points, 2**64 - 1)))
