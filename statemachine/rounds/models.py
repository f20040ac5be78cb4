"""What may be done to a model between its rounds, and by whom."""

from __future__ import annotations

from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.receipt import Event
from engram.statemachine.records import Model
from engram.statemachine.rounds.errors import NotTheFounder, RoundAlreadyOpen
from engram.statemachine.rounds.settlement import settle
from engram.statemachine.state import State


def free_model(state: State, ctx: BlockContext, model_id: Hash) -> tuple[Model, tuple[Event, ...]]:
    """The model, whose last round is settled first if that is due, and must have ended.

    Raises `MissingRecord`, `RoundAlreadyOpen`.
    """
    model = state.get(Model, model_id)
    if model.open_round == ZERO_HASH:
        return model, ()
    _, events = settle(state, ctx, model.open_round)
    model = state.get(Model, model_id)
    if model.open_round != ZERO_HASH:
        raise RoundAlreadyOpen(got=model.open_round)
    return model, events


def own_model(state: State, model_id: Hash, sender: Address) -> Model:
    """The model, for what only its founder may do. Raises `MissingRecord`, `NotTheFounder`."""
    model = state.get(Model, model_id)
    if sender != model.founder:
        raise NotTheFounder(expected=model.founder, got=sender)
    return model


def own_free_model(
    state: State, ctx: BlockContext, model_id: Hash, sender: Address
) -> tuple[Model, tuple[Event, ...]]:
    """`free_model` for what only the founder may do. Raises what that raises, and `NotTheFounder`."""
    own_model(state, model_id, sender)
    return free_model(state, ctx, model_id)
