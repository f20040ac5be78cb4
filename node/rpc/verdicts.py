"""Shows people how the candidates of a round fare in the tests that decide the round.

The core's own functions make the judgement. A round that has ended keeps no candidates in the state. But
older states stay readable, so they are judged in the last state in which the round was open. The candidates
of an open round are judged in the present state.
"""

from __future__ import annotations

from typing import Any

from engram.node.rpc.headview import HeadView
from engram.node.rpc.render import Renderer
from engram.primitives.types import Hash
from engram.statemachine.records import Model, RetentionPart
from engram.statemachine.rounds.candidates import candidates_of
from engram.statemachine.rounds.ranking import (
    fewest_correct,
    generalises,
    ladder,
    most_loss,
    passes_gate,
    remembers,
    sealed_baseline,
    sealed_loss,
)
from engram.statemachine.rounds.records import Candidate, Round, RoundStatus
from engram.statemachine.state import State


def verdicts(view: HeadView, render: Renderer, round_id: Hash) -> list[dict[str, Any]]:
    """Each candidate of a round, with the tests that it passes or fails and the numbers that decide them.

    Raises `MissingRecord` for an unknown round, `CorruptStore` if an old state is missing.
    """
    state = _judged_state(view, round_id)
    round_ = state.get(Round, round_id)
    model = state.get(Model, round_.model)
    candidates = candidates_of(state, round_)
    rungs = [rung.candidate for rung in ladder(view.spec.rules, round_, model, candidates)]
    return [
        {
            "epoch": candidate.epoch,
            "author": render.address(candidate.author),
            "sealed_loss": sealed_loss(candidate),
            "sealed_baseline": sealed_baseline(round_),
            "sealed_rows": round_.terms.rows * len(round_.sealed_opened),
            "generalises": generalises(round_, candidate),
            "remembers": remembers(model, candidate),
            "rung": any(candidate is rung for rung in rungs),
            "retention": [_gate(model, part, candidate) for part in model.retention],
        }
        for candidate in candidates
    ]


def _judged_state(view: HeadView, round_id: Hash) -> State:
    """The state of the head if the round is open there, else the last state in which it was open."""
    round_ = view.state.get(Round, round_id)
    if round_.status == RoundStatus.OPEN:
        return view.state
    # At every step of the search the round has not ended at height `first` and has ended at height `last`.
    # There are no fewer blocks than ticks, so it was opened after the height that is its tick.
    first, last = round_.opened, view.head.height
    while last - first > 1:
        middle = (first + last) // 2
        found = _state_at(view, middle).find(Round, round_id)
        if found is None or found.status == RoundStatus.OPEN:
            first = middle
        else:
            last = middle
    return _state_at(view, first)


def _state_at(view: HeadView, height: int) -> State:
    return State(view.store, view.block(height, None).state_root)


def _gate(model: Model, part: RetentionPart, candidate: Candidate) -> dict[str, Any]:
    found = next((score for score in candidate.retention if score.part == part.part), None)
    return {
        "part": part.part.hex(),
        "rows": part.rows,
        "correct": None if found is None else found.score.correct,
        "fewest_correct": fewest_correct(model, part),
        "loss": None if found is None else found.score.loss,
        "most_loss": None if found is None else most_loss(model, part, found),
        "passed": found is not None and passes_gate(model, part, found),
    }
