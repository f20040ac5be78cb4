"""The working state: overlays, children, commits, and the place of a record in the tree."""

import pytest

from engram.primitives import smt
from engram.primitives.codec import encode
from engram.primitives.errors import CodecError, UnknownTag
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import ZERO_HASH
from engram.statemachine.errors import MissingRecord
from engram.statemachine.record import u64
from engram.statemachine.records import Account, Maturing, Supply
from engram.statemachine.registry import RECORDS, parse_record
from engram.statemachine.state import State, leaf_value, record_path
from tests.support.smt_reference import Nodes

ALICE, BOB, CAROL = b"\xa1" * 20, b"\xb0" * 20, b"\xc0" * 20


def committed(*records: Account | Maturing | Supply) -> State:
    nodes = Nodes()
    state = State(nodes, ZERO_HASH)
    for record in records:
        state.put(record)
    root, new = state.commit()
    nodes.update(new)
    return State(nodes, root)


def test_an_absent_account_is_empty() -> None:
    state = committed()
    assert state.find(Account, ALICE) is None
    assert state.account(ALICE) == Account(ALICE, 0, 0)


def test_a_committed_record_is_found_under_its_joined_key() -> None:
    reward = Maturing(ALICE, 77, 5)
    state = committed(Account(ALICE, 9), reward)
    assert state.find(Maturing, ALICE, u64(77)) == reward
    assert state.find(Maturing, ALICE + u64(77)) == reward
    assert state.find(Maturing, ALICE, u64(78)) is None


def test_kinds_do_not_share_keys() -> None:
    state = committed(Account(ALICE, 9))
    assert state.find(Maturing, ALICE) is None


def test_a_missing_record_names_its_kind() -> None:
    with pytest.raises(MissingRecord) as caught:
        committed().get(Maturing, ALICE, u64(1))
    assert caught.value.code == "missing_maturing"
    assert caught.value.got == ALICE + u64(1)


def test_a_child_keeps_its_changes_until_it_is_absorbed() -> None:
    parent = committed(Account(ALICE, 9), Account(BOB, 1))
    child = parent.child()
    child.put(Account(ALICE, 8))
    child.delete(Account(BOB))
    assert parent.account(ALICE).balance == 9
    assert child.account(ALICE).balance == 8
    assert child.find(Account, BOB) is None
    parent.absorb(child)
    assert parent.account(ALICE).balance == 8
    assert parent.find(Account, BOB) is None


def test_a_child_sees_what_its_parent_changed_before() -> None:
    parent = committed(Account(ALICE, 9))
    parent.put(Account(ALICE, 7))
    assert parent.child().child().account(ALICE).balance == 7


def test_only_a_child_can_be_absorbed() -> None:
    state = committed()
    with pytest.raises(AssertionError):
        state.absorb(committed())


def test_commit_leaves_the_state_as_it_is() -> None:
    state = committed(Account(ALICE, 9))
    state.put(Account(BOB, 3))
    first, second = state.commit(), state.commit()
    assert first == second
    assert first[0] != ZERO_HASH


def test_a_childs_commit_holds_the_changes_of_its_parents() -> None:
    parent = committed(Account(ALICE, 9))
    parent.put(Account(BOB, 3))
    child = parent.child()
    child.put(Account(ALICE, 1))
    parent_first = committed(Account(ALICE, 1), Account(BOB, 3))
    assert child.commit()[0] == parent_first._base.root


def test_changes_are_leaf_values_by_tree_key() -> None:
    state = committed(Account(ALICE, 9))
    state.put(Account(BOB, 3))
    state.delete(Account(ALICE))
    assert state.changes() == {
        record_path(Account, BOB): leaf_value(Account(BOB, 3)),
        record_path(Account, ALICE): None,
    }


def test_changes_do_not_name_what_never_was() -> None:
    state = committed(Account(ALICE, 9))
    state.delete(Account(BOB))
    child = state.child()
    child.put(Account(CAROL, 3))
    grandchild = child.child()
    grandchild.delete(Account(CAROL))
    assert grandchild.changes() == {}
    assert grandchild.commit() == (grandchild._base.root, {})


def test_the_root_commits_to_kind_key_and_value() -> None:
    nodes = Nodes()
    state = State(nodes, ZERO_HASH)
    state.put(Account(ALICE, 9))
    root, new = state.commit()
    nodes.update(new)
    path = tagged_hash(Tag.KEY, b"\x01" + ALICE)
    assert smt.get(nodes, root, path) == b"\x01" + encode(Account(ALICE, 9))
    assert record_path(Account, ALICE) == path


def test_restoring_a_record_restores_the_root() -> None:
    state = committed(Account(ALICE, 9), Account(BOB, 3))
    before = state.commit()[0]
    state.put(Account(ALICE, 8))
    state.put(Account(ALICE, 9))
    assert state.commit() == (before, {})


def test_every_record_kind_is_its_own_byte() -> None:
    assert all(kind == cls.KIND and 0 < kind < 256 for kind, cls in RECORDS.items())


@pytest.mark.parametrize("raw", [b"", b"\x00\x90", b"\xff\x90"])
def test_a_leaf_of_no_kind_is_refused(raw: bytes) -> None:
    with pytest.raises(UnknownTag):
        parse_record(raw)


def test_a_leaf_with_bad_bytes_is_refused() -> None:
    with pytest.raises(CodecError):
        parse_record(leaf_value(Account(ALICE, 9)) + b"\x00")


def test_a_record_that_cannot_be_stored_is_our_bug() -> None:
    state = committed()
    state.put(Account(ALICE, -1))
    with pytest.raises(AssertionError, match="cannot be stored"):
        state.commit()
