"""The due steps of a round: what happens after a deadline. Moves coins and records; runs no network.

No block settles anything by itself. Every transaction that touches a round calls `settle` first, and
`advance_round` does nothing else. So a due step is applied once, by the first transaction after the deadline,
and its outcome does not depend on whose transaction that is. Bonds, bids and escrows return to balances at
once; the bounty and shares of a pot mature first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.money import burn, forfeit, give, mature, strike
from engram.statemachine.receipt import Event
from engram.statemachine.records import BadgeKind, Model, ScoreEntry, Version
from engram.statemachine.rounds.calendar import Calendar, DueStep
from engram.statemachine.rounds.candidates import candidates_of, refund, retire
from engram.statemachine.rounds.ranking import Rung, generalises, is_at_threshold, ladder, remembers
from engram.statemachine.rounds.records import Candidate, Commit, EpochResult, Round, RoundKind, RoundStatus
from engram.statemachine.rounds.retention import next_retention
from engram.statemachine.rounds.rewards import (
    aborts_in_force,
    give_badge,
    pay_bounty,
    raise_reputation,
    reputation_points,
)
from engram.statemachine.state import State

Settled = tuple[Round, tuple[Event, ...]]


def settle(state: State, ctx: BlockContext, round_id: Hash) -> Settled:
    """Applies every due step of the round at this tick; calling it again changes nothing.

    Returns the round as it now stands in `state`, and the events. Raises `MissingRecord`.
    """
    round_ = state.get(Round, round_id)
    return settle_by(Calendar.of(round_, ctx.rules), state, ctx, round_)


def settle_by(calendar: Calendar, state: State, ctx: BlockContext, round_: Round) -> Settled:
    """`settle` for a round whose calendar is at hand."""
    events: tuple[Event, ...] = ()
    while (step := calendar.due(round_, ctx.tick)) is not None:
        round_, happened = _STEPS[step](state, ctx, round_)
        state.put(round_)
        events += happened
    return round_, events


def abort(state: State, ctx: BlockContext, round_: Round) -> Settled:
    """Ends a round whose opener has failed a duty. Returns the round, does not store it.

    Half of the opener's bond is burned. The other half and the pot go to the authors of the candidates in
    equal shares. If there are no candidates, the whole bond is burned and the bounty returns to the opener.
    Bonds of auditors return.
    """
    strike(state, round_.opener)
    candidates = candidates_of(state, round_)
    kept = forfeit(state, round_.bond)
    pot = round_.pot + kept
    if candidates:
        share = pot // len(candidates)
        for candidate in candidates:
            mature(state, ctx, candidate.author, share)
            refund(state, candidate)
            retire(state, ctx, round_, candidate)
        burn(state, pot - share * len(candidates))
    else:
        give(state, round_.opener, round_.terms.bounty)
        burn(state, pot - round_.terms.bounty)
    round_ = return_seal_bonds(state, round_)
    model = state.get(Model, round_.model)
    aborts = min(aborts_in_force(ctx.rules, model, ctx.height) + 1, 2**16 - 1)
    state.put(replace(model, open_round=ZERO_HASH, aborts=aborts, last_abort=ctx.height))
    aborted = replace(round_, status=int(RoundStatus.ABORTED), bond=0, pot=0, candidates=())
    return aborted, (Event("round_aborted", round_.id, (len(candidates),)),)


def return_seal_bonds(state: State, round_: Round) -> Round:
    """Returns the bonds of auditors that the round still holds. Returns the round, does not store it."""
    for sealed in round_.third_party:
        give(state, sealed.author, sealed.bond)
    return replace(round_, third_party=tuple(replace(sealed, bond=0) for sealed in round_.third_party))


def forfeit_to_pot(state: State, round_: Round, author: Address, bond: int) -> Settled:
    """Takes a bond for a missed duty or a proved lie: half is burned, half joins the pot; adds a strike.

    Returns the round, does not store it.
    """
    strike(state, author)
    kept = forfeit(state, bond)
    event = Event("bond_forfeited", round_.id, (bond,), (author.hex(),))
    return replace(round_, pot=round_.pot + kept), (event,)


def _end_epoch(state: State, ctx: BlockContext, round_: Round) -> Settled:
    epoch = round_.settled_epochs
    events: tuple[Event, ...] = ()
    for author in round_.pending:
        commit = state.get(Commit, round_.id, bytes([epoch]), author)
        state.delete(commit)
        round_, happened = forfeit_to_pot(state, round_, author, commit.bond)
        events += happened
    result = _epoch_result(state, round_, epoch)
    ended = Event("epoch_ended", round_.id, (epoch, result.loss), (result.author.hex(),))
    results = (*round_.results, result)
    return replace(round_, pending=(), results=results, settled_epochs=epoch + 1), (*events, ended)


def _epoch_result(state: State, round_: Round, epoch: int) -> EpochResult:
    """The candidate of the epoch with the least (validation loss, commit height, address)."""
    found = [candidate for candidate in candidates_of(state, round_) if candidate.epoch == epoch]
    best = min(found, key=lambda c: (c.loss, c.committed, c.author), default=None)
    return EpochResult(best.author, best.root, best.loss) if best else EpochResult(bytes(20), ZERO_HASH, 0)


def _drop_unsealed(state: State, ctx: BlockContext, round_: Round) -> Settled:
    events: tuple[Event, ...] = ()
    for sealed in round_.third_party:
        if sealed.bond:
            round_, happened = forfeit_to_pot(state, round_, sealed.author, sealed.bond)
            events += happened
    opened = tuple(sealed for sealed in round_.third_party if not sealed.bond)
    return replace(round_, third_party=opened), events


def _end_round(state: State, ctx: BlockContext, round_: Round) -> Settled:
    return end_round(state, ctx, return_seal_bonds(state, round_))


_STEPS: Final[Mapping[DueStep, Callable[[State, BlockContext, Round], Settled]]] = MappingProxyType(
    {
        DueStep.UNREVEALED: abort,
        DueStep.EPOCH_END: _end_epoch,
        DueStep.UNSEALED: _drop_unsealed,
        DueStep.WITHHELD: abort,
        DueStep.DECISION: _end_round,
    }
)


def end_round(state: State, ctx: BlockContext, round_: Round) -> tuple[Round, tuple[Event, ...]]:
    """Decides and ends the round: returns or burns bonds, pays the bounty, makes the winner the next version.

    Returns the round, does not store it.
    """
    model = state.get(Model, round_.model)
    candidates = candidates_of(state, round_)
    rungs = ladder(ctx.rules, round_, model, candidates)
    events: tuple[Event, ...] = ()
    for candidate in candidates:
        events += _return_or_burn(state, round_, candidate)
    events += pay_bounty(state, ctx, round_, rungs)
    give(state, round_.opener, round_.bond)
    ended = replace(round_, bond=0, pot=0, candidates=())
    if rungs:
        ended = replace(
            ended,
            status=int(RoundStatus.DECIDED),
            winner=rungs[-1].candidate.author,
            new_version=round_.version + 1,
        )
        events += _promote(state, ctx, ended, model, rungs)
        events += _reward(state, ctx, ended, model, rungs, candidates)
    else:
        ended = replace(ended, status=int(RoundStatus.KEPT))
        state.put(replace(model, open_round=ZERO_HASH, rounds=model.rounds + 1))
    for candidate in candidates:
        retire(state, ctx, round_, candidate, promoted=bool(rungs) and candidate is rungs[-1].candidate)
    return ended, (*events, Event("round_ended", round_.id, (ended.status, ended.new_version)))


def _return_or_burn(state: State, round_: Round, candidate: Candidate) -> tuple[Event, ...]:
    """Returns the candidate's coins; bond and bid burn if it is not better than version t on sealed parts.

    They are burned whole, so that neither the opener, who might have poisoned the sealed parts, nor a rival
    gains by it.
    """
    if generalises(round_, candidate):
        refund(state, candidate)
        return ()
    lost = candidate.bond + candidate.bid
    burn(state, lost)
    give(state, candidate.author, candidate.escrow)
    return (Event("bond_burned", round_.id, (candidate.epoch, lost), (candidate.author.hex(),)),)


def _promote(
    state: State, ctx: BlockContext, round_: Round, model: Model, rungs: Sequence[Rung]
) -> tuple[Event, ...]:
    """Makes the last rung the head of the model, and records its scores."""
    winner = rungs[-1].candidate
    version = _next_version(ctx, round_, rungs[-1])
    sealed_loss, sealed_rows = version.sealed_loss, version.sealed_rows
    state.put(version)
    _record_scores(state, round_, model, winner)
    frozen = model.frozen or is_at_threshold(model, round_.classes, sealed_loss, sealed_rows)
    grown = replace(
        model,
        classes=round_.classes,
        classes_before_growth=model.classes if round_.terms.new_classes else model.classes_before_growth,
        head=version.number,
        root=version.root,
        frozen=frozen,
        loss=sealed_loss,
        loss_rows=sealed_rows,
        open_round=ZERO_HASH,
        rounds=model.rounds + 1,
        retention=next_retention(ctx.rules, model, round_, winner) if frozen else (),
    )
    state.put(grown)
    return (Event("version_created", model.id, (version.number, sealed_loss, sealed_rows, int(frozen))),)


def _next_version(ctx: BlockContext, round_: Round, rung: Rung) -> Version:
    winner, rows = rung.candidate, round_.terms.rows
    return Version(
        model=round_.model,
        number=round_.new_version,
        parent=round_.base,
        root=winner.root,
        spec=winner.spec,
        hidden=winner.hidden,
        outputs=winner.outputs,
        author=winner.author,
        round=round_.id,
        height=ctx.height,
        kind=round_.terms.kind,
        validation_loss=winner.loss,
        validation_rows=rows * len(round_.validation_opened),
        sealed_loss=rung.sealed_loss,
        sealed_rows=rows * len(round_.sealed_opened),
        sealed_correct=sum(score.correct for score in winner.sealed),
        size_bytes=winner.size_bytes,
    )


def _record_scores(state: State, round_: Round, model: Model, winner: Candidate) -> None:
    """Records the scores of the new version on every part that it was judged by."""
    rows = {part.part: part.rows for part in model.retention}
    opened = (*round_.validation_opened, *round_.sealed_opened)
    scores = [
        *zip([part.commitment for part in opened], (*winner.validation, *winner.sealed), strict=True),
        *((found.part, found.score) for found in winner.retention),
    ]
    for part, score in scores:
        count = rows.get(part, round_.terms.rows)
        state.put(ScoreEntry(model.id, round_.new_version, part, score.loss, score.correct, count))


def _reward(
    state: State,
    ctx: BlockContext,
    round_: Round,
    model: Model,
    rungs: Sequence[Rung],
    candidates: Sequence[Candidate],
) -> tuple[Event, ...]:
    """Gives the badges of the new version, and reputation to each rung."""
    deserved = [
        (candidate.author, BadgeKind.PARTICIPATION)
        for candidate in candidates
        if generalises(round_, candidate) and remembers(model, candidate)
    ]
    deserved += [(rung.candidate.author, BadgeKind.BEST_LOSS) for rung in rungs]
    owners = [part.owner for part in round_.sealed_opened]
    deserved += [(owner, BadgeKind.AUDITOR) for owner in owners if owner != round_.opener]
    if round_.terms.kind == RoundKind.GROW and round_.terms.new_classes:
        deserved.append((rungs[-1].candidate.author, BadgeKind.TEACHER))
    if round_.new_version == 1 and model.classes > 1:
        deserved.append((model.founder, BadgeKind.FOUNDER))
    events: tuple[Event, ...] = ()
    for address, kind in deserved:
        events += give_badge(state, ctx, model.id, round_.new_version, address, kind)
    for rung in rungs:
        raise_reputation(state, model.id, rung.candidate.author, reputation_points(round_, rung))
    return events
