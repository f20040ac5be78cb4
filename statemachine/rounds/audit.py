"""What every node does about a claim: recompute chunks of it, and take the bond of whoever has lied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from operator import itemgetter

import numpy as np

from engram.nn.data import PartData
from engram.primitives.codec import encode
from engram.primitives.types import Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.loading import open_part, version_network
from engram.statemachine.money import give
from engram.statemachine.receipt import Event
from engram.statemachine.records import Part
from engram.statemachine.roundclock import block_of_tick
from engram.statemachine.rounds.calendar import Calendar, Phase
from engram.statemachine.rounds.candidates import is_complete, is_refuted, is_scored_on_all
from engram.statemachine.rounds.claims import (
    ROW_BYTES,
    ClaimedChunk,
    claim_bytes,
    claimed_parts,
    name_of,
    open_claim,
    roots_bytes,
    span,
)
from engram.statemachine.rounds.draw import draw_seed
from engram.statemachine.rounds.entry import EnteredRound
from engram.statemachine.rounds.errors import ClaimUnfinished, HalfNotScored, WindowOpen
from engram.statemachine.rounds.records import Candidate, ClaimStatus, Round
from engram.statemachine.rounds.settlement import burn_bond
from engram.statemachine.rounds.union import candidate_halves
from engram.statemachine.rounds.update import propose
from engram.statemachine.rules import Rules
from engram.statemachine.state import State


def recompute(
    state: State,
    ctx: BlockContext,
    entry: EnteredRound,
    candidate: Candidate,
    chunks: Sequence[tuple[int, int]],
) -> list[bytes]:
    """The true rows of chunks, each given by the number of its part and its own; parts ascend.

    The networks run once on all rows together. Raises what loading parts and networks raises.
    """
    round_, parts = entry.round, claimed_parts(entry.round, entry.model)
    features, labels, sizes = [], [], []
    for number, drawn in groupby(chunks, key=itemgetter(0)):
        rows = open_part(state, ctx, state.get(Part, name_of(parts[number]))).load()
        for _, chunk in drawn:
            place = span(round_, parts[number], chunk)
            features.append(rows.features[place].copy())  # a view would keep the whole part in memory
            labels.append(rows.labels[place])
            sizes.append(place.stop - place.start)
    data = PartData(np.concatenate(features), np.concatenate(labels))
    base = version_network(state, ctx, entry.version)
    update = propose(state, ctx, base, candidate.update, candidate.author)
    classes = round_.old_classes, round_.classes
    raw = claim_bytes(*ctx.scorer.both_rows(base, update, data, classes, entry.model.loss_function))
    ends = (ROW_BYTES * np.cumsum([0, *sizes])).tolist()
    return [raw[lo:hi] for lo, hi in pairwise(ends)]


def candidate_bytes(entry: EnteredRound, candidate: Candidate) -> int:
    """What the record of a candidate with a claim can grow to, in bytes: whoever writes it pays for them."""
    roots = roots_bytes(entry.round, entry.model)
    return roots + entry.class_bytes + len(encode(candidate.update))


def refute(
    state: State, round_: Round, candidate: Candidate, chunk: ClaimedChunk, challenger: Address
) -> tuple[Event, ...]:
    """Takes the bond of an author whose claim is false: half goes to the challenger, the rest burns.

    The candidate stays, so that a union of it can still be looked up, but it cannot win any more.
    """
    reward = candidate.bond // 2
    give(state, challenger, reward)
    burned = burn_bond(state, round_, candidate.author, candidate.bond - reward)
    claim = replace(open_claim(candidate), status=int(ClaimStatus.REFUTED))
    state.put(replace(candidate, bond=0, claim=claim))
    values = (candidate.epoch, chunk.part, chunk.number, reward)
    refuted = Event("claim_refuted", round_.id, values, (candidate.author.hex(), challenger.hex()))
    return refuted, *burned


def first_tick_to_confirm(rules: Rules, window: int, last: int) -> int:
    """The first tick at which a claim can be confirmed whose last part was claimed at tick `last`."""
    return last + max(window, 1 + rules.draw_ticks)


def last_tick_of_halves(rules: Rules, calendar: Calendar) -> int:
    """Unions wait for a half whose claim can be confirmed until this tick, and for no other.

    What is left of SCORE belongs to the unions. Otherwise the author of a half could choose the last claim so
    that the half, and after it the union, can be confirmed in the very last tick alone.
    """
    return calendar.span(Phase.SCORE).last - rules.min_window_ticks


def check_confirmable(state: State, ctx: BlockContext, entry: EnteredRound, candidate: Candidate) -> None:
    """Refuses to confirm a claim that is not whole, or can still be refuted, or of a union before its halves.

    Raises `ClaimUnfinished`, `WindowOpen`, `HalfNotScored`.
    """
    round_, model = entry.round, entry.model
    assert model.claims is not None, "a candidate has a claim on a model with claims only"
    if not is_scored_on_all(round_, model, candidate):
        raise ClaimUnfinished(got=candidate.author)
    claim, window = open_claim(candidate), model.claims.window
    if ctx.tick < (first := first_tick_to_confirm(ctx.rules, window, claim.last)):
        raise WindowOpen(expected=first, got=ctx.tick)
    last = last_tick_of_halves(ctx.rules, entry.calendar)
    for half in candidate_halves(state, round_, candidate):
        if is_complete(round_, model, half) or is_refuted(half):
            continue
        claimed = open_claim(half).last if is_scored_on_all(round_, model, half) else ctx.tick
        if first_tick_to_confirm(ctx.rules, window, claimed) <= last:
            raise HalfNotScored(got=half.author)


def audit_ticks(rules: Rules, last: int) -> range:
    """The ticks whose blocks draw the audit of a claim whose last part was claimed at tick `last`.

    The block that holds the claim does not count: whoever mined it may have chosen both.
    """
    return range(last + 2, last + 2 + rules.draw_ticks)


def audit_seed(state: State, ctx: BlockContext, candidate: Candidate) -> Hash:
    """The seed of the audit: ids of the blocks of ticks after the last claim, and the candidate."""
    ticks = audit_ticks(ctx.rules, open_claim(candidate).last)
    blocks = [block_of_tick(state, ctx.rules, tick) for tick in ticks]
    return draw_seed([*blocks, candidate.root], candidate.round)
