"""`engram init` makes a directory that a node can run on, and never turns one into another chain's."""

import os
import tomllib
from pathlib import Path

import pytest

from engram.consensus import chainspec
from engram.consensus.chainspec import chain_id, dump_spec, load_spec, spec_id
from engram.node.config import SETTINGS, Config, default_text
from engram.node.configsources import load_config
from engram.node.datadir import make_data_dir, read_spec
from engram.node.storage.store import open_store
from engram.primitives.keys import format_address
from tests.support.cli import Shell
from tests.support.dev_node import address_of, write_keys


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "data", {})


def test_a_new_directory_has_what_a_node_needs(shell: Shell) -> None:
    made = shell.json("init")
    spec = read_spec(shell.data_dir)
    assert (made["new"], made["name"], made["hrp"]) == (True, "local", "leng")
    assert (made["spec_id"], made["chain_id"]) == (spec_id(spec).hex(), chain_id(spec))
    assert made["node_id"] == shell.json("key", "node")["node_id"]
    files = {path.name: path.stat().st_mode & 0o777 for path in shell.data_dir.iterdir()}
    secret = dict.fromkeys(("chain.json", "engram.toml", "node.key", "rpc.token"), 0o600)
    assert files == {**secret, "keys": 0o700}
    assert load_config({"data_dir": shell.data_dir}, {}).config == Config(data_dir=shell.data_dir)


def test_nobody_else_enters_the_data_directory_whichever_command_makes_it(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        for name, words in (("one", ("init",)), ("two", ("key", "new", "alice", "--chain", "local"))):
            place = tmp_path / name / "data"
            Shell(place, {"ENGRAM_PASSPHRASE": "correct horse"}).json(*words)
            assert [path.stat().st_mode & 0o777 for path in (place.parent, place)] == [0o700, 0o700]
        open_store(tmp_path / "one/data", bytes(32), bytes(32)).close()
        for folder in ("leveldb", "blocks", "keys"):
            assert (tmp_path / "one/data" / folder).stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)


def test_the_same_chain_again_changes_nothing(shell: Shell) -> None:
    spec = shell.data_dir.parent / "chain.json"
    spec.write_text(dump_spec(chainspec.test()))
    assert shell.json("init", "--chain", "test")["new"] is True
    (shell.data_dir / "engram.toml").write_text("rpc_port = 7000\n")
    before = {path.name: path.read_bytes() for path in shell.data_dir.iterdir() if path.is_file()}
    assert shell.json("init", "--spec", str(spec))["new"] is False
    assert {path.name: path.read_bytes() for path in shell.data_dir.iterdir() if path.is_file()} == before


def test_a_directory_of_another_chain_is_refused(shell: Shell) -> None:
    shell.text("init", "--chain", "test")
    before = (shell.data_dir / "chain.json").read_bytes()
    assert shell.error("init", "--chain", "main") == (65, "chain_exists")
    assert shell.error("init") == (65, "chain_exists")
    assert (shell.data_dir / "chain.json").read_bytes() == before


def test_any_local_chain_is_the_one_that_is_there(shell: Shell) -> None:
    made = shell.json("init")
    for words in (("init",), ("init", "--chain", "local")):
        assert shell.json(*words) == {**made, "new": False}
    assert "already there" in shell.run("init").stderr
    assert shell.error("init", "--genesis-time", "2026-11-01T12:00") == (65, "chain_exists")
    said = shell.run("init", "--chain", "test").stderr
    assert f"{shell.data_dir} already holds the chain local of spec {made['spec_id'][:12]}" in said
    assert "nothing was changed" in said
    assert shell.json("init") == {**made, "new": False}


def test_what_was_cut_off_is_completed(shell: Shell) -> None:
    shell.text("init", "--chain", "test")
    for name in ("engram.toml", "node.key", "rpc.token"):
        (shell.data_dir / name).unlink()
    assert make_data_dir(shell.data_dir, chainspec.test()) is False
    assert {"engram.toml", "node.key", "rpc.token"} <= {path.name for path in shell.data_dir.iterdir()}


def test_coins_and_time_of_the_local_chain(shell: Shell) -> None:
    alice, bob = address_of("alice"), address_of("bob")
    shell.text(
        "init", "--allocate", f"{alice}=12.5", "--allocate", f"{bob}=1", "--genesis-time", "2026-11-01T12:00"
    )
    spec = load_spec((shell.data_dir / "chain.json").read_text())
    assert sorted(allocation.amount for allocation in spec.allocations) == [100_000_000, 1_250_000_000]
    assert spec.genesis_time_ms == 1_793_534_400_000


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("--chain", "test", "--spec", __file__), 64, "usage"),
        (("--chain", "test", "--allocate", "x=1"), 64, "usage"),
        (("--allocate", "x"), 64, "usage"),
        (("--allocate", "x=one"), 64, "usage"),
        (("--genesis-time", "tomorrow"), 64, "usage"),
        (("--allocate", "x=1"), 65, "bad_address"),
        (("--allocate", f"{address_of('alice')}=0"), 65, "bad_spec"),
        (("--spec", __file__), 65, "bad_spec"),
    ],
)
def test_what_makes_no_chain_makes_no_directory(
    shell: Shell, words: tuple[str, ...], status: int, code: str
) -> None:
    assert shell.error("init", *words) == (status, code)
    assert not shell.data_dir.exists()


def test_the_settings_file_shows_every_default() -> None:
    text = default_text()
    assert tomllib.loads(text) == {}
    shown = tomllib.loads("\n".join(line.removeprefix("#") for line in text.splitlines() if line[:2] != "# "))
    assert shown == {
        item.name: list(item.default) if isinstance(item.default, tuple) else item.default
        for item in SETTINGS
    }
    assert all(item.text.endswith(".") for item in SETTINGS)


def test_coins_go_to_a_key_by_its_name(shell: Shell) -> None:
    """Keys may be there before the chain, and a name is what people know of them."""
    write_keys(shell.data_dir)
    shell.json("init", "--allocate", "alice=7", "--allocate", f"{address_of('bob')}=1")
    spec = read_spec(shell.data_dir)
    assert {format_address(each.address, "leng"): each.amount for each in spec.allocations} == {
        address_of("alice"): 7 * 10**8,
        address_of("bob"): 10**8,
    }


def test_whom_nobody_knows_gets_no_coins(shell: Shell) -> None:
    write_keys(shell.data_dir)
    assert shell.error("init", "--allocate", "zed=7") == (65, "bad_address")
    assert "the keys are: alice, bob, miner" in shell.run("init", "--allocate", "zed=7").stderr
