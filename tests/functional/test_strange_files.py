"""Every file of a data directory, damaged or replaced: an error by name, and nothing is deleted."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engram.node.configsources import load_config
from engram.node.datadir import find_run_info, make_data_dir, read_spec
from engram.node.errors import FileDamaged, KeyFileInvalid, LocalnetIncomplete, NotAFile
from engram.node.files import write_private
from engram.node.keystore import Keystore
from engram.node.localnet import background
from engram.node.threaded import running_node
from engram.primitives.errors import ChainError
from tests.support.cli import Shell
from tests.support.dev_node import HRP, PASSPHRASE, address_of, dev_spec, write_keys
from tests.support.faults import Played, inputs
from tests.support.strange_files import NO_FILES, STRANGE, put_strange

pytestmark = pytest.mark.fault(id=49)

FILES = (
    "bans.json",
    "blocks",
    "blocks/000000.dat",
    "chain.json",
    "engram.toml",
    "keys",
    "keys/alice.json",
    "leveldb",
    "leveldb/CURRENT",
    "leveldb/LOCK",
    "leveldb/LOG",
    "mempool.journal",
    "node.key",
    "node.log",
    "peers.json",
    "rpc.token",
    "run.json",
)
CASES = [(file, kind) for file in FILES for kind in STRANGE]
COMMANDS = (
    ("config", "show"),
    ("key", "list"),
    ("key", "show", "alice"),
    ("key", "node"),
    ("init",),
    ("chain", "head"),
    ("miner", "stop"),
    ("status",),
    ("db", "check"),
    ("db", "size"),
)
FORGIVEN = ("bans.json", "peers.json", "mempool.journal", "run.json", "node.log", "leveldb/LOG")
"""Without what these hold, a node starts all the same."""
NAMED = {64, 65, 69, 74, 75, 77, 78}
"""Exit statuses of errors that somebody has named; 70 is a bug."""


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only: the data of a node that has run."""
    directory = tmp_path_factory.mktemp("stopped") / "data"
    spec = dev_spec()
    make_data_dir(directory, spec)
    write_keys(directory)
    write_private(directory / "bans.json", b"[]")
    write_private(directory / "peers.json", b'["127.0.0.1:1"]')
    with running_node(load_config({"data_dir": directory, "rpc_port": 0, "p2p_port": 0}, {}).config, spec):
        shutil.copy(directory / "run.json", directory / "stale.json")
    (directory / "stale.json").rename(directory / "run.json")
    return directory


@pytest.fixture
def copied(stopped: Path, tmp_path: Path) -> Callable[[], Path]:
    """Makes one copy of these data after the other."""

    def copy() -> Path:
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        return Path(shutil.copytree(stopped, tmp_path / "data"))

    return copy


def drawn(count: int) -> list[tuple[str, str]]:
    """So many cases, or all; the seed is part of what a failure prints."""
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    return random.Random(seed).sample(CASES, min(count, len(CASES)))


def test_no_command_ends_in_a_traceback(copied: Callable[[], Path], fault: Played) -> None:
    cases = drawn(inputs(49, sample=12, share=0.5))
    for file, kind in cases:
        directory = copied()
        put_strange(directory / file, kind)
        shell = Shell(directory, {"ENGRAM_PASSPHRASE": PASSPHRASE, "ENGRAM_RPC_PORT": "1"})
        for words in COMMANDS:
            said = shell.run(*words)
            assert said.exit_code == 0 or said.exit_code in NAMED, (file, kind, words, said.output)
            assert "Traceback" not in said.output
            assert "bug" not in said.output, (file, kind, words, said.output)
        assert os.path.lexists(directory / file), (file, kind)
    fault.tell(len(cases))


def refusal(directory: Path) -> ChainError | None:
    """Starts a node and stops it; the error by which it refused to start."""
    try:
        config = load_config({"data_dir": directory, "rpc_port": 0, "p2p_port": 0}, {}).config
        spec = read_spec(directory)
        make_data_dir(directory, spec)
        with running_node(config, spec):
            return None
    except ChainError as error:
        return error


def test_a_node_starts_or_says_what_is_wrong(copied: Callable[[], Path], fault: Played) -> None:
    cases = drawn(inputs(49, sample=8, share=0.5))
    for file, kind in cases:
        directory = copied()
        put_strange(directory / file, kind)
        strange = (directory / file).lstat()
        refused = refusal(directory)
        if file in FORGIVEN and kind not in NO_FILES:
            assert refused is None, (file, kind, refused)
        if kind in NO_FILES:
            assert (directory / file).lstat().st_ino == strange.st_ino, (file, kind, "is still there")
    fault.tell(len(cases))


@pytest.mark.parametrize("name", ["bans.json", "peers.json"])
def test_a_damaged_list_is_set_aside_and_never_overwritten(name: str, copied: Callable[[], Path]) -> None:
    directory = copied()
    for number, content in enumerate((b"[1", b'["a:1", 2', b"null")):
        (directory / name).write_bytes(content)
        config = load_config({"data_dir": directory, "rpc_port": 0, "p2p_port": 0}, {}).config
        with running_node(config, read_spec(directory)):
            pass
        assert (directory / f"{name}.damaged{number or ''}").read_bytes() == content
        assert name in (directory / "node.log").read_text()


