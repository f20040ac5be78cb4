"""The state by which the candidates of a round are judged.

When a round ends, candidates can be withdrawn, and its model changes: it can get another retention part. So
whoever tells how candidates did needs the last state in which the round was open.
"""

from __future__ import annotations

from engram.node.errors import StatePruned
from engram.node.rpc.headview import HeadView
from engram.primitives.types import Hash
from engram.statemachine.rounds.records import Round, RoundStatus
from engram.statemachine.state import State


def judged_state(view: HeadView, round_id: Hash) -> State:
    """The state of the head if the round is open there, else the last state in which it was open.

    Raises `MissingRecord` for an unknown round, `StatePruned` if the states are deleted in which it was open.
    """
    round_ = view.state.get(Round, round_id)
    if round_.status == RoundStatus.OPEN:
        return view.state
    # At every step of the search the round has not ended at height `first` and has ended at height `last`.
    # There are no fewer blocks than ticks, so it was opened after the height that is its tick.
    # Where the states are pruned it is taken for open.
    first, last = max(round_.opened, view.store.pruned().states), view.head.height
    while last - first > 1:
        middle = (first + last) // 2
        found = _state_at(view, middle).find(Round, round_id)
        if found is None or found.status == RoundStatus.OPEN:
            first = middle
        else:
            last = middle
    judged = _state_at(view, first)
    found = judged.find(Round, round_id)
    if found is not None and found.status != RoundStatus.OPEN:
        raise StatePruned("the states in which this round was open are pruned: ask a node with --archive")
    return judged


def _state_at(view: HeadView, height: int) -> State:
    ref = view.block(height, None)
    view.store.require_state(ref.height)
    return State(view.store, ref.state_root)
