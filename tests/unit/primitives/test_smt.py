"""The sparse Merkle tree: roots, collapse, persistence, proofs of presence and absence."""

import hashlib
from dataclasses import replace

import pytest

from engram.primitives import smt
from engram.primitives.codec import decode, encode
from engram.primitives.errors import MalformedProof, OutOfRange, SmtProofMismatch
from engram.primitives.smt import OtherLeaf, SmtProof
from engram.primitives.types import ZERO_HASH
from tests.support.smt_reference import Nodes, root_of

KEYS = [hashlib.sha256(bytes([index])).digest() for index in range(60)]
MODEL = {key: key[:index] for index, key in enumerate(KEYS[:40])}
ABSENT = KEYS[40:]
TWINS = [bytes(31) + bytes([last]) for last in (0, 1)]  # equal up to the last bit


def built(model: dict[bytes, bytes]) -> tuple[Nodes, bytes]:
    reader = Nodes()
    root, nodes = smt.update(reader, ZERO_HASH, model)
    reader.update(nodes)
    return reader, root


READER, ROOT = built(MODEL)


def reachable(reader: Nodes, root: bytes) -> set[bytes]:
    if root == ZERO_HASH:
        return set()
    node = reader.get_node(root)
    if node[0] == 0:
        return {root}
    return {root} | reachable(reader, node[1:33]) | reachable(reader, node[33:])


@pytest.mark.parametrize("size", [0, 1, 2, 3, 40])
def test_the_root_is_the_definition(size: int) -> None:
    model = dict(list(MODEL.items())[:size])
    assert built(model)[1] == root_of(model)


def test_get_and_iterate_see_the_set() -> None:
    assert all(smt.get(READER, ROOT, key) == value for key, value in MODEL.items())
    assert all(smt.get(READER, ROOT, key) is None for key in ABSENT)
    assert list(smt.iterate(READER, ROOT)) == sorted(MODEL.items())
    assert smt.get(READER, ZERO_HASH, KEYS[0]) is None
    assert list(smt.iterate(READER, ZERO_HASH)) == []


def test_an_empty_value_is_a_value() -> None:
    reader, root = built({KEYS[0]: b""})
    assert smt.get(reader, root, KEYS[0]) == b""
    smt.prove(reader, root, KEYS[0]).verify(root, KEYS[0], b"")
    with pytest.raises(SmtProofMismatch):
        smt.prove(reader, root, KEYS[0]).verify(root, KEYS[0], None)


def test_a_value_shaped_like_an_inner_node_stays_a_value() -> None:
    """31 bytes of value make a leaf as long as two hashes; the first byte still tells the two apart."""
    for size in (31, 32, 64, 65):
        reader, root = built({KEYS[0]: b"\x01" * size, KEYS[1]: b"\x00" * size})
        assert dict(smt.iterate(reader, root)) == {KEYS[0]: b"\x01" * size, KEYS[1]: b"\x00" * size}


def test_old_roots_stay_readable() -> None:
    reader, root = built(MODEL)
    changed, nodes = smt.update(reader, root, {KEYS[0]: b"new", KEYS[1]: None, ABSENT[0]: b"added"})
    reader.update(nodes)
    assert dict(smt.iterate(reader, root)) == MODEL
    assert smt.get(reader, changed, KEYS[0]) == b"new"
    assert smt.get(reader, changed, KEYS[1]) is None
    assert smt.get(reader, changed, ABSENT[0]) == b"added"


def test_a_change_that_changes_nothing_makes_no_nodes() -> None:
    same = {key: MODEL[key] for key in KEYS[:5]}
    for changes in ({}, same, dict.fromkeys(ABSENT), same | dict.fromkeys(ABSENT)):
        assert smt.update(READER, ROOT, changes) == (ROOT, {})
    assert smt.update(READER, ZERO_HASH, dict.fromkeys(ABSENT)) == (ZERO_HASH, {})


def test_new_nodes_are_all_used_and_all_new() -> None:
    changes = {KEYS[0]: b"new", KEYS[1]: None, KEYS[2]: None, KEYS[3]: MODEL[KEYS[3]], ABSENT[0]: b"x"}
    root, nodes = smt.update(READER, ROOT, changes)
    after = Nodes(READER | nodes)
    assert set(nodes) == reachable(after, root) - reachable(READER, ROOT)


def test_deleting_all_in_any_steps_leaves_nothing() -> None:
    for step in (1, 7, 40):
        reader, root = Nodes(READER), ROOT
        for start in range(0, 40, step):
            root, nodes = smt.update(reader, root, dict.fromkeys(KEYS[start : min(start + step, 40)]))
            reader.update(nodes)
            rest = {key: MODEL[key] for key in KEYS[start + step : 40]}
            assert root == root_of(rest)
        assert root == ZERO_HASH


