"""Laws of both Merkle trees, against dict and list models and a second implementation of the root."""

import hashlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from engram.primitives import smt
from engram.primitives.errors import InvalidProof
from engram.primitives.merkle import ListProof, list_root, prove_item
from engram.primitives.types import ZERO_HASH
from tests.support.smt_reference import Nodes, root_of

# Hashed keys, and crowded ones that share all but a few bits at either end.
KEYS = [hashlib.sha256(bytes([index])).digest() for index in range(12)]
KEYS += [bytes(31) + bytes([last]) for last in range(6)]
KEYS += [bytes([first]) + bytes(31) for first in range(1, 6)]
keys = st.sampled_from(KEYS)
small_values = st.binary(max_size=40)
models = st.dictionaries(keys, small_values)
changes_of = st.dictionaries(keys, st.none() | small_values)
hashes = st.binary(min_size=32, max_size=32)


def applied(model: dict[bytes, bytes], changes: dict[bytes, bytes | None]) -> dict[bytes, bytes]:
    return {key: value for key, value in (model | changes).items() if value is not None}


@given(st.lists(changes_of, max_size=4))
def test_the_root_depends_on_the_set_alone(batches: list[dict[bytes, bytes | None]]) -> None:
    reader, root, model = Nodes(), ZERO_HASH, dict[bytes, bytes]()
    for changes in batches:
        root, nodes = smt.update(reader, root, changes)
        reader.update(nodes)
        model = applied(model, changes)
        assert root == root_of(model)
    assert dict(smt.iterate(reader, root)) == model
    assert smt.update(Nodes(), ZERO_HASH, model)[0] == root


@given(models, changes_of, st.randoms(use_true_random=False))
def test_one_batch_is_as_good_as_single_changes_in_any_order(
    model: dict[bytes, bytes], changes: dict[bytes, bytes | None], random: Any
) -> None:
    reader = Nodes()
    start, nodes = smt.update(reader, ZERO_HASH, model)
    reader.update(nodes)
    together, _ = smt.update(reader, start, changes)
    one_by_one, order = start, list(changes.items())
    random.shuffle(order)
    for key, value in order:
        one_by_one, nodes = smt.update(reader, one_by_one, {key: value})
        reader.update(nodes)
    assert one_by_one == together


@given(models, keys, st.none() | small_values)
def test_a_proof_accepts_the_truth_alone(model: dict[bytes, bytes], key: bytes, claim: bytes | None) -> None:
    reader = Nodes()
    root, nodes = smt.update(reader, ZERO_HASH, model)
    reader.update(nodes)
    proof = smt.prove(reader, root, key)
    proof.verify(root, key, model.get(key))
    assert smt.get(reader, root, key) == model.get(key)
    assert accepts(proof, root, key, claim) == (claim == model.get(key))


@given(models, keys, st.none() | small_values, st.data())
def test_no_made_up_proof_is_accepted(
    model: dict[bytes, bytes], key: bytes, claim: bytes | None, data: st.DataObject
) -> None:
    reader = Nodes()
    root, nodes = smt.update(reader, ZERO_HASH, model)
    reader.update(nodes)
    true = smt.prove(reader, root, data.draw(keys))
    siblings = st.lists(st.sampled_from([*true.siblings, ZERO_HASH, root]), max_size=5).map(tuple)
    others = st.none() | st.just(true.other) | st.builds(smt.OtherLeaf, keys, hashes)
    proof = smt.SmtProof(data.draw(st.just(true.siblings) | siblings), data.draw(others))
    assert not accepts(proof, root, key, claim) or claim == model.get(key)


def accepts(proof: smt.SmtProof, root: bytes, key: bytes, claim: bytes | None) -> bool:
    try:
        proof.verify(root, key, claim)
    except InvalidProof:
        return False
    return True


class History(RuleBasedStateMachine):
    """Updates on top of any earlier root: all roots stay what they were, as forks of a chain need."""

    roots = Bundle("roots")

    def __init__(self) -> None:
        super().__init__()
        self.reader = Nodes()
        self.models: dict[bytes, dict[bytes, bytes]] = {ZERO_HASH: {}}

    @rule(target=roots)
    def empty(self) -> bytes:
        return ZERO_HASH

    @rule(target=roots, root=roots, changes=changes_of)
    def extend(self, root: bytes, changes: dict[bytes, bytes | None]) -> bytes:
        after, nodes = smt.update(self.reader, root, changes)
        self.reader.update(nodes)
        self.models[after] = applied(self.models[root], changes)
        return after

    @invariant()
    def every_root_reads_as_its_model(self) -> None:
        for root, model in self.models.items():
            assert dict(smt.iterate(self.reader, root)) == model


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)


@given(st.lists(st.binary(max_size=3), max_size=20), st.lists(st.binary(max_size=3), max_size=20))
def test_lists_have_one_root_each(one: list[bytes], other: list[bytes]) -> None:
    assert (list_root(one) == list_root(other)) == (one == other)


@given(st.lists(st.binary(max_size=3), min_size=1, max_size=40), st.data())
def test_every_item_is_proved_and_no_other(items: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(items) - 1))
    root, proof = list_root(items), prove_item(items, index)
    proof.verify(root, items[index])
    made_up = ListProof(
        data.draw(st.integers(0, len(items))),
        data.draw(st.integers(1, 2**32 - 1) | st.just(len(items))),
        data.draw(st.just(proof.siblings) | st.lists(hashes, max_size=6).map(tuple)),
    )
    claim = data.draw(st.sampled_from(items) | st.binary(max_size=3))
    try:
        made_up.verify(root, claim)
    except InvalidProof:
        return
    assert made_up.count == len(items)
    assert items[made_up.index] == claim
