"""The keystore: what is written opens again, and nothing else does."""

import hashlib
import json
import stat
from pathlib import Path

import pytest

from engram.node import keystore
from engram.node.errors import (
    KeyExists,
    KeyFileInvalid,
    KeyNameInvalid,
    KeyNotFound,
    PassphraseInvalid,
    WrongPassphrase,
)
from engram.node.files import write_private
from engram.node.keystore import Keystore, load_node_key
from engram.primitives.errors import BadAddress, ChainError
from engram.primitives.keys import PrivateKey, format_address
from tests.support.faults import Played

SEED = bytes(range(32))


@pytest.fixture
def store(tmp_path: Path) -> Keystore:
    return Keystore(tmp_path / "keys", "leng")


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A derivation that costs nothing, for tests that open a file many times."""
    monkeypatch.setattr(keystore, "SCRYPT_N", 2)


def test_a_key_opens_with_its_passphrase_only(store: Keystore) -> None:
    entry = store.create("alice", "pässword", seed=SEED)
    assert store.load("alice", "pässword").seed == SEED
    with pytest.raises(WrongPassphrase):
        store.load("alice", "password")
    document = json.loads(entry.path.read_text())
    assert (document["kdf"]["n"], document["kdf"]["r"], document["kdf"]["p"]) == (2**17, 8, 1)


@pytest.mark.usefixtures("cheap")
def test_keys_are_listed_without_a_passphrase(store: Keystore) -> None:
    assert store.entries() == []
    for name in ("bob", "alice"):
        store.create(name, "x")
    entries = store.entries()
    assert [entry.name for entry in entries] == ["alice", "bob"]
    assert [entry.address for entry in entries] == [store.load(e.name, "x").address for e in entries]


@pytest.mark.usefixtures("cheap")
def test_a_file_is_private_and_shows_no_seed(store: Keystore) -> None:
    path = store.create("alice", "x", seed=SEED).path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SEED.hex() not in path.read_text()
    assert [file.name for file in path.parent.iterdir()] == ["alice.json"]


@pytest.mark.usefixtures("cheap")
def test_salt_and_nonce_are_fresh(store: Keystore) -> None:
    texts = [store.create(name, "x", seed=SEED).path.read_text() for name in ("a", "b")]
    documents = [json.loads(text) for text in texts]
    assert documents[0]["kdf"]["salt"] != documents[1]["kdf"]["salt"]
    assert documents[0]["cipher"]["nonce"] != documents[1]["cipher"]["nonce"]


@pytest.mark.usefixtures("cheap")
def test_a_key_is_never_overwritten(store: Keystore) -> None:
    store.create("alice", "x", seed=SEED)
    with pytest.raises(KeyExists):
        store.create("alice", "y")
    assert store.load("alice", "x").seed == SEED


@pytest.mark.usefixtures("cheap")
def test_a_key_that_appears_meanwhile_is_not_overwritten(
    store: Keystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.path_of("alice")
    derive = keystore._derive

    def derive_while_another_writes(header: dict[str, object], passphrase: str) -> bytes:
        write_private(path, b"another's")
        return derive(header, passphrase)

    monkeypatch.setattr(keystore, "_derive", derive_while_another_writes)
    with pytest.raises(KeyExists):
        store.create("alice", "x")
    assert path.read_bytes() == b"another's"


@pytest.mark.parametrize("name", ["", "../a", "a/b", "a.b", "a" * 65, "é", "a b", "."])
def test_names_that_could_leave_the_folder(store: Keystore, name: str) -> None:
    with pytest.raises(KeyNameInvalid):
        store.path_of(name)


@pytest.mark.usefixtures("cheap")
def test_an_unknown_name_is_answered_with_the_known_ones(store: Keystore) -> None:
    store.create("alice", "x")
    with pytest.raises(KeyNotFound, match="alice"):
        store.load("bob", "x")


@pytest.mark.fault(id=31)
@pytest.mark.usefixtures("cheap")
def test_every_single_byte_edit_is_refused(store: Keystore, fault: Played) -> None:
    path = store.create("alice", "x", seed=SEED).path
    whole = path.read_bytes()
    accepted, played = [], 0
    for index, byte in enumerate(whole):
        for edited in {byte ^ 1, byte ^ 0x20, ord(" "), ord("0")} - {byte}:
            path.write_bytes(whole[:index] + bytes([edited]) + whole[index + 1 :])
            played += 1
            try:
                store.load("alice", "x")
            except ChainError:
                continue
            accepted.append((index, byte, edited))
    assert accepted == []
    assert played >= 1_500
    fault.tell(played, code=KeyFileInvalid.code)


@pytest.mark.fault(id=31)
@pytest.mark.usefixtures("cheap")
def test_every_truncation_and_addition_is_refused(store: Keystore, fault: Played) -> None:
    path = store.create("alice", "x", seed=SEED).path
    whole = path.read_bytes()
    cut = [whole[:length] for length in range(len(whole))]
    for raw in (*cut, whole + b" ", whole * 2, b"\n" + whole):
        path.write_bytes(raw)
        with pytest.raises(KeyFileInvalid):
            store.load("alice", "x")
    fault.tell(len(cut) + 3, code=KeyFileInvalid.code)


@pytest.mark.usefixtures("cheap")
def test_a_key_of_another_network_is_refused(store: Keystore, tmp_path: Path) -> None:
    store.create("alice", "x", seed=SEED)
    with pytest.raises(BadAddress):
        Keystore(tmp_path / "keys", "eng").entries()
    with pytest.raises(BadAddress):
        Keystore(tmp_path / "keys", "eng").load("alice", "x")


@pytest.mark.usefixtures("cheap")
def test_a_file_that_lies_about_its_address_is_refused(store: Keystore) -> None:
    path = store.create("alice", "x", seed=SEED).path
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PrivateKey, "address", bytes(20))
        document = keystore._encrypt(PrivateKey.from_seed(SEED), "x", "leng")
    assert document["address"] == format_address(bytes(20), "leng")
    write_private(path, keystore._rendered(document))
    with pytest.raises(KeyFileInvalid, match="another key"):
        store.load("alice", "x")


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize(
    ("name", "value"),
    [("n", 2**30), ("n", 2**10), ("n", 0), ("n", "2"), ("r", 2**20), ("p", 2**20), ("name", "pbkdf2")],
)
def test_other_derivations_are_refused_before_they_run(
    store: Keystore, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    path = store.create("alice", "x", seed=SEED).path
    document = json.loads(path.read_text())
    document["kdf"][name] = value
    write_private(path, keystore._rendered(document))

    def must_not_run(*args: object, **kwargs: object) -> bytes:
        raise AssertionError("the derivation ran")

    monkeypatch.setattr(hashlib, "scrypt", must_not_run)
    with pytest.raises(KeyFileInvalid):
        store.load("alice", "x")


@pytest.mark.fault(id=31)
@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "{" * 20_000, " " * 20_000, '{"version": 1}'])
def test_other_files_are_refused(store: Keystore, text: str) -> None:
    write_private(store.path_of("alice"), text.encode())
    with pytest.raises(KeyFileInvalid):
        store.load("alice", "x")
    with pytest.raises(KeyFileInvalid):
        store.entries()


@pytest.mark.fault(id=31)
def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_private(path, b"old")

    def fails(handle: int) -> None:
        raise OSError("no space")

    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(OSError, match="no space"):
        write_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_node_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "data" / "node.key"
    key = load_node_key(path)
    assert load_node_key(path).seed == key.seed
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, "00" * 33, "é"])
def test_a_damaged_node_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "node.key"
    path.write_text(text, "utf-8")
    with pytest.raises(KeyFileInvalid):
        load_node_key(path)


COMPOSED, APART = "caf\u00e9 \u212b", "cafe\u0301 A\u030a"
"""The same letters in two Unicode forms; \u212b is an angstrom sign, which both turn into another letter."""


@pytest.mark.fault(id=49)
@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("made", [COMPOSED, APART])
@pytest.mark.parametrize("given", [COMPOSED, APART])
def test_a_passphrase_opens_in_every_unicode_form(store: Keystore, made: str, given: str) -> None:
    store.create("alice", made, seed=SEED)
    assert store.load("alice", given).seed == SEED
    store.change_passphrase("alice", given, made)
    assert store.load("alice", given).seed == SEED
    with pytest.raises(WrongPassphrase):
        store.load("alice", "cafe A")


@pytest.mark.fault(id=49)
@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("form", [COMPOSED, APART, f"\ufeff{COMPOSED}", ""])
def test_a_key_of_an_earlier_version_opens(store: Keystore, form: str) -> None:
    """It was encrypted with the passphrase in the form in which it came; then also an empty one was taken."""
    path = store.create("alice", "x", seed=SEED).path
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keystore, "_forms", lambda passphrase: [form or "x"])
        header = keystore._encrypt(PrivateKey.from_seed(SEED), "x", "leng")
    if not form:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keystore, "_derive", lambda header, _, derive=keystore._derive: derive(header, ""))
            header = keystore._encrypt(PrivateKey.from_seed(SEED), "x", "leng")
    write_private(path, keystore._rendered(header))
    given = {f"\ufeff{COMPOSED}": COMPOSED}.get(form, form)
    assert store.load("alice", given).seed == SEED


@pytest.mark.fault(id=49)
@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("passphrase", ["", "caf\udce9"])
def test_a_passphrase_that_is_none(store: Keystore, passphrase: str) -> None:
    with pytest.raises(PassphraseInvalid):
        store.create("alice", passphrase)
    assert store.entries() == []
    store.create("alice", "x", seed=SEED)
    with pytest.raises(PassphraseInvalid):
        store.change_passphrase("alice", "x", passphrase)
    assert store.load("alice", "x").seed == SEED
