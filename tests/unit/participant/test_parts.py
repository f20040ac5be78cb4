"""Parts: disjoint, even, committed; secrets survive on disk or are refused by name."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.nn.data import parse_part, part_commitment
from engram.participant.datasets import Dataset, load_digits
from engram.participant.errors import NotEnoughRows, OldRowsMissing, SecretsInvalid, SecretsNotFound
from engram.participant.parts import RoundSecrets, deal, load_secrets, save_secrets, split_parts
from engram.participant.rows_needed import check_old_rows


def numbered(counts: list[int]) -> Dataset:
    """Rows that all differ, with this many of each class."""
    rows = sum(counts)
    features = np.stack([np.arange(rows) % 256, np.arange(rows) // 256], axis=1).astype(np.uint8)
    return Dataset(features, np.repeat(np.arange(len(counts)), counts).astype(np.uint16))


@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    count=st.integers(1, 8),
    data=st.data(),
)
def test_dealt_parts_are_disjoint_exact_and_even(counts: list[int], count: int, data: st.DataObject) -> None:
    whole = numbered(counts)
    rows = data.draw(st.integers(0, whole.rows // count))
    parts = deal(whole, count, rows)
    seen = [tuple(row) for part in parts for row in part.features.tolist()]
    assert [part.rows for part in parts] == [rows] * count
    assert len(seen) == len(set(seen))
    for label in range(len(counts)):
        held = [int((part.labels == label).sum()) for part in parts]
        assert max(held) - min(held) <= 1


def test_parts_of_digits_hold_every_class_and_match_their_commitments() -> None:
    parts = split_parts(load_digits(), 5, 60, np.random.default_rng(0), os.urandom)
    assert len({part.commitment for part in parts}) == 5
    for part in parts:
        read = parse_part(part.raw, rows=60, inputs=64, classes=10)
        assert sorted(set(read.labels.tolist())) == list(range(10))
        assert part.commitment == part_commitment(part.salt, part.raw)


def test_too_small_a_data_set_is_refused() -> None:
    with pytest.raises(NotEnoughRows) as caught:
        split_parts(numbered([3, 3]), 4, 2, np.random.default_rng(0), os.urandom)
    assert (caught.value.expected, caught.value.got) == (8, 6)


def test_secrets_come_back_whole_and_private(tmp_path: Path) -> None:
    parts = tuple(split_parts(load_digits(), 3, 20, np.random.default_rng(1), os.urandom))
    secrets = RoundSecrets(os.urandom(32), parts)
    path = tmp_path / "rounds" / "a.secrets"
    save_secrets(path, secrets)
    assert load_secrets(path) == secrets
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secrets.part(parts[1].commitment) == parts[1]
    assert secrets.part(bytes(32)) is None


def test_damaged_or_missing_secrets_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.secrets"
    with pytest.raises(SecretsNotFound):
        load_secrets(path)
    save_secrets(
        path,
        RoundSecrets(
            bytes(32), tuple(split_parts(numbered([9]), 1, 3, np.random.default_rng(1), os.urandom))
        ),
    )
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SecretsInvalid):
        load_secrets(path)


@pytest.mark.parametrize(
    ("least", "in_all", "sealed", "remedy"),
    [
        (10, 20, 2, "parts with 8 of them do with --sealed 3,"),
        (10, 16, 2, "promise at most --old-rows 8,"),
    ],
)
def test_the_options_that_would_do_are_computed(least: int, in_all: int, sealed: int, remedy: str) -> None:
    """Of parts with eight rows of old classes each: the sealed ones count together."""
    parts = split_parts(numbered([24, 24]), 3, 16, np.random.default_rng(0), os.urandom)
    secrets = RoundSecrets(bytes(32), tuple(parts))
    with pytest.raises(OldRowsMissing, match=remedy):
        check_old_rows(secrets, 1, least, in_all, sealed)
    check_old_rows(secrets, 1, -(-in_all // 3), in_all, 3)
