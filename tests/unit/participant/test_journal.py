"""The secret of a commit comes back whole, privately, or is refused by name."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from engram.participant.errors import SecretsInvalid
from engram.participant.journal import CommitSecret, Journal
from engram.statemachine.additions import TrainUpdate
from engram.statemachine.rounds.update import UpdateClaim, commit_digest
from tests.support.round_matter import network

ROUND, AUTHOR = b"\x01" * 32, b"\x02" * 20
CLAIM = UpdateClaim(7, AUTHOR, ROUND, 3, b"\x03" * 32, b"\x04" * 32, 99, b"\x05" * 32)


@pytest.fixture
def secret() -> CommitSecret:
    return CommitSecret.of(CLAIM, network(6, 3).update)


def test_a_secret_comes_back_whole_and_private(tmp_path: Path, secret: CommitSecret) -> None:
    journal = Journal(tmp_path / "rounds")
    assert journal.find(ROUND, 3, AUTHOR) is None
    journal.save(secret)
    found = Journal(tmp_path / "rounds").find(ROUND, 3, AUTHOR)
    assert found == secret
    assert secret.digest == commit_digest(CLAIM)
    assert replace(secret.update, tensors=secret.tensors) == network(6, 3).update
    (file,) = (tmp_path / "rounds").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_tensor_may_be_larger_than_any_transaction(tmp_path: Path, secret: CommitSecret) -> None:
    assert isinstance(secret.update, TrainUpdate)
    large = replace(secret, tensors=(bytes(3 * 2**20),))
    Journal(tmp_path).save(large)
    assert Journal(tmp_path).find(ROUND, 3, AUTHOR) == large


def test_a_finished_round_is_forgotten_and_nothing_else(tmp_path: Path, secret: CommitSecret) -> None:
    journal = Journal(tmp_path)
    others = [replace(CLAIM, round=b"\x09" * 32), replace(CLAIM, author=b"\x09" * 20)]
    for claim in (CLAIM, replace(CLAIM, epoch=4), *others):
        journal.save(replace(secret, claim=claim))
    journal.forget(ROUND, AUTHOR)
    assert journal.find(ROUND, 3, AUTHOR) is journal.find(ROUND, 4, AUTHOR) is None
    assert [journal.find(claim.round, 3, claim.author) is not None for claim in others] == [True, True]


def test_a_damaged_file_is_refused_by_name(tmp_path: Path, secret: CommitSecret) -> None:
    journal = Journal(tmp_path)
    journal.save(secret)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(SecretsInvalid):
        journal.find(ROUND, 3, AUTHOR)
