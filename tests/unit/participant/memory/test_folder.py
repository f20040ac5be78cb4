"""The folder in which a participant keeps what they know of a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engram.nn.growth import Policy
from engram.node.files import write_private
from engram.participant.memory.banks import Banks, declare
from engram.participant.memory.consolidation import Settings
from engram.participant.memory.errors import (
    BankMismatch,
    FoundingMalformed,
    MemoryFileInvalid,
    MemoryFolderInvalid,
    MixturesMalformed,
    StatisticsForged,
    StatisticsMalformed,
    StatisticsRepeated,
    TooFewRowsToHide,
)
from engram.participant.memory.folder import MemoryFolder, folder_of
from engram.participant.memory.founded_network import founded_network, read_founding, write_founding
from engram.participant.memory.founding import found
from engram.participant.memory.mixture_set import make_set
from engram.participant.memory.playing import Memory
from engram.participant.memory.statistics import Statistics, make, merge
from engram.participant.memory.statistics_file import content_id, write
from engram.participant.memory.trials import Trials
from engram.participant.memory.trunk import convolution_trunk

RNG = np.random.default_rng(5)
LABELS = np.repeat(np.arange(2, dtype=np.uint16), 60)
ROWS = np.clip(RNG.normal(size=(120, 64)) * 40 + 100 + 60 * LABELS[:, np.newaxis], 0, 255).astype(np.uint8)
TRUNK = convolution_trunk(ROWS, seed=bytes(32), side=8, values=16)
VALUES = TRUNK.run(ROWS)
RULE = declare(VALUES, seed=bytes(32), width=10, count=3)
FOUNDED = found("gate", RULE, VALUES, LABELS, policy=Policy.RELATIVE, settings=Settings(ridge=1e-2))
NETWORK = founded_network(TRUNK, FOUNDED)
MEMORY = Memory("gate", len(TRUNK.hidden), RULE, FOUNDED.calibration, least_rows=25)

TRIALS = Trials(2, 1, 6, rows=120, judged=360, losable=360, lost=2)


def sums(begin: int, end: int, labels: int = 0) -> Statistics:
    return make(Banks(RULE), VALUES[begin:end], LABELS[begin:end] + labels)


def folder(tmp_path: Path) -> MemoryFolder:
    return MemoryFolder.create(tmp_path / "memory", MEMORY, NETWORK, TRIALS)


def merged(*items: Statistics) -> Statistics:
    return merge([(each, content_id(each)) for each in items])


def test_a_founder_finds_everything_again(tmp_path: Path) -> None:
    path = folder(tmp_path).path
    found = MemoryFolder(path)
    assert found.memory == MEMORY
    assert found.founding().update() == NETWORK.update()
    assert found.trials() == TRIALS
    assert found.statistics() is None
    assert found.mixtures() == {}
    with pytest.raises(MemoryFolderInvalid):
        MemoryFolder.create(path, MEMORY, NETWORK, TRIALS)


def test_the_default_place_is_named_after_the_model(tmp_path: Path) -> None:
    assert folder_of(tmp_path, b"\xab" * 32).path == tmp_path / "memory" / ("ab" * 32)


def test_sums_that_are_kept_are_added_up(tmp_path: Path) -> None:
    kept = folder(tmp_path)
    one, two = sums(0, 30), sums(60, 90)
    first = kept.keep(one)
    assert kept.keep(one) == first
    kept.keep(two)
    found = kept.statistics()
    assert found is not None
    assert content_id(found) == content_id(merged(one, two))
    assert found.classes == (0, 1)


def test_a_file_that_holds_all_rows_of_another_replaces_it(tmp_path: Path) -> None:
    kept = folder(tmp_path)
    one, two, three = sums(0, 30), sums(30, 60), sums(60, 90)
    for each in (one, merged(one, two), three):
        kept.keep(each)
    found = kept.statistics()
    assert found is not None
    assert found.rows == 90
    with pytest.raises(StatisticsRepeated):
        kept.keep(merged(one, three))
    assert len(list((kept.path / "sums").iterdir())) == 3


def test_mixtures_are_kept_beside_sums(tmp_path: Path) -> None:
    kept = folder(tmp_path)
    given = make_set(RULE.bank_id, VALUES, LABELS, components=1, rank=3)
    kept.keep(given)
    assert set(kept.mixtures()) == {0, 1}
    with pytest.raises(BankMismatch):
        kept.keep(replace(given, bank=bytes(32)))


def test_sums_that_would_give_rows_away_are_neither_kept_nor_read(tmp_path: Path) -> None:
    kept = folder(tmp_path)
    with pytest.raises(TooFewRowsToHide):
        kept.keep(sums(0, 24))
    assert not (kept.path / "sums").exists()
    write_private(tmp_path / "few.sums", write(sums(0, 24)))
    with pytest.raises(TooFewRowsToHide, match=r"few\.sums"):
        kept.read_statistics(tmp_path / "few.sums")


def test_forged_sums_are_not_kept(tmp_path: Path) -> None:
    given = sums(0, 30)
    with pytest.raises(StatisticsForged):
        folder(tmp_path).keep(replace(given, sums=given.sums + 1))


@pytest.mark.parametrize("damage", ["cut", "renamed", "changed", "other"])
def test_a_damaged_file_is_refused_by_its_name(tmp_path: Path, damage: str) -> None:
    kept = folder(tmp_path)
    path = kept.keep(sums(0, 30))
    raw = path.read_bytes()
    if damage == "renamed":
        path = path.rename(path.with_name(f"{'0' * 64}.sums"))
    else:
        path.write_bytes({"cut": raw[:-9], "changed": raw[:90] + b"x" + raw[91:], "other": b"rows"}[damage])
    with pytest.raises(StatisticsMalformed, match=path.name):
        kept.statistics()
    assert path.exists()


def test_a_damaged_file_of_mixtures_is_refused_by_its_name(tmp_path: Path) -> None:
    kept = folder(tmp_path)
    path = kept.keep(make_set(RULE.bank_id, VALUES, LABELS, components=1, rank=3))
    path = path.rename(path.with_name("mine.mixtures"))
    with pytest.raises(MixturesMalformed, match=r"mine\.mixtures"):
        kept.mixtures()


@pytest.mark.parametrize("raw", [b"", b"engram founding 1\nx", write_founding(NETWORK)[:-5]])
def test_a_damaged_founding_is_refused(tmp_path: Path, raw: bytes) -> None:
    kept = folder(tmp_path)
    (kept.path / "founding").write_bytes(raw)
    with pytest.raises(FoundingMalformed, match="founding"):
        kept.founding()


def test_a_founding_without_its_tensors_is_refused() -> None:
    whole = read_founding(write_founding(NETWORK))
    numbers = whole.parameters[-1]
    wrong = replace(numbers, weights=numbers.weights[:-1])
    with pytest.raises(FoundingMalformed):
        read_founding(write_founding(replace(whole, parameters=(*whole.parameters[:-1], wrong))))


def test_a_folder_without_memory_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MemoryFolderInvalid, match="memory found"):
        MemoryFolder(tmp_path).statistics() or MemoryFolder(tmp_path).memory
    (tmp_path / "memory.json").write_text("{}")
    with pytest.raises(MemoryFileInvalid, match=r"memory\.json"):
        MemoryFolder(tmp_path).memory  # noqa: B018
    with pytest.raises(MemoryFolderInvalid, match="founding"):
        MemoryFolder(tmp_path).founding()
