"""`engram dev` on a node of a chain without work, and on one of a chain with work."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engram.library import nodes
from engram.library.dev_keys import dev_key
from engram.node.config import Config
from engram.node.threaded import running_node
from engram.primitives.keys import format_address
from tests.support.cli import Shell
from tests.support.dev_node import served_shell


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    spec = nodes.dev_spec(("alice",))
    miner = format_address(dev_key("miner").address, spec.hrp)
    config = Config(data_dir=tmp_path, rpc_port=0, p2p_port=0, mine=True, miner_address=miner)
    with running_node(config, spec):
        yield Shell(tmp_path, {})


def test_forward_and_back(shell: Shell) -> None:
    start = shell.json("dev", "snapshot")
    assert shell.json("dev", "advance")["height"] == start["height"] + 1
    assert shell.json("dev", "advance", "--ticks", "4")["ticks"] == start["ticks"] + 5
    assert "height  7" in shell.text("dev", "advance", "--blocks", "2")
    assert shell.json("dev", "revert", start["id"][:12]) == start == shell.json("chain", "head")


@pytest.mark.parametrize(
    ("arguments", "failure"),
    [
        (("advance", "--blocks", "1", "--ticks", "1"), (64, "usage")),
        (("advance", "--round", "abcd"), (64, "usage")),
        (("advance", "--blocks", "-1"), (64, "usage")),
        (("revert", "xyz"), (64, "usage")),
        (("revert", "abcdef"), (65, "id_not_found")),
        (("advance", "--phase", "reveal"), (65, "id_not_found")),
        (("advance", "--blocks", "10001"), (65, "advance_invalid")),
    ],
)
def test_what_makes_no_sense_is_refused(
    shell: Shell, arguments: tuple[str, ...], failure: tuple[int, str]
) -> None:
    assert shell.error("dev", *arguments) == failure
    assert shell.json("chain", "head")["height"] == 0


def test_the_keys_of_the_directory_are_named_to_those_who_look(shell: Shell) -> None:
    assert shell.json("rpc", "dev_names") == []
    made = shell.run("key", "new", "carol", "--json", ENGRAM_PASSPHRASE="a phrase")
    address = json.loads(made.stdout)["address"]
    (shell.data_dir / "keys" / "broken.json").write_text("{")
    assert shell.json("rpc", "dev_names") == [{"address": address, "name": "carol"}]


def test_a_chain_with_work_cannot_be_moved(tmp_path: Path) -> None:
    with served_shell(tmp_path) as shell:
        for arguments in (("advance",), ("snapshot",), ("revert", "00" * 32)):
            assert shell.error("dev", *arguments) == (65, "blocks_cost_work")
        assert shell.error("rpc", "dev_names") == (65, "blocks_cost_work"), "its keys are nobody's business"
