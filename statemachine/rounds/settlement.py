"""The due steps of a round: what happens after a deadline. Moves coins and records; runs no network.

No block settles anything by itself. Every transaction that touches a round calls `settle` first, and
`advance_round` does nothing else. So a due step is applied once, by the first transaction after the deadline,
and its outcome does not depend on whose transaction that is. No step looks at more records than the round has
epochs and witnesses.

Whoever fails a duty loses a bond, and all of it is burned: nobody gains by a default. Bonds return to
balances at once; what comes out of the pot matures first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.content import hold
from engram.statemachine.context import BlockContext
from engram.statemachine.money import burn, give, mature
from engram.statemachine.receipt import Event
from engram.statemachine.records import BadgeKind, Model, Version
from engram.statemachine.rounds.calendar import Calendar, DueStep
from engram.statemachine.rounds.candidates import (
    find_candidate,
    forgotten_ppm,
    is_complete,
    is_final,
    unseen_loss,
)
from engram.statemachine.rounds.judging import threshold_loss
from engram.statemachine.rounds.records import NOBODY, Candidate, Round, RoundKind, RoundStatus
from engram.statemachine.rounds.retention import next_retention
from engram.statemachine.rounds.rewards import Rung, give_badge, ladder, pay_pot, raise_reputation
from engram.statemachine.rounds.union import half_weights, reasons_against_all
from engram.statemachine.rounds.update import update_tensors
from engram.statemachine.state import State

LEAST_TAUGHT_ROWS: Final = 10
"""A teacher's badge needs at least so many unseen rows of new classes, of which more than half are right."""

Settled = tuple[Round, tuple[Event, ...]]


def settle(state: State, ctx: BlockContext, round_id: Hash) -> Settled:
    """Applies every due step of the round at this tick; calling it again changes nothing.

    Returns the round as it now stands in `state`, and the events. Raises `MissingRecord`.
    """
    return settle_round(state, ctx, state.get(Round, round_id))


def settle_round(state: State, ctx: BlockContext, round_: Round) -> Settled:
    """`settle` for a round whose record is at hand."""
    events: tuple[Event, ...] = ()
    while (step := Calendar.of(round_, ctx.rules).due(round_, ctx.tick)) is not None:
        round_, happened = _STEPS[step](state, ctx, round_)
        state.put(round_)
        events += happened
    return round_, events


def abort(state: State, ctx: BlockContext, round_: Round) -> Settled:
    """Ends a round whose opener has failed a duty. Returns the round, does not store it.

    The opener's bond and all that is left of the bounty are burned. Bonds of witnesses return.
    """
    round_ = _release_witnesses(state, round_)
    burn(state, round_.bond + round_.pot)
    event = Event("bond_burned", round_.id, (round_.bond + round_.pot,), (round_.opener.hex(),))
    ended, happened = _ended(state, replace(round_, pot=0, bond=0), RoundStatus.ABORTED)
    return ended, (event, *happened)


def burn_bond(state: State, round_: Round, author: Address, amount: int) -> tuple[Event, ...]:
    """Burns what somebody held as a bond and lost."""
    burn(state, amount)
    return (Event("bond_burned", round_.id, (amount,), (author.hex(),)),)


def _cancel(state: State, ctx: BlockContext, round_: Round) -> Settled:
    """Ends a round in which a standing witness has sealed nothing: all coins return at once."""
    round_ = _release_witnesses(state, round_)
    give(state, round_.opener, round_.bond + round_.pot)
    return _ended(state, replace(round_, pot=0, bond=0), RoundStatus.CANCELLED)


def _keep(state: State, ctx: BlockContext, round_: Round) -> Settled:
    """Ends a round without a candidate."""
    round_ = _release_witnesses(state, round_)
    give(state, round_.opener, round_.bond)
    mature(state, ctx, round_.opener, round_.pot)
    return _ended(state, replace(round_, pot=0, bond=0), RoundStatus.KEPT)


def _drop_unopened(state: State, ctx: BlockContext, round_: Round) -> Settled:
    events: tuple[Event, ...] = ()
    kept = []
    for witness in round_.witnesses:
        if witness.bond:
            events += burn_bond(state, round_, witness.author, witness.bond)
            burn(state, witness.fee)
        kept.append(replace(witness, bond=0, fee=0))
    return replace(round_, witnesses=tuple(kept)), events


def _decide(state: State, ctx: BlockContext, round_: Round) -> Settled:
    """Pays the pot, and makes the last rung the next version, if there is one. Returns the opener's bond.

    A refused pot stays with the model for whoever improves it next. The opener does not get it back, and
    nobody can destroy it.
    """
    rungs = ladder(round_)
    give(state, round_.opener, round_.bond)
    ended = replace(round_, bond=0, pot=0)
    if not rungs:
        if not round_.refused:
            mature(state, ctx, round_.opener, round_.pot)
            return _ended(state, ended, RoundStatus.KEPT)
        ended, happened = _ended(state, replace(ended, carried=round_.carried + round_.pot), RoundStatus.KEPT)
        return ended, (Event("pot_carried", round_.id, (round_.pot,)), *happened)
    carried, events = pay_pot(state, ctx, round_, rungs)
    ended = replace(ended, carried=carried)
    winner = rungs[-1]
    candidate = find_candidate(state, round_, winner.epoch, winner.best.author)
    ended = replace(
        ended,
        winner=candidate.author,
        winner_epoch=candidate.epoch,
        winner_groups=candidate.groups,
        new_version=round_.version + 1,
    )
    model = state.get(Model, round_.model)
    events += _promote(state, ctx, ended, model)
    events += _reward(state, ctx, ended, model, rungs)
    ended, happened = _ended(state, ended, RoundStatus.DECIDED)
    return ended, (*events, *happened)


