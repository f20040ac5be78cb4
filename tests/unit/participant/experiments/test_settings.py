"""Who has which rows in paper and adversaries, and who attacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engram.participant.arena.arena import Arena, arena_spec
from engram.participant.datasets import Dataset
from engram.participant.errors import NotEnoughRows
from engram.participant.experiments.adversaries import report_text
from engram.participant.experiments.adversaries.attacks import ATTACKS, Attack, Side, decoys_of
from engram.participant.experiments.adversaries.experiment import EXPERIMENT, attackers, shares_of_attack
from engram.participant.experiments.adversaries.foes import MARK, marked, noise_rows
from engram.participant.experiments.adversaries.play import RULES, Battle, actors, alias, author, witness
from engram.participant.experiments.data import DataFolder
from engram.participant.experiments.paper.experiment import QUICK
from engram.participant.experiments.plan import Scale
from engram.participant.experiments.setting import NEW, OLD, PaperSetting, shares_of


def test_rows_are_dealt_once_and_evenly() -> None:
    shares = shares_of(QUICK, DataFolder())
    rows = [*shares.founder, *shares.witness, *shares.own, shares.test]
    assert sum(each.rows for each in rows) <= DataFolder().digits().rows
    assert shares.founder[0].rows == QUICK.parts * QUICK.part_rows
    assert set(shares.founder[0].labels.tolist()) == set(OLD)
    assert set(shares.founder[1].labels.tolist()) == {*OLD, *NEW}
    assert len({own.rows for own in shares.own}) == 1
    counts = np.bincount(shares.own[0].labels)
    assert counts.max() < 2 * counts.min()


def test_a_setting_survives_json() -> None:
    assert PaperSetting.from_json({"kind": "size", **QUICK.to_json()}) == QUICK


def test_more_rows_than_there_are_cannot_be_dealt() -> None:
    with pytest.raises(NotEnoughRows):
        shares_of(replace(QUICK, own_rows=5_000), DataFolder())


def test_shares_become_numbers_of_attackers() -> None:
    assert shares_of_attack(ATTACKS["withholding-opener"]) == (100,)
    assert [attackers(ATTACKS["liars"], share, 10) for share in shares_of_attack(ATTACKS["liars"])] == [
        2,
        4,
        6,
        8,
    ]
    assert attackers(ATTACKS["silent-witnesses"], 60, 10) == 3
    assert attackers(ATTACKS["withholding-opener"], 100, 10) == 1


def hostile_names(tmp_path: Path, attack: Attack, count: int) -> set[str]:
    arena = Arena(tmp_path, arena_spec(("a",), RULES), lambda notice: None)
    shares = shares_of(QUICK, DataFolder())
    battle = Battle(arena, attack, count, replace(QUICK, participants=4), shares)
    return {name for name in actors(attack, 4) if battle.hostile(name)}


def test_the_last_ones_attack_under_all_their_names(tmp_path: Path) -> None:
    sybils = hostile_names(tmp_path, ATTACKS["sybils"], 1)
    assert sybils == {author(3), *(alias(3, number) for number in range(1, 5))}
    assert hostile_names(tmp_path, ATTACKS["silent-witnesses"], 2) == {witness(3), witness(4)}
    assert hostile_names(tmp_path, ATTACKS["withholding-opener"], 1) == {"opener"}
    assert hostile_names(tmp_path, ATTACKS["liars"], 0) == set()


def test_every_attack_can_be_played_and_is_explained() -> None:
    assert set(report_text.ATTACKS) == set(ATTACKS)
    for attack in ATTACKS.values():
        by_authors = attack.strategy is not None or attack.act is not None
        assert by_authors == (attack.side is Side.AUTHORS)
    names = [cell.name for cell in EXPERIMENT.cells(Scale.FULL, DataFolder())]
    assert len(names) == len(set(names)) == 2 * (1 + 12 * 4 + 1)


def test_rows_of_noise_and_rows_with_the_mark() -> None:
    noise = noise_rows(60, 64, 6, 1)
    assert (noise.rows, np.bincount(noise.labels).tolist()) == (60, [10] * 6)
    digits = DataFolder().digits()
    seen = marked(digits)
    assert np.all(seen.features[:, :MARK] == 255)
    assert np.array_equal(seen.features[:, MARK:], digits.features[:, MARK:])
    assert decoys_of(Dataset(digits.features[:30], digits.labels[:30]), 50).rows == 30
