"""Odd settings: each is refused by its name, whichever way it comes in, and none opens RPC by accident."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from engram.commands.run import command
from engram.node.config import CONFIG_NAME, SETTINGS, Config
from engram.node.configsources import LoadedConfig, load_config
from engram.node.errors import ConfigInvalid, NotAFile
from engram.node.settingrules import is_loopback_host
from engram.p2p.errors import BadPeerAddress
from tests.support.cli import Shell
from tests.support.strange_files import NO_FILES, put_strange

pytestmark = pytest.mark.fault(id=49)

KEY = "ab" * 32
LISTENING = ["", " ", "0", "127.1", "0x7f000001", " 127.0.0.1", "127.0.0.1 ", "::1]", "[::1]", "*", "any"]
LISTENING += ["example.org", "127.0.0.1:8645", "http://127.0.0.1", "256.0.0.1", "127.0.0.1/8", "é", "\udcff"]
PORTS = [-1, 65_536, 10**30, "", "1e3", "\u0663"]
BAD: list[tuple[str, Any]] = [
    *[(name, host) for name in ("rpc_host", "p2p_host") for host in LISTENING],
    *[
        (name, port)
        for name in ("rpc_port", "p2p_port")
        for port in (-1, 65_536, 10**30, "", "1e3", "\u0663")
    ],
    *[("rpc_names", [name]) for name in ("", "*", " a", "a/b", "http://a", "a:1", "a..b", "-a", "a" * 254)],
    *[("miner_address", text) for text in ("a b", "../x", "é", "x" * 129)],
    *[("miner_waits_at", [url]) for url in ("", "127.0.0.1:1", "ftp://a", "http://", "http://a:99999")],
    ("miner_waits_at", ["http://[::1"]),
    ("max_inbound", -1),
    ("max_inbound", 10_001),
    ("miner_threads", 10**20),
    ("mempool_bytes", 2**41),
    ("mempool_bytes", "64 MiB"),
    ("cache_bytes", "1_000"),
    ("cache_bytes", -1),
    ("mine", "yes"),
    ("mine", ""),
    ("log_level", ""),
    ("log_level", "INFO"),
    ("log_format", "JSON"),
]


def from_variable(name: str, value: Any) -> LoadedConfig:
    text = ",".join(value) if isinstance(value, list) else str(value)
    return load_config({}, {f"ENGRAM_{name.upper()}": text})


def from_file(folder: Path, name: str, value: Any) -> LoadedConfig:
    folder.mkdir(exist_ok=True)
    (folder / CONFIG_NAME).write_text(f"{name} = {json.dumps(value)}\n", "utf-8")
    return load_config({"data_dir": folder}, {})


@pytest.mark.parametrize(("name", "value"), BAD, ids=ascii)
def test_a_bad_value_is_refused_whichever_way_it_comes_in(name: str, value: Any, tmp_path: Path) -> None:
    if value not in ([""], [" a"]):  # in the environment an empty list, and one with a space behind a comma
        with pytest.raises(ConfigInvalid, match=f"{name}.*ENGRAM_{name.upper()}"):
            from_variable(name, value)
    if value != "\udcff":  # no text of TOML
        with pytest.raises(ConfigInvalid, match=f"{name}.*{CONFIG_NAME}"):
            from_file(tmp_path, name, value)
    flag = "--" + name.replace("_", "-").removesuffix("s" if isinstance(value, list) else "\0")
    shell = Shell(tmp_path / "none", {})
    if name != "mine":
        words = [flag, *(value if isinstance(value, list) else [str(value)])]
        given = shell.error("run", f"{words[0]}={words[1]}")
        assert given in ((64, "usage"), (65, "config_invalid"))
    assert not (tmp_path / "none").exists(), "what is refused makes nothing"


@pytest.mark.parametrize(
    "text", ["", "a", "a:", ":1", "a:0", "a:65536", "a:\u0661", "a b:1", "::1:8646", "x@a:1"]
)
def test_a_bad_peer_is_refused_whichever_way_it_comes_in(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadPeerAddress, match="peers"):
        from_file(tmp_path, "peers", [text])
    if text:
        with pytest.raises(BadPeerAddress, match="peers"):
            from_variable("peers", ["a:1", text])
    assert Shell(tmp_path / "none", {}).error("run", "--peer", text) == (65, "bad_peer_address")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rpc_host", "localhost"),
        ("rpc_host", "::1"),
        ("rpc_host", "127.8.9.1"),
        ("p2p_host", "0.0.0.0"),
        ("p2p_host", "::"),
        ("p2p_host", "fe80::1%eth0"),
        ("rpc_names", ["engram-rpc", "engram-0.engram", "10.0.0.7", "fd00::7", "[fd00::7]", "a_b.example."]),
        ("peers", ["a:1", f"{KEY}@[::1]:65535", "engram-0.engram:8646"]),
        ("miner_address", ""),
        ("miner_waits_at", ["http://127.0.0.1:1", "https://[::1]:2/rpc"]),
        ("rpc_port", 0),
        ("rpc_port", 65_535),
        ("mempool_bytes", 2**40),
    ],
)
def test_what_is_meant_is_taken_whichever_way_it_comes_in(name: str, value: Any, tmp_path: Path) -> None:
    taken = tuple(value) if isinstance(value, list) else value
    assert getattr(from_file(tmp_path, name, value).config, name) == taken
    assert getattr(from_variable(name, value).config, name) == taken


OPEN = ["0.0.0.0", "::", "192.0.2.1", "::ffff:0.0.0.0", "fe80::1", "10.0.0.1"]


@pytest.mark.parametrize("host", OPEN)
def test_rpc_for_other_machines_needs_consent(host: str, tmp_path: Path) -> None:
    named = "rpc_host = .*rpc_public"
    with pytest.raises(ConfigInvalid, match=named):
        from_variable("rpc_host", host)
    with pytest.raises(ConfigInvalid, match=named):
        load_config({"rpc_host": host, "rpc_public": False}, {"ENGRAM_RPC_PUBLIC": "1"})
    with pytest.raises(ConfigInvalid, match=named):
        from_file(tmp_path, "rpc_host", host)
    assert Shell(tmp_path, {}).error("run", "--rpc-host", host) == (65, "config_invalid")
    agreed = load_config({"rpc_host": host}, {"ENGRAM_RPC_PUBLIC": "true"}).config
    assert (agreed.rpc_host, agreed.rpc_public) == (host, True)
    assert not is_loopback_host(host)


def test_no_default_opens_rpc() -> None:
    assert is_loopback_host(Config().rpc_host)
    assert Config(rpc_host="0.0.0.0").rpc_url == "http://127.0.0.1:8645"
    assert Config(rpc_host="::").rpc_url == Config(rpc_host="::1").rpc_url == "http://[::1]:8645"


@pytest.mark.parametrize("text", ["", "~", "~/engram"])
def test_a_variable_that_names_no_folder(text: str) -> None:
    with pytest.raises(ConfigInvalid, match="ENGRAM_DATA_DIR"):
        load_config({}, {"ENGRAM_DATA_DIR": text})


def test_an_empty_folder_is_not_the_present_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Shell(tmp_path, {}).error("init", "--data-dir", "") == (64, "usage")
    assert os.listdir() == []


@pytest.mark.parametrize("kind", NO_FILES)
def test_a_settings_file_that_is_no_file(kind: str, tmp_path: Path) -> None:
    put_strange(tmp_path / CONFIG_NAME, kind)
    with pytest.raises(NotAFile, match=CONFIG_NAME):
        load_config({"data_dir": tmp_path}, {})
    assert Shell(tmp_path, {}).error("config", "show") == (65, "not_a_file")
    assert os.path.lexists(tmp_path / CONFIG_NAME)


FILES = {
    "a byte of another encoding": b'miner_address = "\xe9"\n',
    "UTF-16": "rpc_port = 1\n".encode("utf-16"),
    "zeros": bytes(64),
    "the same setting twice": b"rpc_port = 1\nrpc_port = 2\n",
    "a table": b"[node]\nrpc_port = 1\n",
    "the same table twice": b"[node]\n[node]\n",
    "a list of tables": b"[[peers]]\nhost = 1\n",
    "a date": b"rpc_port = 1979-05-27\n",
    "not a number": b"rpc_port = nan\n",
    "a fraction": b"rpc_port = 8645.0\n",
    "truth": b"rpc_port = true\n",
    "nested without end": b"peers = " + b"[" * 100_000,
    "too large": b"#" * (2**20 + 1),
    "cut off": b'rpc_host = "127.0.0',
    "members of two types": b'peers = ["a:1", 2]\n',
    "a text for a list": b'peers = "a:1"\n',
    "too many members": b"peers = [" + b'"a:1",' * 1_001 + b"]\n",
    "where it lies": b'data_dir = "/"\n',
}


@pytest.mark.parametrize("case", FILES)
def test_a_settings_file_that_cannot_be(case: str, tmp_path: Path) -> None:
    (tmp_path / CONFIG_NAME).write_bytes(FILES[case])
    with pytest.raises(ConfigInvalid, match=CONFIG_NAME):
        load_config({"data_dir": tmp_path}, {})
    for words in (("config", "show"), ("run",), ("chain", "head"), ("db", "check")):
        assert Shell(tmp_path, {}).error(*words) == (65, "config_invalid")
    assert Shell(tmp_path, {}).json("key", "list") == [], "keys need no settings"
    assert (tmp_path / CONFIG_NAME).read_bytes() == FILES[case]


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / CONFIG_NAME).write_bytes(b"\xef\xbb\xbfrpc_port = 7\r\n")
    assert load_config({"data_dir": tmp_path}, {}).config.rpc_port == 7


@pytest.mark.parametrize("wrong", ["rpc-port", "RPC_PORT", "rpcport", "rpc_prot"])
def test_the_nearest_name_is_suggested(wrong: str, tmp_path: Path) -> None:
    (tmp_path / CONFIG_NAME).write_text(f"{wrong} = 1\n")
    with pytest.raises(ConfigInvalid, match=r"did you mean rpc_port\?"):
        load_config({"data_dir": tmp_path}, {})


def test_a_variable_that_is_almost_a_setting_is_named(tmp_path: Path) -> None:
    strange = {"ENGRAM_RPCPORT": "1", "ENGRAM_PEER": "a:1"}
    known = {"ENGRAM_RPC": "x", "ENGRAM_KEY": "x", "ENGRAM_PASSPHRASE": "x", "ENGRAM_NEW_PASSPHRASE": "x"}
    cluster = {"ENGRAM_RPC_SERVICE_HOST": "10.0.0.1", "ENGRAM_RPC_PORT_8645_TCP_ADDR": "10.0.0.1"}
    loaded = load_config({"data_dir": tmp_path}, strange | known | cluster)
    assert loaded.unknown == {"ENGRAM_RPCPORT": "ENGRAM_RPC_PORT", "ENGRAM_PEER": "ENGRAM_PEERS"}
    said = Shell(tmp_path, {**strange}).run("config", "show").stderr
    assert "ENGRAM_RPCPORT sets nothing: did you mean ENGRAM_RPC_PORT?" in said


def test_every_setting_that_is_a_text_has_a_rule() -> None:
    texts = [item for item in SETTINGS if isinstance(item.default, str | tuple)]
    assert [item.name for item in texts if item.check is None and not item.choices] == []
    numbers = [item for item in SETTINGS if type(item.default) is int]
    assert [item.name for item in numbers if item.limits is None] == []
    assert {param.name for param in command.params} >= {item.name for item in SETTINGS}
