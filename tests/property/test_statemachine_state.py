"""The overlay against a plain dictionary: any nesting of children, kept or dropped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engram.primitives.types import ZERO_HASH
from engram.statemachine.record import u64
from engram.statemachine.records import Account, Maturing
from engram.statemachine.state import State
from tests.support.smt_reference import Nodes

NAMES = [bytes([number]) * 20 for number in range(4)]
Change = tuple[int, int | None]
changes = st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(0, 5)), max_size=6)
layers = st.lists(st.tuples(changes, st.booleans()), max_size=5)
Model = dict[bytes, int]


def change(state: State, model: Model, made: list[Change]) -> None:
    for index, balance in made:
        name = NAMES[index]
        if balance is None:
            state.delete(Account(name))
            model.pop(name, None)
        else:
            state.put(Account(name, balance))
            model[name] = balance


def content(state: State) -> Model:
    found = [(name, state.find(Account, name)) for name in NAMES]
    return {name: account.balance for name, account in found if account is not None}


def root_of(model: Model) -> bytes:
    state = State(Nodes(), ZERO_HASH)
    for name, balance in model.items():
        state.put(Account(name, balance))
    return state.commit()[0]


@given(changes, layers)
def test_an_overlay_is_a_dictionary(first: list[Change], later: list[tuple[list[Change], bool]]) -> None:
    nodes = Nodes()
    model: Model = {}
    genesis = State(nodes, ZERO_HASH)
    change(genesis, model, first)
    root, new = genesis.commit()
    nodes.update(new)
    state = State(nodes, root)
    for made, kept in later:
        child, childs_model = state.child(), dict(model)
        change(child, childs_model, made)
        assert content(child) == childs_model
        assert content(state) == model
        if kept:
            state.absorb(child)
            model = childs_model
    assert content(state) == model
    assert state.commit()[0] == root_of(model)


@given(changes, layers)
def test_the_depth_of_children_does_not_matter(
    first: list[Change], later: list[tuple[list[Change], bool]]
) -> None:
    state = State(Nodes(), ZERO_HASH)
    model: Model = {}
    change(state, model, first)
    for made, _ in later:
        state = state.child()
        change(state, model, made)
    assert content(state) == model
    assert state.commit()[0] == root_of(model)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**64 - 1)), unique=True))
def test_key_parts_join_to_the_records_own_key(rewards: list[tuple[int, int]]) -> None:
    nodes = Nodes()
    state = State(nodes, ZERO_HASH)
    for index, height in rewards:
        state.put(Maturing(NAMES[index], height, 1))
    root, new = state.commit()
    nodes.update(new)
    read = State(nodes, root)
    for index, height in rewards:
        assert read.get(Maturing, NAMES[index], u64(height)).height == height
