"""Keys: made, imported, listed, never overwritten, and opened by their passphrase only."""

import io
from pathlib import Path

import pytest

from engram.commands.support.session import CommandSession
from engram.node.datadir import KEYS_DIRECTORY
from engram.node.keystore import Keystore
from engram.primitives.keys import PrivateKey
from tests.support.cli import Shell
from tests.support.dev_node import HRP, SEEDS, address_of

SEED_HEX = SEEDS["alice"].hex()
UNREACHABLE = "http://127.0.0.1:1"


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


def test_a_directory_of_no_chain(tmp_path: Path) -> None:
    nobody = Shell(tmp_path, {"ENGRAM_RPC": UNREACHABLE})
    assert nobody.error("key", "list") == (65, "chain_not_found")


def test_a_foreign_key_file_is_named(fresh: Shell) -> None:
    folder = fresh.data_dir / KEYS_DIRECTORY
    folder.mkdir()
    (folder / "broken.json").write_text("{}")
    assert fresh.error("key", "list") == (65, "key_file_invalid")
