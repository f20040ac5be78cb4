"""`engram config show`: every setting with the source that decides it."""

from typing import Any

from engram.node.config import SETTINGS
from tests.support.cli import Shell
from tests.support.dev_node import address_of, write_keys


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


def test_names_near_an_unknown_one_are_suggested(fresh: Shell) -> None:
    said = fresh.run("config", "show", "rpc_prt").stderr
    assert said == ("engram: there is no setting named rpc_prt: did you mean rpc_port? [config_invalid]\n")
    assert "did you mean rpc_host or p2p_host" in fresh.run("config", "show", "host").stderr
    assert "did you mean miner_threads?" in fresh.run("config", "show", "threads").stderr
    assert "`engram run --help` lists all" in fresh.run("config", "show", "zzz").stderr


def test_an_account_that_nobody_has_is_no_address_of_a_miner(fresh: Shell) -> None:
    write_keys(fresh.data_dir)
    file = fresh.data_dir / "engram.toml"
    for good in ("miner", address_of("bob")):
        file.write_text(f'miner_address = "{good}"\n')
        assert shown(fresh, "miner_address") == {"miner_address": (good, str(file))}
    for bad in ("mine", address_of("bob")[:-1], "leng1"):
        file.write_text(f'miner_address = "{bad}"\n')
        assert fresh.error("config", "show", "miner_address") == (65, "config_invalid")
        assert fresh.error("config", "show") == (65, "config_invalid")
        assert str(file) in fresh.run("config", "show").stderr
        assert shown(fresh, "rpc_port"), "who asks for another setting gets it"
    (fresh.data_dir / "chain.json").unlink()
    assert shown(fresh, "miner_address"), "no chain says yet how addresses begin"
