"""A stopped node's data: checked, found damaged, rebuilt from the block files."""

import json
import shutil
from pathlib import Path

import pytest

from engram.commands.support.units import format_bytes
from engram.node.config import SPEC_NAME, Config
from engram.node.storage.store import BLOCKS_DIRECTORY
from engram.node.storage.swap import DATABASE_DIRECTORY
from engram.node.threaded import running_node
from tests.support.cli import Shell
from tests.support.damage import flip_bit
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
    assert shell.text("db", "check").startswith("state       sound\n")


def test_sizes(shell: Shell, head: dict[str, object]) -> None:
    sizes = shell.json("db", "size")
    assert (sizes["blocks"], sizes["side_blocks"], sizes["blobs"]) == (BLOCKS, 0, 0)
    for name, folder in (("database_bytes", DATABASE_DIRECTORY), ("block_files_bytes", "blocks")):
        assert sizes[name] == sum(path.stat().st_size for path in (shell.data_dir / folder).iterdir())
    assert sizes["block_files_bytes"] > sizes["block_stored_bytes"]
    assert sizes["block_stored_bytes"] == sizes["block_plain_bytes"] + BLOCKS, "they are too short to deflate"
    assert shell.text("db", "size").startswith("blocks ")


def test_a_lost_database_is_rebuilt(shell: Shell, head: dict[str, object]) -> None:
    shutil.rmtree(shell.data_dir / DATABASE_DIRECTORY)
    assert shell.error("db", "check") == (65, "damage_found")
    rebuilt = shell.json("db", "reindex")
    assert is_of(rebuilt, head)
    assert (rebuilt["kept"], rebuilt["blocks_lost"]) == ("", 0)
    assert (rebuilt["blocks"], rebuilt["refused"], rebuilt["damaged_bytes"]) == (BLOCKS, 0, 0)
    assert is_of(shell.json("db", "check"), head)


def test_a_rebuild_says_how_far_it_is(shell: Shell) -> None:
    said = shell.run("db", "reindex").stderr.splitlines()
    (file,) = (shell.data_dir / BLOCKS_DIRECTORY).glob("*.dat")
    files = f"1 block file ({format_bytes(file.stat().st_size)})"
    assert said[0] == f"reading {files}, to see whether blocks would be lost"
    assert said[1] == "if none are, every block in them is executed again, into a new database"
    assert said[2] == "0 % of the block files are read, the new head is at height 0"
    shares = [int(line.partition(" %")[0]) for line in said[2:]]
    assert shares == sorted(set(shares)), "no line comes twice"
    assert said[-1] == f"100 % of the block files are read, the new head is at height {BLOCKS}"


def test_a_check_says_at_once_how_much_it_reads(shell: Shell) -> None:
    shell.json("db", "reindex")
    said = shell.run("db", "check").stderr.splitlines()
    assert said[0].startswith("checking every block, and the database, against 1 block file (")
    assert shell.run("db", "check", "--blocks", "2").stderr.startswith("checking the last 2 blocks, ")


