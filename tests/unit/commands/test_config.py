"""`engram config show`: every setting with the source that decides it."""

from typing import Any

from engram.node.config import SETTINGS
from tests.support.cli import Shell


def shown(shell: Shell, *names: str) -> dict[str, tuple[Any, str]]:
    return {row["name"]: (row["value"], row["origin"]) for row in shell.json("config", "show", *names)}


def test_where_each_value_comes_from(fresh: Shell) -> None:
    settings = shown(fresh)
    assert list(settings) == ["data_dir", *[setting.name for setting in SETTINGS]]
    assert settings["data_dir"] == (str(fresh.data_dir), "environment")
    assert settings["rpc_port"] == (8645, "default")
    file = fresh.data_dir / "engram.toml"
    file.write_text('rpc_port = 7000\npeers = ["192.0.2.7:8646"]\np2p_port = 7001\n')
    fresh.environment["ENGRAM_P2P_PORT"] = "7002"
    assert shown(fresh, "rpc_port", "peers", "p2p_port") == {
        "rpc_port": (7000, str(file)),
        "peers": (["192.0.2.7:8646"], str(file)),
        "p2p_port": (7002, "environment"),
    }
    lines = {line.split()[0]: line.split()[1:] for line in fresh.text("config", "show").splitlines()}
    assert lines["p2p_port"] == ["7002", "environment"]


def test_a_setting_that_is_none_is_named(fresh: Shell) -> None:
    assert fresh.error("config", "show", "no_such") == (65, "config_invalid")
    (fresh.data_dir / "engram.toml").write_text("rpc_port = 70000\n")
    assert fresh.error("config", "show") == (65, "config_invalid")
