"""A store opens for its own chain and layout only, and what it refuses it leaves as it was."""

from dataclasses import replace
from pathlib import Path

import pytest

from engram.consensus.chainspec import spec_id
from engram.consensus.genesis import genesis
from engram.node.errors import CorruptStore, DataDirLocked, DiskFailure, ForeignData, SchemaMismatch
from engram.node.storage.db import Batch, LevelDatabase
from engram.node.storage.schema import IDENTITY, SCHEMA_VERSION, DatabaseIdentity
from engram.node.storage.store import open_store
from engram.node.storage.swap import DATABASE_DIRECTORY
from engram.primitives.codec import encode
from engram.primitives.errors import StorageError
from tests.support.node_chain import SPEC, disk_store, opened

OWN = DatabaseIdentity(SCHEMA_VERSION, spec_id(SPEC), genesis(SPEC).id)
REFUSED: dict[str, tuple[bytes | None, type[StorageError]]] = {
    "a newer layout": (encode(replace(OWN, schema_version=SCHEMA_VERSION + 1)), SchemaMismatch),
    "an unknown layout": (b"\xc0", SchemaMismatch),
    "another chain": (encode(replace(OWN, spec=bytes(32))), ForeignData),
    "another genesis": (encode(replace(OWN, genesis=bytes(32))), ForeignData),
    "no identity": (None, CorruptStore),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_database_that_is_not_this_chains_is_refused_and_kept(tmp_path: Path, case: str) -> None:
    raw, error = REFUSED[case]
    with opened(disk_store(tmp_path)):
        pass
    database = LevelDatabase(tmp_path / DATABASE_DIRECTORY)
    database.write(Batch({IDENTITY: raw}))
    before = dict(database.iterate())
    database.close()
    with pytest.raises(error):
        disk_store(tmp_path)
    database = LevelDatabase(tmp_path / DATABASE_DIRECTORY)
    assert dict(database.iterate()) == before
    database.put(IDENTITY, encode(OWN))
    database.close()
    with opened(disk_store(tmp_path)) as node:
        assert node.start.head.id == genesis(SPEC).id


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    with opened(disk_store(tmp_path)), pytest.raises(DataDirLocked):
        disk_store(tmp_path)


def test_a_disk_that_does_not_do_what_it_should_is_named(tmp_path: Path) -> None:
    (tmp_path / DATABASE_DIRECTORY).write_text("a file where a directory should be")
    with pytest.raises(DiskFailure):
        open_store(tmp_path, OWN.spec, OWN.genesis)
