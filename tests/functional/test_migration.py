"""A data directory that layout 2 wrote is brought to the present layout, and holds the same chain."""

import asyncio
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from engram.consensus.chainspec import spec_id
from engram.consensus.genesis import genesis
from engram.node.chain.examine import Examination
from engram.node.chain.migration import migrate
from engram.node.chain.pruning import DEFAULT_DEPTHS, Depths
from engram.node.errors import CorruptStore, ForeignData, SchemaMismatch
from engram.node.storage.db import LevelDatabase
from engram.node.storage.failpoints import EXIT_CODE, VARIABLE, FailPoint
from engram.node.storage.schema import NODE, TIP
from engram.node.storage.store import open_store
from engram.node.storage.swap import DATABASE_DIRECTORY
from engram.primitives import smt
from engram.statemachine.content import blob_id
from tests.support.crash_server import ROWS
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, CAROL, SPEC, disk_store, running

pytestmark = pytest.mark.fault(id=32)

VECTORS = Path(__file__).parents[1] / "vectors"
SPEC_ID, GENESIS = spec_id(SPEC), genesis(SPEC).id
MIGRATE = (
    "import sys; from pathlib import Path; from tests.functional.test_migration import *\n"
    "migrate(Path(sys.argv[1]), SPEC_ID, GENESIS, DEFAULT_DEPTHS)"
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The data as a node of layout 2 left them."""
    with tarfile.open(VECTORS / "data_dir_2.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


async def is_whole(directory: Path, depths: Depths | None) -> None:
    """The chain is the recorded one, nothing of it is missing, and it can be extended."""
    expected: dict[str, Any] = json.loads((directory / "expected.json").read_text())
    async with running(disk_store(directory), depths=depths) as node:
        store, head, state = node.chain.store, node.chain.head, node.chain.state()
        assert (head.id.hex(), head.height) == (expected["head"], expected["height"])
        assert head.state_root.hex() == expected["state_root"]
        balances = [state.account(key.address).balance for key in (ALICE, BOB, CAROL)]
        assert balances == expected["balances"]
        assert store.get_blob(blob_id(ROWS)) == ROWS
        found = Examination(store)
        found.run(head, None)
        assert found.problems == []
        line = [store.get_ref(block) for _, block in store.canonical()]
        oldest = store.pruned().states
        for ref in line[oldest::10]:
            assert list(smt.iterate(store, ref.state_root))
        chain = MemoryChain(SPEC)
        for ref in line[1:130]:
            chain.take(store.get_block(ref))
        other = [chain.mine() for _ in range(24)]
        assert (await node.take(*other))[-3:] == ["reorged", "extended", "extended"]


@pytest.mark.parametrize(("depths", "oldest"), [(DEFAULT_DEPTHS, 22), (Depths(5, 40), 145), (None, 0)])
def test_the_chain_is_the_same_afterwards(directory: Path, depths: Depths | None, oldest: int) -> None:
    with pytest.raises(SchemaMismatch):
        disk_store(directory)
    assert migrate(directory, SPEC_ID, GENESIS, depths)
    assert not migrate(directory, SPEC_ID, GENESIS, depths)
    assert sorted(path.name for path in directory.glob("leveldb*")) == [DATABASE_DIRECTORY]
    store = open_store(directory, SPEC_ID, GENESIS)
    try:
        assert store.pruned().states == oldest
    finally:
        store.close()
    asyncio.run(is_whole(directory, depths))


@pytest.mark.parametrize(
    "point", [FailPoint.REBUILD_BEFORE_SWAP, FailPoint.REBUILD_IN_SWAP, FailPoint.REBUILD_AFTER_SWAP]
)
def test_a_death_in_between_leaves_one_of_them_whole(directory: Path, point: FailPoint) -> None:
    environment = {**os.environ, VARIABLE: point.value}
    died = subprocess.run(
        [sys.executable, "-c", MIGRATE, str(directory)],
        env=environment,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert died.returncode == EXIT_CODE
    migrate(directory, SPEC_ID, GENESIS, DEFAULT_DEPTHS)
    asyncio.run(is_whole(directory, DEFAULT_DEPTHS))


def test_a_damaged_database_is_left_as_it_is(directory: Path) -> None:
    database = LevelDatabase(directory / DATABASE_DIRECTORY)
    tip = database.get(TIP)
    assert tip is not None
    lost = next(key for key, _ in database.iterate(NODE))
    kept = dict(database.iterate())
    database.put(TIP, tip[:-1] + bytes([tip[-1] ^ 1]))
    database.close()
    with pytest.raises(CorruptStore):
        migrate(directory, SPEC_ID, GENESIS, None)
    database = LevelDatabase(directory / DATABASE_DIRECTORY)
    assert dict(database.iterate()).keys() == kept.keys()
    assert lost in kept
    database.close()


def test_another_chains_database_is_refused(directory: Path) -> None:
    with pytest.raises(ForeignData):
        migrate(directory, bytes(32), GENESIS, None)
