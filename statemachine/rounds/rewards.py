"""What a decided round gives: badges, reputation, bounty; and the least bond that opening one takes.

bounty of a rung   ⌊pot · removed / baseline⌋, maturing
opener's refund    ⌊bounty · winner's sealed loss / baseline⌋, maturing; all of it if the model stays
burned             the rest of the pot: no opener gains by the bonds that others lose in his round
reputation         ⌊10^6 · removed / baseline⌋ of each rung
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from engram.primitives.types import Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.money import burn, mature
from engram.statemachine.receipt import Event
from engram.statemachine.records import Badge, BadgeKind, Model, Reputation
from engram.statemachine.rounds.ranking import PPM, Rung, sealed_baseline
from engram.statemachine.rounds.records import Round
from engram.statemachine.rules import Rules
from engram.statemachine.state import State

_MAX_DOUBLINGS: Final = 32


def minimum_opener_bond(rules: Rules, model: Model | None, height: int) -> int:
    """`min_opener_bond`, doubled for each abort in force; None: a model about to be founded."""
    aborts = 0 if model is None else aborts_in_force(rules, model, height)
    return rules.min_opener_bond << min(aborts, _MAX_DOUBLINGS)


def aborts_in_force(rules: Rules, model: Model, height: int) -> int:
    """Aborts of the model, less one for each `bond_decay_blocks` since the last."""
    return max(0, model.aborts - (height - model.last_abort) // rules.bond_decay_blocks)


def pay_bounty(state: State, ctx: BlockContext, round_: Round, rungs: Sequence[Rung]) -> tuple[Event, ...]:
    """Divides the whole pot; the round that holds it is the caller's to empty."""
    baseline = sealed_baseline(round_)
    left = round_.pot
    events = []
    for rung in rungs:
        amount = round_.pot * rung.removed // baseline
        left -= amount
        mature(state, ctx, rung.candidate.author, amount)
        events.append(Event("bounty_paid", round_.id, (amount,), (rung.candidate.author.hex(),)))
    refund = round_.terms.bounty * rungs[-1].sealed_loss // baseline if rungs else round_.terms.bounty
    mature(state, ctx, round_.opener, refund)
    burn(state, left - refund)
    return tuple(events)


def give_badge(
    state: State, ctx: BlockContext, model: Hash, version: int, address: Address, kind: BadgeKind
) -> tuple[Event, ...]:
    """One badge of a kind for each version and address; a second one changes nothing."""
    badge = Badge(model, version, address, int(kind), ctx.height)
    if state.find(Badge, badge.key) is not None:
        return ()
    state.put(badge)
    return (Event("badge_given", model, (version, int(kind)), (address.hex(),)),)


def raise_reputation(state: State, model: Hash, address: Address, points: int) -> None:
    """Adds points; a sum above 2^64 - 1 stays there."""
    held = state.find(Reputation, model, address) or Reputation(model, address, 0)
    state.put(replace(held, points=min(held.points + points, 2**64 - 1)))


def reputation_points(round_: Round, rung: Rung) -> int:
    """Millionths of the incumbent's sealed loss that this rung removed."""
    return PPM * rung.removed // sealed_baseline(round_)