_STEPS: Final[Mapping[DueStep, Callable[[State, BlockContext, Round], Settled]]] = MappingProxyType(
    {
        DueStep.UNATTENDED: _cancel,
        DueStep.UNREVEALED: abort,
        DueStep.NO_CANDIDATE: _keep,
        DueStep.UNOPENED: _drop_unopened,
        DueStep.WITHHELD: abort,
        DueStep.DECISION: _decide,
    }
)


def _release_witnesses(state: State, round_: Round) -> Round:
    """Returns the bonds that witnesses still have in the round, and the fees held for them to the pot."""
    for witness in round_.witnesses:
        give(state, witness.author, witness.bond)
    fees = sum(witness.fee for witness in round_.witnesses)
    released = tuple(replace(witness, bond=0, fee=0) for witness in round_.witnesses)
    return replace(round_, witnesses=released, pot=round_.pot + fees)


def _ended(state: State, round_: Round, status: RoundStatus) -> Settled:
    """Sets the final status and frees the model, to which what it carries returns.

    Returns the round, does not store it.
    """
    model = state.get(Model, round_.model)
    state.put(replace(model, open_round=ZERO_HASH, rounds=model.rounds + 1, carried=round_.carried))
    return replace(round_, status=int(status), carried=0), (
        Event("round_ended", round_.id, (int(status), round_.new_version)),
    )


def _promote(state: State, ctx: BlockContext, round_: Round, model: Model) -> tuple[Event, ...]:
    """Makes the winner the head of the model."""
    winner = find_candidate(state, round_, round_.winner_epoch, round_.winner)
    version = _next_version(ctx, round_, winner)
    for tensor in update_tensors(winner.update):
        hold(state, tensor)
    state.put(version)
    at_threshold = version.sealed_loss <= threshold_loss(
        model.threshold_ppm, round_.classes, version.sealed_rows
    )
    frozen = model.frozen or at_threshold
    before_growth = model.classes_before_growth
    if round_.terms.new_classes or (not model.frozen and frozen):
        before_growth = model.classes
    grows = round_.terms.kind == RoundKind.GROW
    state.put(
        replace(
            model,
            classes=round_.classes,
            classes_before_growth=before_growth,
            head=version.number,
            root=version.root,
            frozen=frozen,
            loss=version.sealed_loss,
            loss_rows=version.sealed_rows,
            lost_ppm=model.lost_ppm + (forgotten_ppm(ctx.rules, round_, winner) if grows else 0),
            retention=next_retention(ctx.rules, model, round_) if frozen else (),
        )
    )
    values = (version.number, version.sealed_loss, version.sealed_rows, int(frozen))
    return (Event("version_created", model.id, values),)


def _next_version(ctx: BlockContext, round_: Round, winner: Candidate) -> Version:
    rows = round_.terms.rows
    return Version(
        model=round_.model,
        number=round_.new_version,
        parent=round_.base,
        root=winner.root,
        added=winner.update,
        author=winner.author,
        round=round_.id,
        height=ctx.height,
        kind=round_.terms.kind,
        validation_loss=winner.loss,
        validation_rows=rows * len(round_.validation_opened),
        sealed_loss=unseen_loss(winner),
        sealed_rows=rows * len(round_.unseen),
        sealed_correct=winner.correct,
        sent_tensor_bytes=winner.sent_tensor_bytes,
    )


def _reward(
    state: State, ctx: BlockContext, round_: Round, model: Model, rungs: Sequence[Rung]
) -> tuple[Event, ...]:
    """Gives the badges of the new version, and reputation to each rung; `model` is as it was in the round.

    Badges of participation are given by `withdraw`, because nothing here may iterate over candidates.
    """
    deserved = [(author, BadgeKind.BEST_LOSS) for rung in rungs for author in rung.authors]
    deserved += _lowest_on_validation(state, ctx, round_, model)
    deserved += [(witness.author, BadgeKind.WITNESS) for witness in round_.witnesses if witness.opened]
    winner = find_candidate(state, round_, round_.winner_epoch, round_.winner)
    taught = sum(round_.unseen_counts[round_.old_classes :])
    if taught >= LEAST_TAUGHT_ROWS and 2 * winner.new_correct > taught:
        deserved += [(author, BadgeKind.TEACHER) for author in rungs[-1].authors]
    if round_.new_version == 1 and model.classes > 1 and model.parent == ZERO_HASH:
        deserved.append((model.founder, BadgeKind.FOUNDER))
    events: tuple[Event, ...] = ()
    for address, kind in deserved:
        events += give_badge(state, ctx, model.id, round_.new_version, address, kind)
    for rung in rungs:
        raise_reputation(state, model.id, rung)
    return events


def _lowest_on_validation(
    state: State, ctx: BlockContext, round_: Round, model: Model
) -> list[tuple[Address, BadgeKind]]:
    """The authors of the lowest committed loss of each epoch, where that candidate was eligible; of a union,
    the authors of its halves.

    An epoch without a lower loss than those before it gives none: a copy is no better.
    """
    found: list[tuple[Address, BadgeKind]] = []
    lowest: int | None = None
    for epoch, result in enumerate(round_.results):
        if result.author == NOBODY or (lowest is not None and result.loss >= lowest):
            continue
        candidate = find_candidate(state, round_, epoch, result.author)
        if not is_final(candidate):
            continue
        lowest = result.loss
        if not is_complete(round_, model, candidate):
            continue
        weights = half_weights(state, ctx.rules, round_, model, candidate)
        if not reasons_against_all(ctx.rules, round_, model, candidate, weights):
            earned = [half.author for half in weights if half.weight] or [result.author]
            found += [(author, BadgeKind.BEST_LOSS) for author in earned]
    return found
