"""Settings: the stronger source wins, each knows its origin, and every bad value is named."""

import re
from pathlib import Path
from typing import Any

import pytest

from engram.node.config import CONFIG_NAME, SETTINGS, Config, Setting, default_data_dir, default_text
from engram.node.configsources import load_config
from engram.node.errors import ConfigInvalid
from engram.p2p.errors import BadPeerAddress


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def write(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / CONFIG_NAME).write_text(text, "utf-8")


def test_without_sources_everything_is_the_default() -> None:
    loaded = load_config({}, {})
    assert loaded.config == Config()
    assert loaded.config.data_dir == default_data_dir()
    assert set(loaded.origins.values()) == {"default"}


def test_the_stronger_source_wins(folder: Path) -> None:
    write(folder, "rpc_port = 1\np2p_port = 1\nmax_inbound = 1\n")
    environment = {"ENGRAM_RPC_PORT": "2", "ENGRAM_P2P_PORT": "2", "ENGRAM_UNKNOWN": "ignored"}
    loaded = load_config({"data_dir": folder, "rpc_port": 3, "mine": None}, environment)
    assert (loaded.config.rpc_port, loaded.config.p2p_port, loaded.config.max_inbound) == (3, 2, 1)
    assert loaded.origins["rpc_port"] == "command line"
    assert loaded.origins["p2p_port"] == "environment"
    assert loaded.origins["max_inbound"] == str(folder / CONFIG_NAME)
    assert loaded.origins["mine"] == "default"


def test_the_data_directory_is_found_before_its_file(folder: Path, tmp_path: Path) -> None:
    write(folder, "rpc_port = 7\n")
    by_variable = load_config({}, {"ENGRAM_DATA_DIR": str(folder)})
    assert (by_variable.config.data_dir, by_variable.config.rpc_port) == (folder, 7)
    assert by_variable.origins["data_dir"] == "environment"
    by_argument = load_config({"data_dir": tmp_path / "other"}, {"ENGRAM_DATA_DIR": str(folder)})
    assert by_argument.config.rpc_port == Config().rpc_port


def test_texts_of_the_environment(folder: Path) -> None:
    environment = {
        "ENGRAM_PEERS": "a:1,b:2",
        "ENGRAM_MINE": "True",
        "ENGRAM_MINER_THREADS": "2",
        "ENGRAM_LOG_FORMAT": "json",
    }
    config = load_config({"data_dir": folder}, environment).config
    assert (config.peers, config.mine, config.miner_threads, config.log_format) == (
        ("a:1", "b:2"),
        True,
        2,
        "json",
    )


def test_lists_in_the_file(folder: Path) -> None:
    write(folder, 'peers = ["a:1", "b:2"]\n')
    assert load_config({"data_dir": folder}, {}).config.peers == ("a:1", "b:2")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rpc_port", 65_536),
        ("rpc_port", -1),
        ("rpc_port", "8645"),
        ("rpc_port", True),
        ("p2p_port", 65_536),
        ("max_inbound", -1),
        ("miner_threads", 0),
        ("max_hashes_per_s", -1),
        ("mempool_bytes", 0),
        ("cache_bytes", -1),
        ("mine", 1),
        ("miner_address", 5),
        ("peers", "a:1"),
        ("peers", ["a:1", 2]),
        ("log_level", "loud"),
        ("log_format", "xml"),
    ],
)
def test_a_bad_value_is_refused_by_name(name: str, value: Any, folder: Path) -> None:
    with pytest.raises(ConfigInvalid, match=name):
        load_config({"data_dir": folder, name: value}, {})


@pytest.mark.parametrize(
    ("name", "text"),
    [("RPC_PORT", "eight"), ("RPC_PORT", "99999"), ("MINE", "perhaps"), ("LOG_LEVEL", "loud")],
)
def test_a_bad_variable_is_refused_by_name(name: str, text: str, folder: Path) -> None:
    with pytest.raises(ConfigInvalid, match=name.lower() if text in ("99999", "loud") else name):
        load_config({"data_dir": folder}, {f"ENGRAM_{name}": text})


@pytest.mark.parametrize(
    "text", ["rpc_port", "rpc_port = 8645.0", "[node]\nrpc_port = 1", "data_dir = '/'", "typo = 1"]
)
def test_a_bad_file_is_refused(text: str, folder: Path) -> None:
    write(folder, text)
    with pytest.raises(ConfigInvalid):
        load_config({"data_dir": folder}, {})


