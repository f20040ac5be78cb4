"""A stopped node's data: checked, found damaged, rebuilt from the block files."""

import shutil
from pathlib import Path

import pytest

from engram.node.config import SPEC_NAME, Config
from engram.node.storage.store import BLOCKS_DIRECTORY, DATABASE_DIRECTORY
from engram.node.threaded import running_node
from tests.support.cli import Shell
from tests.support.dev_node import PASSPHRASE, address_of, dev_spec, write_keys

pytestmark = pytest.mark.xdist_group("cli_db")
BLOCKS = 6


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """Data of a node that ran and stopped, never to be changed; its head."""
    directory = tmp_path_factory.mktemp("node")
    write_keys(directory)
    config = Config(data_dir=directory, rpc_port=0, p2p_port=0, mine=True, miner_address=address_of("miner"))
    with running_node(config, dev_spec()):
        shell = Shell(directory, {"ENGRAM_PASSPHRASE": PASSPHRASE})
        shell.text("tx", "send", "bob", "1", "--key", "alice")
        shell.text("miner", "mine", str(BLOCKS - 1))
        return directory, shell.json("chain", "head")


@pytest.fixture
def shell(stopped: tuple[Path, dict[str, object]], tmp_path: Path) -> Shell:
    """A user of a copy of those data."""
    shutil.copytree(stopped[0], tmp_path / "copy")
    return Shell(tmp_path / "copy", {})


@pytest.fixture
def head(stopped: tuple[Path, dict[str, object]]) -> dict[str, object]:
    return stopped[1]


def is_of(result: dict[str, object], head: dict[str, object]) -> bool:
    return (result["height"], result["head"], result["state_root"]) == (
        head["height"],
        head["id"],
        head["state_root"],
    )


def test_sound_data(shell: Shell, head: dict[str, object]) -> None:
    checked = shell.json("db", "check")
    assert is_of(checked, head)
    assert (checked["state"], checked["blocks"]) == ("sound", BLOCKS)
    assert shell.json("db", "check", "--blocks", "2")["blocks"] == 2
    assert shell.text("db", "check").startswith("state          sound\n")


def test_sizes(shell: Shell, head: dict[str, object]) -> None:
    sizes = shell.json("db", "size")
    assert (sizes["blocks"], sizes["blobs"]) == (BLOCKS, 0)
    assert sizes["block_stored_bytes"] == sizes["block_plain_bytes"] + BLOCKS, "they are too short to deflate"
    assert shell.text("db", "size").startswith("blocks ")


def test_a_lost_database_is_rebuilt(shell: Shell, head: dict[str, object]) -> None:
    shutil.rmtree(shell.data_dir / DATABASE_DIRECTORY)
    assert shell.error("db", "check") == (74, "corrupt_store")
    rebuilt = shell.json("db", "reindex")
    assert is_of(rebuilt, head)
    assert (rebuilt["blocks"], rebuilt["refused"], rebuilt["damaged_bytes"]) == (BLOCKS, 0, 0)
    assert is_of(shell.json("db", "check"), head)


def test_a_sound_database_may_be_rebuilt_too(shell: Shell, head: dict[str, object]) -> None:
    rebuilt = shell.json("db", "reindex")
    assert is_of(rebuilt, head)
    assert rebuilt["state"] == "rebuilt"
    assert rebuilt["blocks"] == shell.json("db", "check")["blocks"], "both count the same blocks"
    assert shell.text("db", "reindex").startswith("state          rebuilt\n")


def test_a_changed_byte_of_a_block_is_found(shell: Shell, head: dict[str, object]) -> None:
    (file,) = (shell.data_dir / BLOCKS_DIRECTORY).glob("*.dat")
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    assert shell.error("db", "check") == (74, "corrupt_store")
    rebuilt = shell.json("db", "reindex")
    assert 0 < rebuilt["height"] < BLOCKS, "the blocks before the damaged one"
    assert rebuilt["damaged_bytes"] > 0
    assert rebuilt["refused"] == BLOCKS - 1 - rebuilt["height"], "those behind it have no parent now"
    assert shell.json("db", "check")["height"] == rebuilt["height"]


def test_another_chains_rules_do_not_open_it(shell: Shell) -> None:
    path = shell.data_dir / SPEC_NAME
    path.write_text(path.read_text().replace('"name": "local"', '"name": "other"'))
    assert shell.error("db", "check") == (74, "foreign_data")
