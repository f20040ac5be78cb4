"""The candidates of a round: their places, the coins they hold, their tensors. Judges no loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engram.statemachine.content import hold, release
from engram.statemachine.context import BlockContext
from engram.statemachine.errors import InsufficientBalance
from engram.statemachine.fees import price_of_macs
from engram.statemachine.money import give, pay_miner, take
from engram.statemachine.parameters import explicit_tensors
from engram.statemachine.receipt import Event
from engram.statemachine.record import Lineage
from engram.statemachine.rounds.records import Candidate, CandidateId, Round, RoundTerms
from engram.statemachine.rules import Rules
from engram.statemachine.state import State


def find_candidate(state: State, round_: Round, name: CandidateId) -> Candidate:
    """A candidate of the round. Raises `MissingRecord`."""
    return state.get(Candidate, round_.id, bytes([name.epoch]), name.author)


def candidates_of(state: State, round_: Round) -> tuple[Candidate, ...]:
    """All candidates, in the order in which they were admitted."""
    return tuple(find_candidate(state, round_, name) for name in round_.candidates)


def admit(
    state: State, ctx: BlockContext, round_: Round, candidate: Candidate
) -> tuple[Round, tuple[Event, ...]]:
    """Gives a candidate a place, if there is one and its author can pay the escrow and the bid it names.

    The bond is already held. Without a place the bond returns. Returns the round, does not store it.
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
    """Candidates that a round may have by the end of an epoch: ⌊T·(epoch + 1) / epochs⌋.

    Every epoch has a place at least, and none can take those of the epochs after it.
    """
    return rules.max_candidates * (epoch + 1) // terms.epochs


def leaving_candidate(rules: Rules, state: State, round_: Round, newcomer: Candidate) -> Candidate | None:
    """Who gives way to a newcomer: nobody while places are free, else a rival that it outbids, or it itself.

    Of equal bids the higher loss gives way, then the lower address.
    """
    candidates = candidates_of(state, round_)
    if len(candidates) < places(rules, round_.terms, newcomer.epoch):
        return None
    smallest = min(rivals(candidates, newcomer), key=lambda c: (c.bid, -c.loss, c.author))
    return smallest if outbids(newcomer, smallest) else newcomer


def rivals(candidates: Sequence[Candidate], newcomer: Candidate) -> Sequence[Candidate]:
    """Whom a newcomer may outbid: its own epoch. Earlier parameters are public, and a copy of them must not
    push the original out.
    """
    return [candidate for candidate in candidates if candidate.epoch == newcomer.epoch]


def outbids(newcomer: Candidate, holder: Candidate) -> bool:
    """Whether a newcomer takes the place of the candidate that bids least."""
    return newcomer.bid > holder.bid


def own_segments(round_: Round, candidate: Candidate) -> Sequence[Lineage]:
    """The segments that the candidate brought: all of them in TRAIN, the growth in GROW."""
    segments = (*candidate.hidden, *candidate.outputs)
    return tuple(segment for segment in segments if segment.version == round_.version + 1)


def charge_scoring(state: State, ctx: BlockContext, candidate: Candidate, macs: int) -> Candidate:
    """Pays the miner for scoring the candidate, from its escrow. Returns, does not store."""
    price = price_of_macs(ctx.rules.fees, macs)
    assert price <= candidate.escrow, "an escrow covers every scoring that can come"
    pay_miner(state, ctx, price)
    return replace(candidate, escrow=candidate.escrow - price)


def refund(state: State, candidate: Candidate) -> None:
    """Everything that the candidate holds returns to its author. The record is the caller's to remove."""
    give(state, candidate.author, candidate.bond + candidate.escrow + candidate.bid)


def retire(
    state: State, ctx: BlockContext, round_: Round, candidate: Candidate, *, promoted: bool = False
) -> None:
    """Removes the record. The tensors are released, unless the candidate's version holds them from now on."""
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
