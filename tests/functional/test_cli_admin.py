"""Commands of an operator against a real node: any RPC method, the node's log, its end."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from engram.node import logs
from engram.node.config import Config
from engram.node.threaded import running_node
from tests.support.cli import Shell
from tests.support.dev_node import address_of, dev_spec, served_shell, write_keys

pytestmark = pytest.mark.xdist_group("cli_admin")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A user of a running node; every test leaves the miner on."""
    with served_shell(tmp_path_factory.mktemp("node")) as made:
        yield made


def test_any_method_is_called_by_its_name(shell: Shell) -> None:
    shell.text("miner", "mine", "2")
    header = shell.json("chain", "header", "1")
    assert shell.json("rpc", "chain_header", "height=1") == header
    assert shell.json("rpc", "chain_header", "1") == header
    assert shell.json("rpc", "chain_header", f"id={header['id']}") == header
    assert shell.json("rpc", "chain_header", "null", header["id"]) == header
    assert shell.json("rpc", "chain_headers", "1", "1") == [header]
    assert shell.json("rpc", "chain_headers", "first=1", "count=1") == [header]
    assert shell.json("rpc", "account_get", address_of("bob"))["nonce"] >= 0
    piped = shell.run("rpc", "chain_headers", "-", typed='{"first": 1, "count": 1}')
    assert json.loads(piped.stdout) == [header]
    piped = shell.run("rpc", "chain_headers", "-", typed="[1, 1]")
    assert json.loads(piped.stdout) == [header]


def test_the_token_goes_along_where_a_method_needs_it(shell: Shell, tmp_path: Path) -> None:
    (mined,) = shell.json("rpc", "miner_mine", "blocks=1")
    assert shell.json("rpc", "chain_head")["id"] == mined["id"]
    info = json.loads((shell.data_dir / "run.json").read_text())
    stranger = Shell(tmp_path, {"ENGRAM_RPC": info["rpc_url"]})
    assert stranger.error("rpc", "miner_mine", "blocks=1") == (77, "unauthorized")
    assert stranger.json("rpc", "chain_head")["id"] == mined["id"]


def test_what_cannot_be_called_is_refused(shell: Shell) -> None:
    assert shell.error("rpc", "no_such_method") == (70, "method_not_found")
    assert shell.error("rpc", "chain_headers", "first=1") == (65, "invalid_params")
    assert shell.error("rpc", "chain_headers", "one", "two") == (65, "invalid_params")
    assert shell.error("rpc", "chain_headers", "first=1", "2")[0] == 64
    assert shell.error("rpc", "chain_headers", "-", typed="{") == (64, "usage")
    assert shell.error("rpc", "chain_headers", "-", typed="7") == (64, "usage")
    assert shell.error("rpc", "chain_header", f"id={'00' * 32}") == (65, "block_not_found")


@pytest.fixture
def configured() -> Iterator[None]:
    """The log's settings belong to the process; they are put back."""
    before, root = structlog.get_config(), logging.getLogger()
    level = root.level
    yield
    structlog.configure(**before)
    root.setLevel(level)


@pytest.mark.usefixtures("configured")
def test_the_log_level_is_changed_while_the_node_runs(shell: Shell) -> None:
    assert shell.json("node", "log-level", "debug") == {"level": "debug"}
    assert shell.json("node", "log-level", "warning") == {"level": "warning"}
    assert shell.json("node", "log-level") == {"level": "warning"} == {"level": logs.get_level()}
    assert shell.error("node", "log-level", "loud") == (65, "log_level_unknown")
    assert shell.json("node", "log-level") == {"level": "warning"}, "a wrong level changes nothing"


def test_the_node_is_shown_as_the_chain_shows_it(shell: Shell) -> None:
    shown, info = shell.json("node", "info"), shell.json("chain", "info")
    volatile = {"rss_bytes", "uptime_s"}
    assert {name: shown[name] for name in shown.keys() - volatile} == {
        name: info[name] for name in info.keys() - volatile
    }


def test_a_node_is_stopped_and_its_directory_is_free_at_once(tmp_path: Path) -> None:
    write_keys(tmp_path)
    config = Config(data_dir=tmp_path, rpc_port=0, p2p_port=0, miner_address=address_of("miner"))
    owner, spec = Shell(tmp_path, {}), dev_spec()
    with running_node(config, spec):
        height = owner.json("miner", "mine")[0]["height"]
        stranger = Shell(tmp_path / "other", {"ENGRAM_RPC": owner_url(owner)})
        assert stranger.error("node", "stop") == (77, "unauthorized")
        assert owner.json("node", "stop")["height"] == height
        assert not (tmp_path / "run.json").exists()
    assert owner.json("db", "check")["blocks"] >= height
    assert owner.error("node", "stop", "--rpc", "http://127.0.0.1:1") == (69, "node_unreachable")


def owner_url(owner: Shell) -> str:
    return str(json.loads((owner.data_dir / "run.json").read_text())["rpc_url"])
