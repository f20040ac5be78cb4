"""The judgement of a candidate of which all scores are known: whether it is the best of its epoch."""

from __future__ import annotations

from dataclasses import replace

from engram.statemachine.receipt import Event
from engram.statemachine.records import Model
from engram.statemachine.rounds.candidates import best_of, is_refused
from engram.statemachine.rounds.judging import is_lower
from engram.statemachine.rounds.records import NOBODY, Candidate, EpochBest, Round
from engram.statemachine.rounds.union import half_weights, reasons_against_all
from engram.statemachine.rules import Rules
from engram.statemachine.state import State


def judge(
    state: State, rules: Rules, round_: Round, model: Model, candidate: Candidate
) -> tuple[Round, Event]:
    """The round with what a complete candidate makes of it, not stored, and the event that tells its share.

    The very same round comes back if nothing of it changes.
    """
    share = best_of(candidate, round_)
    halves = half_weights(state, rules, round_, model, candidate)
    reasons = reasons_against_all(rules, round_, model, candidate, halves)
    mine = None if reasons else replace(share, halves=halves)
    values = (candidate.epoch, share.loss, share.baseline)
    event = Event("update_judged", round_.id, values, (candidate.author.hex(), *reasons))
    return _with_candidate(round_, model, candidate, mine), event


def _with_candidate(round_: Round, model: Model, candidate: Candidate, mine: EpochBest | None) -> Round:
    """The round, with the candidate as the best of its epoch if it is, and marked if it was refused.

    `mine` is its share; None if it is not eligible.
    """
    if is_refused(round_, model, candidate) and not round_.refused:
        round_ = replace(round_, refused=True)
    if mine is None:
        return round_
    epoch = candidate.epoch
    held = round_.best[epoch]
    if held.author != NOBODY and not is_lower(mine, held):
        return round_
    best = [mine if number == epoch else other for number, other in enumerate(round_.best)]
    return replace(round_, best=tuple(best))
