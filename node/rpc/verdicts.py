"""How a round's candidates do by the tests that decide it, for people. The judge is the core's own functions.

A round that has ended keeps no candidates, but the state before the block that ended it does: they are judged
there. Those of an open round are judged as they stand.
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
    """Each candidate of a round with the tests that it passed and failed, and by how much.

    Raises `MissingRecord`; `CorruptStore` where an old state is not at hand.
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
    """The last state in which the round is open; the head's, if it is still."""
    round_ = view.state.get(Round, round_id)
    if round_.status == RoundStatus.OPEN:
        return view.state
    first, last = round_.opened, view.head.height  # open in the first, ended in the last
    while last - first > 1:
        middle = (first + last) // 2
        if _state_at(view, middle).get(Round, round_id).status == RoundStatus.OPEN:
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
