"""The candidates of a round: their places, the coins held for them, their tensors. Judges no loss.

Every candidate must be scored on every sealed part, so a round has few places. While places are free, every
candidate that can pay its escrow and bid gets one. After that, the higher bid among candidates of one epoch
decides. A bid is returned unless the candidate turns out to be no better than version t; so filling all
places with bad candidates costs something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engram.statemachine.content import hold, release
from engram.statemachine.context import BlockContext
from engram.statemachine.errors import InsufficientBalance
from engram.statemachine.fees import price_of_macs
from engram.statemachine.money import give, pay_work, take
from engram.statemachine.parameters import explicit_tensors
from engram.statemachine.receipt import Event
from engram.statemachine.record import Lineage
from engram.statemachine.rounds.records import Candidate, CandidateId, Round, RoundTerms
from engram.statemachine.rules import Rules
from engram.statemachine.state import State


def find_candidate(state: State, round_: Round, name: CandidateId) -> Candidate:
    """The candidate of the round with this name. Raises `MissingRecord`."""
    return state.get(Candidate, round_.id, bytes([name.epoch]), name.author)


def candidates_of(state: State, round_: Round) -> tuple[Candidate, ...]:
    """All candidates, in the order in which they were admitted."""
    return tuple(find_candidate(state, round_, name) for name in round_.candidates)


def admit(
    state: State, ctx: BlockContext, round_: Round, candidate: Candidate
) -> tuple[Round, tuple[Event, ...]]:
    """Gives a candidate a place, if there is one for it and its author can pay the escrow and the bid.

    The bond is held already; if there is no place, it returns. Returns the round, does not store it.
    """
    author = (candidate.author.hex(),)
    leaving = leaving_candidate(ctx.rules, state, round_, candidate)
    if leaving is candidate:
        give(state, candidate.author, candidate.bond)
        return round_, (Event("candidate_refused", round_.id, (candidate.epoch, candidate.bid), author),)
    try:
        take(state, candidate.author, candidate.escrow + candidate.bid)
    except InsufficientBalance:
        give(state, candidate.author, candidate.bond)
        return round_, (Event("candidate_unfunded", round_.id, (candidate.epoch, candidate.escrow), author),)
    events: tuple[Event, ...] = ()
    if leaving is not None:
        round_, events = _evict(state, ctx, round_, leaving)
    state.put(candidate)
    for tensor in explicit_tensors(own_segments(round_, candidate)):
        hold(state, tensor)
    name = CandidateId(candidate.epoch, candidate.author)
    admitted = Event("candidate_admitted", round_.id, (candidate.epoch, candidate.loss), author)
    return replace(round_, candidates=(*round_.candidates, name)), (*events, admitted)


def places(rules: Rules, terms: RoundTerms, epoch: int) -> int:
    """The most candidates that a round may have by the end of an epoch: ⌊T·(epoch + 1) / epochs⌋.

    T is `max_candidates`. Every epoch has at least one place of its own, and no epoch can take the places of
    later ones.
    """
    return rules.max_candidates * (epoch + 1) // terms.epochs


def leaving_candidate(rules: Rules, state: State, round_: Round, newcomer: Candidate) -> Candidate | None:
    """The candidate that must leave: None while places are free, otherwise the lowest bidder of the epoch.

    The newcomer itself is returned if it does not outbid that one. Among equal bids the candidate with the
    higher loss is the one to leave, then the one with the lower address.
    """
    candidates = candidates_of(state, round_)
    if len(candidates) < places(rules, round_.terms, newcomer.epoch):
        return None
    smallest = min(rivals(candidates, newcomer), key=lambda c: (c.bid, -c.loss, c.author))
    return smallest if outbids(newcomer, smallest) else newcomer


def rivals(candidates: Sequence[Candidate], newcomer: Candidate) -> Sequence[Candidate]:
    """The candidates that a newcomer may outbid: those of its own epoch.

    Parameters of earlier epochs are public, and a copy of them must not be able to push the original out.
    """
    return [candidate for candidate in candidates if candidate.epoch == newcomer.epoch]


def outbids(newcomer: Candidate, holder: Candidate) -> bool:
    """Whether a newcomer bids strictly more than the candidate whose place it would take."""
    return newcomer.bid > holder.bid


def own_segments(round_: Round, candidate: Candidate) -> Sequence[Lineage]:
    """The segments that the candidate itself brought: all of them in TRAIN, the new ones in GROW."""
    segments = (*candidate.hidden, *candidate.outputs)
    return tuple(segment for segment in segments if segment.version == round_.version + 1)


def charge_scoring(state: State, ctx: BlockContext, candidate: Candidate, macs: int) -> Candidate:
    """Pays for scoring the candidate, from its escrow. Returns the candidate, does not store it."""
    price = price_of_macs(ctx.rules.fees, macs)
    assert price <= candidate.escrow, "`scoring_escrow` added up all that can come, by the same formulas"
    pay_work(state, ctx, price)
    return replace(candidate, escrow=candidate.escrow - price)


def refund(state: State, candidate: Candidate) -> None:
    """Returns bond, escrow and bid to the author. The caller must remove or replace the record."""
    give(state, candidate.author, candidate.bond + candidate.escrow + candidate.bid)


def retire(
    state: State, ctx: BlockContext, round_: Round, candidate: Candidate, *, promoted: bool = False
) -> None:
    """Removes the record, and releases its tensors unless the new version holds them (`promoted`)."""
    state.delete(candidate)
    if not promoted:
        for tensor in explicit_tensors(own_segments(round_, candidate)):
            release(state, ctx, tensor)


def _evict(
    state: State, ctx: BlockContext, round_: Round, candidate: Candidate
) -> tuple[Round, tuple[Event, ...]]:
    refund(state, candidate)
    retire(state, ctx, round_, candidate)
    name = CandidateId(candidate.epoch, candidate.author)
    remaining = tuple(held for held in round_.candidates if held != name)
    event = Event("candidate_evicted", round_.id, (candidate.epoch, candidate.bid), (candidate.author.hex(),))
    return replace(round_, candidates=remaining), (event,)