def test_what_a_rebuild_loses_is_said_beforehand(shell: Shell) -> None:
    """A row of the database is damaged: with whole block files nothing is lost, without the last one is."""
    shell.json("db", "reindex")
    shell.json("db", "check")
    (table,) = (shell.data_dir / DATABASE_DIRECTORY).glob("*.ldb")
    flip_bit(table, table.stat().st_size // 3)
    told = shell.run("db", "check").output
    assert "`engram db reindex` makes a new database from the block files, loses no block by that" in told


def test_a_sound_database_may_be_rebuilt_too(shell: Shell, head: dict[str, object]) -> None:
    rebuilt = shell.json("db", "reindex")
    assert is_of(rebuilt, head)
    assert rebuilt["state"] == "rebuilt"
    assert rebuilt["blocks"] == shell.json("db", "check")["blocks"], "both count the same blocks"
    assert shell.text("db", "reindex").startswith("state          rebuilt\n")


@pytest.mark.fault(id=18)
def test_a_changed_byte_of_a_block_is_named_and_no_repair_loses_what_is_whole(shell: Shell) -> None:
    (file,) = (shell.data_dir / BLOCKS_DIRECTORY).glob("*.dat")
    flip_bit(file, file.stat().st_size // 2)
    before = file.read_bytes()
    assert shell.error("db", "check") == (65, "damage_found")
    told = shell.run("db", "check").output
    assert told.count("the body of block") == 1, told
    assert "1 stored value is damaged or missing, and nothing but bodies of blocks" in told
    assert "start the node" in told
    assert shell.error("db", "reindex") == (65, "rebuild_would_lose")
    assert "--yes" in shell.run("db", "reindex").output
    assert file.read_bytes() == before
    assert shell.run("db", "check").output == told, "the database is what it was"

    done = shell.run("db", "reindex", "--yes", "--json")
    assert done.exit_code == 65
    rebuilt = json.loads(done.output)
    assert 0 < rebuilt["height"] < BLOCKS, "the blocks before the damaged one"
    assert rebuilt["damaged_bytes"] > 0
    assert rebuilt["refused"] == BLOCKS - 1 - rebuilt["height"], "those behind it have no parent now"
    assert rebuilt["blocks_lost"] == BLOCKS - rebuilt["height"]
    assert shell.json("db", "check")["height"] == rebuilt["height"]

    shutil.rmtree(shell.data_dir / DATABASE_DIRECTORY)
    Path(rebuilt["kept"]).rename(shell.data_dir / DATABASE_DIRECTORY)
    assert shell.run("db", "check").output == told, "the old database is whole beside the new one"


@pytest.mark.fault(id=18)
def test_every_unreadable_row_is_found(shell: Shell) -> None:
    """A flipped bit anywhere in LevelDB's table of rows."""
    assert shell.json("db", "reindex")["blocks_lost"] == 0
    assert shell.json("db", "check")["state"] == "sound", "opening it again has moved its log into a table"
    (table,) = (shell.data_dir / DATABASE_DIRECTORY).glob("*.ldb")
    whole = table.read_bytes()
    for at in range(100, len(whole) - 1_000, len(whole) // 8):
        flip_bit(table, at)
        assert shell.run("db", "check").exit_code == 65
        table.write_bytes(whole)
    assert shell.json("db", "check")["state"] == "sound"


def test_another_node_begins_with_a_snapshot(shell: Shell, head: dict[str, object], tmp_path: Path) -> None:
    file = str(tmp_path / "state.snapshot")
    taken = shell.json("db", "snapshot", "-o", file, "--height", "4")
    assert (taken["height"], taken["headers"], taken["file"]) == (4, BLOCKS, file)
    assert shell.error("db", "snapshot", "-o", file) == (65, "file_exists_already")
    assert shell.error("db", "snapshot", "-o", f"{file}2", "--height", "99") == (65, "block_not_found")
    assert shell.error("db", "restore", file, "--min-work", "1") == (65, "chain_exists")
    new = Shell(tmp_path / "new", {})
    spec = shell.data_dir / SPEC_NAME
    assert new.error("db", "restore", file, "--min-work", "1") == (65, "chain_not_found")
    new.json("init", "--spec", str(spec))
    assert new.error("db", "restore", file) == (65, "snapshot_not_anchored")
    assert new.error("db", "restore", file, "--min-work", str(10**30)) == (65, "insufficient_work")
    restored = new.json("db", "restore", file, "--checkpoint", str(head["id"]))
    assert (restored["block"], restored["work"]) == (taken["block"], taken["work"])
    assert new.json("db", "check")["height"] == 4
    assert new.error("db", "reindex") == (65, "rebuild_would_lose")


def test_blocks_are_carried_to_another_node_as_a_file(
    shell: Shell, head: dict[str, object], tmp_path: Path
) -> None:
    file, part = str(tmp_path / "blocks.chain"), str(tmp_path / "part.chain")
    exported = shell.json("chain", "export", "-o", file)
    assert (exported["first"], exported["last"]) == (1, BLOCKS)
    assert shell.json("chain", "export", "-o", part, "--first", "4", "--last", "5")["last"] == 5
    assert shell.error("chain", "export", "-o", file) == (65, "file_exists_already")
    assert shell.error("chain", "export", "-o", f"{file}2", "--last", "7") == (65, "block_not_found")
    assert not Path(f"{file}2").exists()
    new = Shell(tmp_path / "new", {})
    new.json("init", "--spec", str(shell.data_dir / SPEC_NAME))
    assert new.error("chain", "import", part) == (65, "block_refused"), "its first block has no parent here"
    whole = Path(file).read_bytes()
    flip_bit(Path(file), len(whole) // 2)
    assert new.error("chain", "import", file) == (65, "file_damaged")
    assert 0 < new.json("db", "check")["height"] < BLOCKS, "the blocks before the damage stay"
    Path(file).write_bytes(whole)
    done = new.json("chain", "import", file)
    assert (done["height"], done["head"]) == (BLOCKS, head["id"])
    assert done["imported"] + done["known"] == BLOCKS
    assert new.json("chain", "import", part) == {**done, "imported": 0, "known": 2}
    assert is_of(new.json("db", "check"), head)


def test_room_is_given_back(shell: Shell, head: dict[str, object]) -> None:
    for command in ("prune", "compact"):
        done = shell.json("db", command)
        assert done["bytes_after"] > 0
        assert done["bytes_before"] > 0
        assert is_of(shell.json("db", "check"), head)


def test_another_chains_rules_do_not_open_it(shell: Shell) -> None:
    path = shell.data_dir / SPEC_NAME
    path.write_text(path.read_text().replace('"name": "local"', '"name": "other"'))
    assert shell.error("db", "check") == (78, "foreign_data")
