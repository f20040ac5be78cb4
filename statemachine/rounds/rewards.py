"""What a decided round gives: bounty, badges, reputation; and the least bond for opening a round.

bounty of a rung   ⌊pot · removed / baseline⌋, maturing
opener's refund    ⌊bounty · winner's sealed loss / baseline⌋, maturing; the whole bounty if the model stays
burned             the rest of the pot, so that an opener gains nothing by the bonds that others lose
reputation         ⌊10^6 · removed / baseline⌋ for each rung
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
    """`min_opener_bond`, doubled for each abort that still counts; `model` is None for a founding."""
    aborts = 0 if model is None else aborts_in_force(rules, model, height)
    return rules.min_opener_bond << min(aborts, _MAX_DOUBLINGS)


def aborts_in_force(rules: Rules, model: Model, height: int) -> int:
    """Aborts of the model that still count: one fewer for each `bond_decay_blocks` since the last."""
    return max(0, model.aborts - (height - model.last_abort) // rules.bond_decay_blocks)


def pay_bounty(state: State, ctx: BlockContext, round_: Round, rungs: Sequence[Rung]) -> tuple[Event, ...]:
    """Pays out or burns the whole pot. The caller must set the pot of the round to 0."""
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
    """Gives a badge, unless the address already has one of this kind for this version."""
    badge = Badge(model, version, address, int(kind), ctx.height)
    if state.find(Badge, badge.key) is not None:
        return ()
    state.put(badge)
    return (Event("badge_given", model, (version, int(kind)), (address.hex(),)),)


def raise_reputation(state: State, model: Hash, address: Address, points: int) -> None:
    """Adds points of reputation, up to 2^64 - 1."""
    held = state.find(Reputation, model, address) or Reputation(model, address, 0)
    state.put(replace(held, points=min(held.points + points, 2**64 - 1)))


def reputation_points(round_: Round, rung: Rung) -> int:
    """What share of the incumbent's sealed loss this rung removed, in millionths."""
    return PPM * rung.removed // sealed_baseline(round_)
