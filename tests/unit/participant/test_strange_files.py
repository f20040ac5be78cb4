"""The files of those who play and learn, damaged or replaced: an error by name, and nothing is deleted."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engram.consensus.chainspec import local
from engram.node.errors import NotAFile
from engram.participant.errors import SecretsInvalid
from engram.participant.export import load_version
from engram.participant.journal import Journal
from engram.participant.learn.lessons import Lessons
from engram.participant.learn.opening import Openings
from engram.participant.memory.memory_file import load_memory
from engram.participant.memory.trials import load_trials
from engram.participant.memory.trust_point import load_trust_point
from engram.participant.parts import load_secrets
from engram.primitives.errors import ChainError
from tests.support.strange_files import STRANGE, put_strange

pytestmark = pytest.mark.fault(id=49)

NAME, ADDRESS = bytes(range(32)), bytes(20)
READERS: dict[str, Callable[[Path], object]] = {
    "memory.json": load_memory,
    "trials.json": load_trials,
    "trust.json": lambda path: load_trust_point(path, local((), 0), NAME),
    "model.json": lambda path: load_version(path.with_suffix(".npz")),
    "model.npz": load_version,
    f"{NAME.hex()}.secrets": load_secrets,
    f"{NAME.hex()}.lesson": lambda path: Lessons(path.parent).find(NAME),
    f"{NAME.hex()}.opening": lambda path: Openings(path.parent).find(NAME),
    f"{NAME.hex()}-{ADDRESS.hex()}-0.commit": lambda path: Journal(path.parent).find(NAME, 0, ADDRESS),
}


@pytest.mark.parametrize("name", READERS, ids=lambda name: name.rpartition(".")[2])
@pytest.mark.parametrize("kind", STRANGE)
def test_what_cannot_be_read_is_named(name: str, kind: str, tmp_path: Path) -> None:
    put_strange(tmp_path / name, kind)
    with pytest.raises(ChainError) as refusal:
        READERS[name](tmp_path / name)
    assert name.partition(".")[0][:12] in str(refusal.value), "the file is named"
    assert os.listdir(tmp_path) == [name]


def test_files_of_other_programs_are_left_alone(tmp_path: Path) -> None:
    foreign = ("notes.lesson", "a copy.lesson", "x.opening", f"{NAME.hex()} copy.opening")
    for name in foreign:
        (tmp_path / name).write_bytes(b"of another program")
    Lessons(tmp_path).keep_only(None)
    assert Openings(tmp_path).names() == []
    assert sorted(os.listdir(tmp_path)) == sorted(foreign)


def test_a_secret_that_is_no_file_is_not_a_missing_one(tmp_path: Path) -> None:
    """Who is told that a secret is missing gives the round up; a dangling link can be mended."""
    path = tmp_path / "secret"
    path.symlink_to(tmp_path / "on a disk that is not mounted")
    with pytest.raises((SecretsInvalid, NotAFile), match="link"):
        load_secrets(path)