def test_a_file_that_is_not_text_is_refused(folder: Path) -> None:
    folder.mkdir()
    (folder / CONFIG_NAME).write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigInvalid, match=CONFIG_NAME):
        load_config({"data_dir": folder}, {})


def test_an_unknown_setting_is_answered_with_those_like_it(folder: Path) -> None:
    write(folder, "rpcport = 1\n")
    with pytest.raises(ConfigInvalid, match=r"rpcport: did you mean rpc_port\?") as refusal:
        load_config({"data_dir": folder}, {})
    assert refusal.value.got == "rpcport"
    assert "mempool_bytes" not in str(refusal.value), "not with all that there are"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rpc_port = 1\n\n# mine\nrpc_port = 2\n", "rpc_port is set twice, in the lines 1 and 4: remove one"),
        ('"mine" = true\nmine = true', "mine is set twice, in the lines 1 and 2: remove one"),
        ("p2p_host = 0.0.0.0\n", "line 1, cannot be read as TOML: 'p2p_host = 0.0.0.0': write NAME = VALUE"),
        ("\nmine = True\n", "line 2, cannot be read as TOML: 'mine = True'"),
        ('peers = [\n"a:1"\n\n', "line 2, cannot be read as TOML"),
    ],
)
def test_a_line_that_is_wrong_is_named(folder: Path, text: str, said: str) -> None:
    write(folder, text)
    with pytest.raises(ConfigInvalid) as refusal:
        load_config({"data_dir": folder}, {})
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "text", "is_good"),
    [
        ("seeds", "seed.example:8646", True),
        ("seeds", "[2600:1::1]:1", True),
        ("seeds", "seed.example", False),
        ("seeds", "seed.example:0", False),
        ("public_address", "", True),
        ("public_address", "8.8.4.4:8646", True),
        ("public_address", "10.0.0.7:65535", True),
        ("public_address", "8.8.4.4:65536", False),
        ("public_address", "8.8.4.4", False),
        ("public_address", "node.example:8646", False),
        ("public_address", "0.0.0.0:8646", False),
        ("max_outbound", "0", False),
        ("max_outbound", "1", True),
        ("max_outbound", "128", True),
        ("max_outbound", "129", False),
        ("max_inbound_per_host", "0", False),
        ("max_inbound_per_group", "10000", True),
        ("max_inbound_per_group", "10001", False),
    ],
)
def test_settings_of_whom_to_talk_to(folder: Path, name: str, text: str, is_good: bool) -> None:
    environment = {f"ENGRAM_{name.upper()}": text}
    if is_good:
        assert load_config({"data_dir": folder}, environment).origins[name] == "environment"
        return
    with pytest.raises(ConfigInvalid, match=name):
        load_config({"data_dir": folder}, environment)


LISTS = [setting for setting in SETTINGS if isinstance(setting.default, tuple)]


def test_the_example_of_each_list_is_read_as_the_file_shows_it(folder: Path) -> None:
    shown = re.findall(r"^# For example: (.+)$", default_text(), re.MULTILINE)
    assert shown == [setting.line for setting in LISTS]
    write(folder, "\n".join(shown) + "\n")
    config = load_config({"data_dir": folder}, {}).config
    assert all(getattr(config, setting.name) == setting.example for setting in LISTS)


@pytest.mark.parametrize("setting", LISTS, ids=lambda setting: setting.name)
def test_a_wrong_list_is_refused_with_the_example_of_its_source(setting: Setting, folder: Path) -> None:
    for text in ('"a:1"', "[5]", '["?"]', "a:1"):
        write(folder, f"{setting.name} = {text}\n")
        with pytest.raises((ConfigInvalid, BadPeerAddress), match=re.escape(setting.line)):
            load_config({"data_dir": folder}, {})
    write(folder, "")
    variable = f"ENGRAM_{setting.name.upper()}"
    with pytest.raises((ConfigInvalid, BadPeerAddress)) as refused:
        load_config({"data_dir": folder}, {variable: "?"})
    example = str(refused.value).partition("for example ")[2].partition(" (set by")[0]
    name, _, value = example.partition("=")
    assert getattr(load_config({"data_dir": folder}, {name: value}).config, setting.name) == setting.example
    with pytest.raises((ConfigInvalid, BadPeerAddress)) as refused:
        load_config({"data_dir": folder, setting.name: ("?",)}, {})
    given = str(refused.value).partition("for example ")[2].partition(" (set by")[0].split()
    assert given[::2] == [f"--{setting.name.replace('_', '-').removesuffix('s')}"] * len(setting.example)
    assert tuple(given[1::2]) == setting.example
