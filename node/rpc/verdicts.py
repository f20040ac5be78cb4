"""Shows people how the candidates of a round fare in the tests that decide the round.

The core's own functions make the judgement. Of a round that has ended, candidates can have been withdrawn.
But the newest old states are kept, so they are judged in the last state in which the round was open, or the
node says that it is pruned. The candidates of an open round are judged in the present state.
"""

from __future__ import annotations

from typing import Any

from engram.node.rpc.headview import HeadView
from engram.node.rpc.judgedstate import judged_state
from engram.node.rpc.render import Renderer
from engram.node.storage.recordindex import records
from engram.primitives.types import Hash
from engram.statemachine.records import Model
from engram.statemachine.rounds.candidates import (
    best_of,
    is_below_a_baseline,
    is_complete,
    is_refuted,
    is_scored_on_all,
)
from engram.statemachine.rounds.judging import lower_baseline, proves_gain, proves_harm
from engram.statemachine.rounds.records import Candidate, GroupScore, Round, RoundKind
from engram.statemachine.rounds.rewards import ladder
from engram.statemachine.rounds.union import half_weights, reasons_against_all
from engram.statemachine.state import State


def verdicts(view: HeadView, render: Renderer, round_id: Hash) -> list[dict[str, Any]]:
    """Each candidate of a round, with the tests that it passes or fails and the numbers that decide them.

    `correct` counts the rows of all unseen parts that it has right.
    `reward` is what a rung gets, in sparks; in an open round, what it would get if nothing better came.
    `earned` says who gets how much of it: the author, or of a union the authors of its halves.
    Raises `MissingRecord` for an unknown round, `StatePruned` if the states are deleted in which
    it was open.
    """
    state = judged_state(view, round_id)
    round_ = state.get(Round, round_id)
    model = state.get(Model, round_.model)
    rewards = {(rung.epoch, rung.best.author): rung.reward(round_) for rung in ladder(round_)}
    earned = {
        (rung.epoch, rung.best.author): [
            {"author": render.address(author), "amount": amount}
            for author, amount in rung.divided(rung.reward(round_))
        ]
        for rung in ladder(round_)
    }
    candidates = records(view.store.database, state, Candidate, round_id)
    return [
        {
            "epoch": candidate.epoch,
            "author": render.address(candidate.author),
            "loss": candidate.loss,
            "correct": candidate.correct,
            "rung": (candidate.epoch, candidate.author) in rewards,
            "reward": rewards.get((candidate.epoch, candidate.author), 0),
            "earned": earned.get((candidate.epoch, candidate.author), []),
            "below_baseline": is_below_a_baseline(round_, candidate),
            **_judgement(view, state, round_, model, candidate),
            "groups": [_group(round_, group) for group in candidate.groups],
        }
        for candidate in candidates
    ]


def _judgement(
    view: HeadView, state: State, round_: Round, model: Model, candidate: Candidate
) -> dict[str, Any]:
    """The share, and why the candidate cannot take the lead; see `_unscored` until its scores count."""
    if not round_.unseen or not is_complete(round_, model, candidate):
        return {"share": None, "reasons": [_unscored(round_, model, candidate)]}
    best = best_of(candidate, round_)
    halves = half_weights(state, view.spec.rules, round_, model, candidate)
    reasons = reasons_against_all(view.spec.rules, round_, model, candidate, halves)
    return {"share": {"loss": best.loss, "baseline": best.baseline}, "reasons": list(reasons)}


def _unscored(round_: Round, model: Model, candidate: Candidate) -> str:
    """Why the scores of a candidate do not count: they are missing, or claimed and not confirmed."""
    if candidate.claim is None:
        return "not_scored"
    if is_refuted(candidate):
        return "claim_refuted"
    if not round_.unseen or not is_scored_on_all(round_, model, candidate):
        return "claim_unfinished"
    return "claim_not_confirmed"


def _group(round_: Round, group: GroupScore) -> dict[str, Any]:
    counted = lower_baseline(group, train=round_.terms.kind == RoundKind.TRAIN)
    return {
        "rows": group.rows,
        "loss": group.loss,
        "baseline": counted.baseline,
        "gained": counted.gained,
        "lost": counted.lost,
        "squares": counted.squares,
        "forgotten": group.forgotten,
        "proves_gain": proves_gain(counted, round_.terms.z_squared),
        "proves_harm": proves_harm(counted, round_.terms.z_squared),
    }
