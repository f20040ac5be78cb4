"""A data directory of a chain with keys and no node, and a shell on it."""

from pathlib import Path

import pytest

from engram.node.datadir import write_spec
from tests.support.cli import Shell
from tests.support.dev_node import PASSPHRASE, dev_spec, write_keys


@pytest.fixture(scope="session")
def keyed_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only: making a key takes half a second."""
    directory = tmp_path_factory.mktemp("keyed")
    write_spec(directory, dev_spec())
    write_keys(directory)
    return directory


@pytest.fixture
def keyed(keyed_directory: Path) -> Shell:
    """A user with three keys, who knows the passphrase."""
    return Shell(keyed_directory, {"ENGRAM_PASSPHRASE": PASSPHRASE})


@pytest.fixture
def fresh(tmp_path: Path) -> Shell:
    """A user with a chain and no keys, whose environment holds nothing."""
    write_spec(tmp_path / "data", dev_spec())
    return Shell(tmp_path / "data", {"ENGRAM_PASSPHRASE": None, "ENGRAM_KEY": None, "ENGRAM_RPC": None})