def test_files_of_other_programs_are_left_alone(copied: Callable[[], Path]) -> None:
    directory = copied()
    foreign = [
        directory / ".DS_Store",
        directory / "engram.toml~",
        directory / "chain.json.bak",
        directory / "keys" / ".DS_Store",
        directory / "keys" / "._alice.json",
        directory / "keys" / "alice.json~",
        directory / "keys" / "alice copy.json",
        directory / "keys" / "notes.json",
        directory / "blocks" / "Thumbs.db",
        directory / "blocks" / "000000 copy.dat",
        directory / "blocks" / "1.dat",
        directory / "leveldb" / ".nfs0001",
    ]
    for path in foreign:
        path.write_bytes(b"of another program")
    (directory / "lost+found").mkdir()
    (directory / "leveldb.old-1.bak").mkdir()
    shell = Shell(directory, {"ENGRAM_PASSPHRASE": PASSPHRASE})
    listed = shell.run("key", "list", "--json")
    assert [key["name"] for key in json.loads(listed.stdout)] == ["alice", "bob", "miner"]
    assert sorted(line.split("[")[-1] for line in listed.stderr.splitlines()) == [
        "key_file_invalid]",
        "key_name_invalid]",
    ]
    assert shell.json("key", "show", "alice")["address"] == address_of("alice")
    assert shell.error("key", "show", "notes") == (65, "key_file_invalid")
    assert shell.run("db", "check").exit_code == 0
    assert shell.run("db", "reindex").exit_code == 0
    config = load_config({"data_dir": directory, "rpc_port": 0, "p2p_port": 0}, {}).config
    with running_node(config, read_spec(directory)):
        pass
    kept = [path for path in foreign if path.parent.name != "leveldb"]
    assert [path.read_bytes() for path in kept] == [b"of another program"] * len(kept)


def test_a_file_behind_a_link_stays_there(copied: Callable[[], Path], tmp_path: Path) -> None:
    directory = copied()
    for name in ("peers.json", "bans.json", "rpc.token", "chain.json", "engram.toml", "keys"):
        (directory / name).rename(tmp_path / name)
        (directory / name).symlink_to(tmp_path / name)
    write_private(directory / "peers.json", b'["127.0.0.1:2"]')
    assert (directory / "peers.json").is_symlink()
    assert (tmp_path / "peers.json").read_bytes() == b'["127.0.0.1:2"]'
    config = load_config({"data_dir": directory, "rpc_port": 0, "p2p_port": 0}, {}).config
    with running_node(config, read_spec(directory)):
        pass
    assert all((directory / name).is_symlink() for name in ("peers.json", "bans.json", "rpc.token", "keys"))
    assert Shell(directory, {}).json("key", "show", "bob")["address"] == address_of("bob")


@pytest.mark.parametrize("kind", NO_FILES)
def test_nothing_is_written_over_what_is_no_file(kind: str, tmp_path: Path) -> None:
    put_strange(tmp_path / "x", kind)
    with pytest.raises(NotAFile):
        write_private(tmp_path / "x", b"content")
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "x", b"content", replace=False)
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize(
    "change",
    [
        {"pid": "1"},
        {"pid": True},
        {"pid": 10**40},
        {"pid": -1},
        {"rpc_url": 1},
        {"started_s": None},
        {"more": 1},
    ],
)
def test_a_run_json_that_cannot_be_is_no_node(change: dict[str, object], copied: Callable[[], Path]) -> None:
    directory = copied()
    document = json.loads((directory / "run.json").read_text())
    assert find_run_info(directory) is None or document["pid"] == os.getpid()
    (directory / "run.json").write_text(json.dumps(document | change))
    assert find_run_info(directory) is None


def test_a_key_file_of_a_later_version_is_named(copied: Callable[[], Path]) -> None:
    directory = copied()
    path = directory / "keys" / "alice.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(KeyFileInvalid, match="newer"):
        Keystore(directory / "keys", HRP).load("alice", PASSPHRASE)
    assert Shell(directory, {}).error("key", "show", "alice") == (65, "key_file_invalid")


def test_a_localnet_that_does_not_know_its_size(tmp_path: Path) -> None:
    keys = tmp_path / "none"
    keys.mkdir()
    background.make(tmp_path / "net", dev_spec(), [bytes(20)] * 3, 100, keys)
    (tmp_path / "net" / "node7 copy").mkdir()
    assert [path.name for path in background.members(tmp_path / "net")] == ["node0", "node1", "node2"]
    shutil.rmtree(tmp_path / "net" / "node2")
    with pytest.raises(LocalnetIncomplete):
        background.up(tmp_path / "net")
    for content in (b"", b"null", b'{"nodes": 0}', b'{"nodes": 1000000000}', b'{"nodes": true}', b"\xff"):
        (tmp_path / "net" / "localnet.json").write_bytes(content)
        with pytest.raises(FileDamaged, match=r"localnet\.json"):
            background.up(tmp_path / "net")
