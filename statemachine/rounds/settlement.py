"""What becomes of a round whose deadlines have passed. Moves coins and records; runs no network.

No block settles anything by itself. Every transaction that touches a round calls `settle` first, and
`advance_round` does nothing else: a default happens once, whoever comes first, with the same outcome for all.
Bonds, bids and escrows go back to balances at once; bounty and shares of a pot mature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.money import burn, forfeit, give, mature, strike
from engram.statemachine.receipt import Event
from engram.statemachine.records import Model
from engram.statemachine.rounds.calendar import Default, due
from engram.statemachine.rounds.candidates import candidates_of, refund, retire
from engram.statemachine.rounds.conclusion import decide
from engram.statemachine.rounds.records import Commit, EpochResult, Round, RoundStatus
from engram.statemachine.rounds.rewards import aborts_in_force
from engram.statemachine.state import State

Step = tuple[Round, tuple[Event, ...]]


def settle(state: State, ctx: BlockContext, round_id: Hash) -> Step:
    """Applies every default of the round that is due at this height. Idempotent.

    Returns the round as it now stands in `state`, and what happened. Raises `MissingRecord`.
    """
    round_ = state.get(Round, round_id)
    events: tuple[Event, ...] = ()
    while (default := due(round_, ctx.rules, ctx.height)) is not None:
        round_, happened = _DEFAULTS[default](state, ctx, round_)
        state.put(round_)
        events += happened
    return round_, events


def abort(state: State, ctx: BlockContext, round_: Round) -> Step:
    """Ends a round whose opener failed a duty, after bonds of others are dealt with. Returns, does not store.

    Half of his bond is burned; the rest and the pot go to the candidates in equal parts. Where there are
    none, the whole bond is burned and his bounty returns.
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
    """The round without the bonds of third parties that it still held."""
    for sealed in round_.third_party:
        give(state, sealed.author, sealed.bond)
    return replace(round_, third_party=tuple(replace(sealed, bond=0) for sealed in round_.third_party))


def forfeit_to_pot(state: State, round_: Round, author: Address, bond: int) -> Step:
    """A duty missed or a lie proved: half of the bond burned, half to the pot, a strike. Does not store."""
    strike(state, author)
    kept = forfeit(state, bond)
    event = Event("bond_forfeited", round_.id, (bond,), (author.hex(),))
    return replace(round_, pot=round_.pot + kept), (event,)


def _end_epoch(state: State, ctx: BlockContext, round_: Round) -> Step:
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
    """The epoch's lowest validation loss; ties: earlier commit, then lower address."""
    found = [candidate for candidate in candidates_of(state, round_) if candidate.epoch == epoch]
    best = min(found, key=lambda c: (c.loss, c.committed, c.author), default=None)
    return EpochResult(best.author, best.root, best.loss) if best else EpochResult(bytes(20), ZERO_HASH, 0)


def _drop_unsealed(state: State, ctx: BlockContext, round_: Round) -> Step:
    events: tuple[Event, ...] = ()
    for sealed in round_.third_party:
        if sealed.bond:
            round_, happened = forfeit_to_pot(state, round_, sealed.author, sealed.bond)
            events += happened
    opened = tuple(sealed for sealed in round_.third_party if not sealed.bond)
    return replace(round_, third_party=opened), events


def _conclude(state: State, ctx: BlockContext, round_: Round) -> Step:
    return decide(state, ctx, return_seal_bonds(state, round_))


_DEFAULTS: Final[Mapping[Default, Callable[[State, BlockContext, Round], Step]]] = MappingProxyType(
    {
        Default.UNREVEALED: abort,
        Default.EPOCH_END: _end_epoch,
        Default.UNSEALED: _drop_unsealed,
        Default.WITHHELD: abort,
        Default.DECISION: _conclude,
    }
)
