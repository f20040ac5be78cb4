"""Which node and which account a command means; arguments that cannot be right never reach a node."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from engram.commands.support.session import CommandSession
from engram.node.datadir import RunInfo, find_run_info, write_run_info
from engram.primitives.errors import BadAddress
from tests.support.cli import Shell
from tests.support.dev_node import address_of

ID = "ab" * 32
UNREACHABLE = "http://127.0.0.1:1"


def run_info(process: psutil.Process) -> RunInfo:
    return RunInfo(process.pid, "http://127.0.0.1:7001", 7001, 7002, "", "local", "", process.create_time())


def test_the_node_of_the_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENGRAM_RPC_PORT", raising=False)
    assert CommandSession(as_json=True, data_dir=tmp_path).url == "http://127.0.0.1:8645"
    (tmp_path / "engram.toml").write_text("rpc_port = 7000\n")
    assert CommandSession(as_json=True, data_dir=tmp_path).url == "http://127.0.0.1:7000"
    write_run_info(tmp_path, run_info(psutil.Process()))
    assert CommandSession(as_json=True, data_dir=tmp_path).url == "http://127.0.0.1:7001"
    assert CommandSession(as_json=True, data_dir=tmp_path, rpc="http://x:1").url == "http://x:1"


def test_a_node_that_was_killed_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENGRAM_RPC_PORT", raising=False)
    own = run_info(psutil.Process())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        process = psutil.Process(other.pid)
        write_run_info(tmp_path, run_info(process))
        assert find_run_info(tmp_path) == run_info(process)
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert find_run_info(tmp_path) is None, "it is dead, though its parent has not asked for its status"
    assert find_run_info(tmp_path) is None
    write_run_info(tmp_path, replace(own, started_s=own.started_s - 60))
    assert find_run_info(tmp_path) is None, "this process got the number of another one"
    assert CommandSession(as_json=True, data_dir=tmp_path).url == "http://127.0.0.1:8645"
    write_run_info(tmp_path, own)
    assert find_run_info(tmp_path) == own


def test_an_address_may_be_a_keys_name(keyed: Shell) -> None:
    session = CommandSession(as_json=True, data_dir=keyed.data_dir, key="bob")
    assert session.address("alice") == address_of("alice")
    assert session.address(None) == address_of("bob")
    assert session.address(address_of("miner")) == address_of("miner")
    with pytest.raises(BadAddress, match="nor the name of a key; the keys are: alice, bob, miner"):
        session.address("nobody")


def test_nobody_answers(keyed: Shell) -> None:
    for words in (
        ("chain", "head"),
        ("account", "show", "alice"),
        ("tx", "send", "bob", "1", "--key", "alice"),
        ("model", "list"),
        ("round", "show"),
        ("miner", "mine"),
        ("chain", "wait", "--blocks", "1"),
    ):
        assert keyed.error(*words, "--rpc", UNREACHABLE) == (69, "node_unreachable")


@pytest.mark.parametrize(
    "words",
    [
        ("no-such-command",),
        ("tx", "no-such-command"),
        ("tx", "send"),
        ("tx", "send", "bob", "1.123456789"),
        ("tx", "send", "bob", "-1"),
        ("tx", "send", "bob", "1", "--max-fee", "x"),
        ("tx", "send", "bob", "1", "--unknown"),
        ("tx", "status", "abc"),
        ("tx", "status", "zz"),
        ("tx", "submit", "xyz"),
        ("miner", "mine", "0"),
        ("chain", "block", "abc"),
        ("chain", "header", "ab" * 33),
        ("chain", "wait"),
        ("chain", "wait", "--height", "1", "--blocks", "1"),
        ("model", "predict"),
        ("model", "predict", "--row", "1", "--data", "digits"),
        ("model", "predict", "--version", "-1"),
        ("model", "score"),
        ("model", "score", "--part", "abcd"),
        ("verify", "no-such-file"),
        ("verify", "pyproject.toml", "--checkpoint", "00"),
        ("db", "check", "--blocks", "0"),
    ],
)
def test_wrong_usage(keyed: Shell, words: tuple[str, ...]) -> None:
    assert keyed.error(*words) == (64, "usage")


@pytest.mark.parametrize("row", ["256", "-1", "1.5", "1,,x", " "])
def test_rows_that_no_model_reads(keyed: Shell, row: str) -> None:
    assert keyed.error("model", "predict", "--row", row, "--rpc", UNREACHABLE) == (65, "rows_invalid")


def test_data_that_is_not_there(keyed: Shell) -> None:
    assert keyed.error("model", "predict", "--data", "/nowhere") == (65, "dataset_not_found")
    many = ("model", "predict", "--data", "digits", "--first", "1797")
    assert keyed.error(*many) == (65, "rows_invalid")
    few = keyed.run("model", "predict", "--data", "digits", "--first", "1794", "--rows", "10")
    assert "digits has 1797 rows, which count from 0" in few.stderr
    assert "--rows 3 takes all from --first 1794 on" in few.stderr


def test_results_are_not_replaced_unasked(keyed: Shell, tmp_path: Path) -> None:
    taken = tmp_path / "taken.npz"
    taken.touch()
    (tmp_path / "other.json").touch()
    for words in (("model", "prove"), ("model", "pull"), ("round", "data")):
        assert keyed.error(*words, "-o", str(taken), "--rpc", UNREACHABLE) == (65, "file_exists_already")
        forced = keyed.error(*words, "-o", str(taken), "--force", "--rpc", UNREACHABLE)
        assert forced == (69, "node_unreachable")
    beside = keyed.error("model", "pull", "-o", str(tmp_path / "other.npz"), "--rpc", UNREACHABLE)
    assert beside == (65, "file_exists_already")


def test_a_broken_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "engram.toml").write_text("rpc_port = 'x'\n")
    assert Shell(tmp_path, {}).error("chain", "head") == (65, "config_invalid")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"hrp": 3}'])
def test_a_broken_spec_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "chain.json").write_text(text)
    assert Shell(tmp_path, {}).error("key", "list") == (65, "bad_spec")


def test_a_data_directory_without_a_chain(tmp_path: Path) -> None:
    shell = Shell(tmp_path, {})
    assert shell.error("db", "check") == (65, "chain_not_found")
    assert shell.error("db", "reindex") == (65, "chain_not_found")


def test_a_named_directory_without_a_chain_is_not_answered_by_another_node(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "typo", {"ENGRAM_RPC": None})
    for words in (("chain", "head"), ("peer", "list"), ("key", "new", "alice"), ("miner", "stop")):
        assert shell.error(*words, ENGRAM_PASSPHRASE="x") == (65, "chain_not_found")
    said = shell.run("chain", "head").stderr
    assert f"there is no chain in {shell.data_dir}: run `engram init`" in said
    assert "--rpc a node" in said
    assert shell.error("chain", "head", "--rpc", UNREACHABLE) == (69, "node_unreachable")
    assert not shell.data_dir.exists()


def test_a_chain_that_was_never_run(fresh: Shell) -> None:
    assert fresh.error("db", "check") == (65, "chain_not_found")
    assert fresh.error("db", "reindex") == (65, "chain_not_found")
    assert not (fresh.data_dir / "leveldb").exists(), "a question makes no database"


def test_a_file_that_is_no_proof(keyed: Shell, tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    for content in (b"", b"x", bytes(1_000)):
        junk.write_bytes(content)
        assert keyed.error("verify", str(junk)) == (65, "proof_damaged")


def test_keys_complete_in_the_shell(keyed: Shell) -> None:
    words = {"_ENGRAM_COMPLETE": "bash_complete", "COMP_CWORD": "4"}
    result = keyed.run(**words, COMP_WORDS="engram account show --key a")
    assert result.stdout.split() == ["plain,alice"]


def test_json_is_one_document(keyed: Shell) -> None:
    result = keyed.run("key", "list", "--json")
    assert [row["name"] for row in json.loads(result.stdout)] == ["alice", "bob", "miner"]
    assert result.stderr == ""
