"""Keys: made, imported, listed, never overwritten, and opened by their passphrase only."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from engram.commands.support.session import CommandSession
from engram.node import keystore
from engram.node.datadir import KEYS_DIRECTORY
from engram.node.keystore import Keystore
from engram.node.statements import sign_statement
from engram.primitives.codec import encode
from engram.primitives.errors import BadSignature
from engram.primitives.keys import PrivateKey, format_address
from engram.statemachine.transaction import sign, verify_transaction
from engram.statemachine.transactions.transfer import Transfer
from tests.support.cli import Shell
from tests.support.dev_node import HRP, SEEDS, address_of

SEED_HEX = SEEDS["alice"].hex()
UNREACHABLE = "http://127.0.0.1:1"


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that are derived at once; what a key costs is tested in `test_keystore`."""
    monkeypatch.setattr(keystore, "SCRYPT_N", 2)


class Terminal(io.StringIO):
    """Standard input with somebody in front of it."""

    def isatty(self) -> bool:
        return True


def test_a_new_key_is_listed_shown_and_opens(fresh: Shell, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("open sesame\nand a second line\n")
    made = fresh.json("key", "new", "carol", "--passphrase-file", str(secret))
    assert made["name"] == "carol"
    assert fresh.json("key", "list") == [made]
    assert fresh.json("key", "show") == made
    shown = fresh.json("key", "show", "carol", "--public-key", "--passphrase-file", str(secret))
    key = Keystore(fresh.data_dir / KEYS_DIRECTORY, HRP).load("carol", "open sesame")
    assert shown == {**made, "public_key": key.public_key.hex()}
    assert Path(made["file"]).stat().st_mode & 0o777 == 0o600


def test_a_key_is_never_overwritten(keyed: Shell) -> None:
    assert keyed.error("key", "new", "alice") == (65, "key_exists")


@pytest.mark.parametrize("name", ["../alice", "a b", ".hidden", "ä"])
def test_a_name_cannot_leave_the_folder(fresh: Shell, name: str) -> None:
    assert fresh.error("key", "new", name, ENGRAM_PASSPHRASE="x") == (65, "key_name_invalid")


def test_import_of_a_seed(fresh: Shell) -> None:
    fresh.environment["ENGRAM_PASSPHRASE"] = "x"
    assert fresh.json("key", "import-seed", "a", typed=SEED_HEX + "\n")["address"] == address_of("alice")


@pytest.mark.parametrize("typed", ["", "zz" * 32, "ab", SEED_HEX + "00"])
def test_a_bad_seed_is_refused(fresh: Shell, typed: str) -> None:
    assert fresh.error("key", "import-seed", "a", typed=typed, ENGRAM_PASSPHRASE="x") == (65, "seed_invalid")
    assert fresh.json("key", "list") == []


def test_lists_for_people(keyed: Shell, fresh: Shell) -> None:
    lines = keyed.text("key", "list").splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [[name, address_of(name)] for name in sorted(SEEDS)]
    assert fresh.text("key", "list").startswith("no keys yet")


def test_without_a_passphrase_nothing_is_signed(keyed: Shell, fresh: Shell) -> None:
    missing = keyed.error("key", "show", "alice", "--public-key", ENGRAM_PASSPHRASE=None)
    assert missing == (65, "passphrase_missing")
    assert fresh.error("key", "new", "carol") == (65, "passphrase_missing")


def test_a_wrong_passphrase(keyed: Shell) -> None:
    wrong = keyed.error("key", "show", "alice", "--public-key", ENGRAM_PASSPHRASE="guess")
    assert wrong == (65, "wrong_passphrase")


def test_the_passphrase_is_asked_for_where_somebody_sits(
    keyed: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(text: str, **options: object) -> str:
        asked.append(text)
        assert options == {"hide_input": True, "confirmation_prompt": False, "err": True}
        return "correct horse"

    monkeypatch.delenv("ENGRAM_PASSPHRASE", raising=False)
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("click.prompt", answer)
    session = CommandSession(as_json=False, data_dir=keyed.data_dir, key="bob")
    assert session.unlock().seed == SEEDS["bob"]
    assert asked == ["Passphrase of bob"]


def test_which_key_is_meant(keyed: Shell, fresh: Shell) -> None:
    assert keyed.error("key", "show") == (65, "key_not_chosen")
    assert fresh.error("key", "show") == (65, "key_not_chosen")
    assert keyed.error("key", "show", "dave") == (65, "key_not_found")
    assert keyed.json("key", "show", "--key", "bob")["name"] == "bob"
    assert keyed.run("key", "show", ENGRAM_KEY="miner").stdout.startswith("name     miner")


def test_the_nodes_key_is_made_once(fresh: Shell) -> None:
    first = fresh.json("key", "node")
    seed = bytes.fromhex(Path(first["file"]).read_text())
    assert first["node_id"] == PrivateKey.from_seed(seed).public_key.hex()
    assert fresh.json("key", "node") == first


@pytest.mark.usefixtures("cheap")
def test_keys_are_made_before_there_is_a_chain(tmp_path: Path) -> None:
    owner = Shell(tmp_path, {"ENGRAM_RPC": UNREACHABLE, "ENGRAM_PASSPHRASE": "x"})
    assert owner.json("key", "list") == []
    assert owner.error("key", "new", "alice") == (65, "chain_not_found")
    made = owner.json("key", "import-seed", "alice", "--chain", "local", typed=SEED_HEX)
    assert made["address"] == address_of("alice")
    assert owner.json("key", "list") == [made] == [owner.json("key", "show")]
    with_coins = f"{made['address']}=5"
    assert owner.json("init", "--chain", "local", "--allocate", with_coins)["hrp"] == HRP
    assert owner.json("key", "list") == [made]
    assert owner.error("key", "new", "bob", "--chain", "main") == (64, "usage")
    assert owner.json("key", "new", "bob", "--chain", "local")["address"].startswith(f"{HRP}1")


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize(
    ("chain", "hrp"), [("main", "eng"), ("test", "teng"), ("consortium", "ceng"), ("cluster", "geng")]
)
def test_a_key_for_each_chain(tmp_path: Path, chain: str, hrp: str) -> None:
    owner = Shell(tmp_path, {"ENGRAM_PASSPHRASE": "x"})
    made = owner.json("key", "import-seed", "a", "--chain", chain, typed=SEED_HEX)
    assert made["address"] == format_address(PrivateKey.from_seed(SEEDS["alice"]).address, hrp)


def test_a_foreign_key_file_is_named(fresh: Shell) -> None:
    folder = fresh.data_dir / KEYS_DIRECTORY
    folder.mkdir()
    (folder / "broken.json").write_text("{}")
    assert fresh.error("key", "list") == (65, "key_file_invalid")


def test_a_backup_is_imported_elsewhere(keyed: Shell, fresh: Shell, tmp_path: Path) -> None:
    backup = tmp_path / "alice.json"
    exported = keyed.json("key", "export", "alice", "-o", str(backup))
    assert exported["exported"] == str(backup)
    assert backup.stat().st_mode & 0o777 == 0o600
    assert keyed.text("key", "export", "alice") == backup.read_text()
    assert fresh.json("key", "import", "again", str(backup))["address"] == address_of("alice")
    shown = fresh.run("key", "show", "again", "--public-key", ENGRAM_PASSPHRASE="correct horse")
    assert PrivateKey.from_seed(SEEDS["alice"]).public_key.hex() in shown.stdout
    assert keyed.error("key", "export", "alice", "-o", str(backup)) == (65, "file_exists_already")
    assert fresh.error("key", "import", "again", str(backup)) == (65, "key_exists")
    backup.write_text("{}")
    assert fresh.error("key", "import", "other", str(backup)) == (65, "key_file_invalid")
    assert [key["name"] for key in fresh.json("key", "list")] == ["again"]


@pytest.mark.usefixtures("cheap")
def test_a_key_of_another_chain_is_not_imported(fresh: Shell, tmp_path: Path) -> None:
    other = Shell(tmp_path / "other", {"ENGRAM_PASSPHRASE": "x"})
    other.text("key", "new", "alice", "--chain", "main")
    backup = tmp_path / "alice.json"
    other.text("key", "export", "alice", "-o", str(backup))
    assert fresh.error("key", "import", "alice", str(backup)) == (65, "bad_address")
    assert fresh.json("key", "list") == []


def test_a_seed_is_exported_with_the_passphrase_only(keyed: Shell) -> None:
    assert keyed.text("key", "export", "bob", "--seed") == SEEDS["bob"].hex() + "\n"
    assert keyed.error("key", "export", "bob", "--seed", ENGRAM_PASSPHRASE="no") == (65, "wrong_passphrase")


@pytest.mark.usefixtures("cheap")
def test_a_passphrase_is_changed(fresh: Shell, tmp_path: Path) -> None:
    made = Shell(fresh.data_dir, {"ENGRAM_PASSPHRASE": "old"}).json("key", "new", "alice")
    secret = tmp_path / "new"
    secret.write_text("new\n")
    change = ("key", "passwd", "alice")
    assert (
        fresh.error(*change, ENGRAM_PASSPHRASE="wrong", ENGRAM_NEW_PASSPHRASE="new")[1] == "wrong_passphrase"
    )
    assert fresh.error(*change, ENGRAM_PASSPHRASE="old") == (65, "passphrase_missing")
    before = Path(made["file"]).read_bytes()
    changed = fresh.run(*change, "--new-passphrase-file", str(secret), ENGRAM_PASSPHRASE="old")
    assert changed.exit_code == 0
    assert Path(made["file"]).read_bytes() != before
    assert fresh.json("key", "list") == [made], "the account is the same"
    show = ("key", "show", "alice", "--public-key")
    assert fresh.error(*show, ENGRAM_PASSPHRASE="old") == (65, "wrong_passphrase")
    assert fresh.run(*show, ENGRAM_PASSPHRASE="new").exit_code == 0
    assert fresh.run(*change, ENGRAM_PASSPHRASE="new", ENGRAM_NEW_PASSPHRASE="third").exit_code == 0
    assert fresh.run(*show, ENGRAM_PASSPHRASE="third").exit_code == 0


@pytest.mark.usefixtures("cheap")
def test_a_key_is_renamed(fresh: Shell) -> None:
    owner = Shell(fresh.data_dir, {"ENGRAM_PASSPHRASE": "x"})
    made, other = owner.json("key", "new", "alice"), owner.json("key", "new", "bob")
    assert owner.error("key", "rename", "alice", "bob") == (65, "key_exists")
    assert owner.error("key", "rename", "carol", "dave") == (65, "key_not_found")
    assert owner.error("key", "rename", "alice", "../dave") == (65, "key_name_invalid")
    assert owner.json("key", "list") == [made, other], "nothing was changed"
    renamed = owner.json("key", "rename", "alice", "savings")
    assert (renamed["name"], renamed["address"]) == ("savings", made["address"])
    assert owner.json("key", "list") == [other, renamed]
    assert owner.run("key", "show", "savings", "--public-key").exit_code == 0


def test_a_statement_is_signed_and_verified_anywhere(keyed: Shell, tmp_path: Path) -> None:
    signed = keyed.json("key", "sign", "alice", "I run node 3")
    assert signed["address"] == address_of("alice")
    anybody = Shell(tmp_path, {})
    check = ("key", "verify", signed["address"], signed["signature"])
    assert anybody.json(*check, "I run node 3") == {"address": signed["address"], "valid": True}
    assert anybody.error(*check, "I run node 4") == (65, "bad_signature")
    assert anybody.error("key", "verify", address_of("bob"), *check[3:], "I run node 3")[1] == "bad_signature"
    assert anybody.error(*check[:3], signed["signature"][:-2], "I run node 3") == (65, "bad_signature")
    assert anybody.error("key", "verify", "leng1", *check[3:], "I run node 3") == (65, "bad_address")
    assert anybody.error(*check) == (64, "usage")
    text = tmp_path / "text"
    text.write_bytes(b"I run node 3")
    assert anybody.json(*check, "--file", str(text))["valid"]


def test_a_statement_is_no_transaction() -> None:
    key = PrivateKey.from_seed(SEEDS["alice"])
    tx = sign(key, 7, 0, 10, 0, Transfer(key.address, 1))
    signed = sign_statement(key, encode(tx.unsigned))
    with pytest.raises(BadSignature):
        verify_transaction(replace(tx, signature=signed[32:]))


@pytest.mark.fault(id=49)
def test_a_passphrase_file_as_editors_write_it(fresh: Shell, tmp_path: Path) -> None:
    def file(name: str, content: bytes) -> tuple[str, str]:
        (tmp_path / name).write_bytes(content)
        return "--passphrase-file", str(tmp_path / name)

    made = fresh.json("key", "new", "carol", *file("composed", "café\n".encode()))
    for name, content in (
        ("apart", b"cafe\xcc\x81\nsecond line\n"),
        ("marked", b"\xef\xbb\xbfcaf\xc3\xa9"),
        ("windows", b"caf\xc3\xa9\r\n"),
    ):
        shown = fresh.json("key", "show", "carol", "--public-key", *file(name, content))
        assert shown["address"] == made["address"]
    for name, content in (("none", b""), ("line", b"\ncaf\xc3\xa9\n"), ("latin", b"caf\xe9\n")):
        words = file(name, content)
        assert fresh.error("key", "new", "dave", *words) == (65, "passphrase_invalid")
        assert fresh.error("key", "show", "carol", "--public-key", *words) == (65, "passphrase_invalid")
    (tmp_path / "endless").symlink_to("/dev/zero")
    endless = "--passphrase-file", str(tmp_path / "endless")
    assert fresh.error("key", "new", "dave", *endless) == (65, "passphrase_invalid")
    assert [key["name"] for key in fresh.json("key", "list")] == ["carol"]