def test_keys_that_differ_in_the_last_bit_alone() -> None:
    model = dict.fromkeys(TWINS, b"twin")
    reader, root = built(model)
    assert root == root_of(model)
    assert len(smt.prove(reader, root, TWINS[0]).siblings) == 256
    smt.prove(reader, root, TWINS[0]).verify(root, TWINS[0], b"twin")
    near = bytes(30) + b"\x01\x00"
    smt.prove(reader, root, near).verify(root, near, None)
    assert smt.update(reader, root, {TWINS[0]: None})[0] == root_of({TWINS[1]: b"twin"})
    assert smt.update(reader, root, dict.fromkeys(TWINS))[0] == ZERO_HASH


def test_one_batch_deletes_a_leaf_and_puts_others_in_its_place() -> None:
    reader, root = built({TWINS[0]: b"old"})
    changes = {TWINS[0]: None, TWINS[1]: b"a", KEYS[0]: b"b"}
    assert smt.update(reader, root, changes)[0] == root_of({TWINS[1]: b"a", KEYS[0]: b"b"})


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33)])
def test_a_key_is_32_bytes(key: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        smt.update(READER, ROOT, {key: b"x"})
    with pytest.raises(ValueError, match="32 bytes"):
        smt.get(READER, ROOT, key)


def test_a_missing_node_is_the_readers_error() -> None:
    partial = Nodes(READER)
    del partial[ROOT]
    for read in (
        lambda: smt.get(partial, ROOT, KEYS[0]),
        lambda: smt.prove(partial, ROOT, KEYS[0]),
        lambda: smt.update(partial, ROOT, {KEYS[0]: b"x"}),
        lambda: list(smt.iterate(partial, ROOT)),
    ):
        with pytest.raises(KeyError):
            read()


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.hex()[:6])
def test_a_proof_proves_what_get_returns_and_nothing_else(key: bytes) -> None:
    proof = smt.prove(READER, ROOT, key)
    value = smt.get(READER, ROOT, key)
    assert decode(SmtProof, encode(proof)) == proof
    proof.verify(ROOT, key, value)
    for claim in (b"forged", None if value is not None else b""):
        with pytest.raises((SmtProofMismatch, MalformedProof)):
            proof.verify(ROOT, key, claim)
    with pytest.raises((SmtProofMismatch, MalformedProof)):
        proof.verify(ROOT, KEYS[(KEYS.index(key) + 1) % 60], value)


def test_a_proof_of_the_empty_tree() -> None:
    proof = smt.prove(READER, ZERO_HASH, KEYS[0])
    assert proof == SmtProof((), None)
    proof.verify(ZERO_HASH, KEYS[0], None)
    with pytest.raises(SmtProofMismatch):
        proof.verify(ROOT, KEYS[0], None)


def test_a_present_key_cannot_be_proved_absent() -> None:
    proof = smt.prove(READER, ROOT, KEYS[0])
    others = [smt.prove(READER, ROOT, key).other for key in ABSENT]
    claims = [None, *others, OtherLeaf(KEYS[0], ZERO_HASH), OtherLeaf(KEYS[1], ZERO_HASH)]
    for cut in range(len(proof.siblings) + 1):
        for other in claims:
            with pytest.raises((SmtProofMismatch, MalformedProof)):
                SmtProof(proof.siblings[:cut], other).verify(ROOT, KEYS[0], None)


@pytest.mark.parametrize("depth", range(3))
def test_a_changed_sibling_is_a_mismatch(depth: int) -> None:
    proof = smt.prove(READER, ROOT, KEYS[0])
    siblings = list(proof.siblings)
    siblings[depth] = bytes([siblings[depth][0] ^ 1]) + siblings[depth][1:]
    with pytest.raises(SmtProofMismatch) as raised:
        replace(proof, siblings=tuple(siblings)).verify(ROOT, KEYS[0], MODEL[KEYS[0]])
    assert raised.value.expected == ROOT


def test_malformed_proofs_are_refused_before_they_are_hashed() -> None:
    key, value = KEYS[0], MODEL[KEYS[0]]
    proof = smt.prove(READER, ROOT, key)
    with pytest.raises(MalformedProof, match="holds another leaf"):
        replace(proof, other=OtherLeaf(KEYS[1], ZERO_HASH)).verify(ROOT, key, value)
    with pytest.raises(MalformedProof, match="not on the key's path"):
        replace(proof, other=OtherLeaf(key, ZERO_HASH)).verify(ROOT, key, None)
    far = bytes([key[0] ^ 0x80]) + key[1:]
    with pytest.raises(MalformedProof, match="not on the key's path"):
        replace(proof, other=OtherLeaf(far, ZERO_HASH)).verify(ROOT, key, None)
    with pytest.raises(MalformedProof, match="too long"):
        SmtProof((ZERO_HASH,) * 257, None).verify(ROOT, key, None)
    with pytest.raises(OutOfRange):
        encode(SmtProof((ZERO_HASH,) * 257, None))
