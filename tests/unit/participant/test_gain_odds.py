"""How likely a good update proves its gain: by the chain's own rule, and as the document's table has it."""

from __future__ import annotations

import re
from math import comb
from pathlib import Path

import pytest

from engram.participant.gain_odds import COST, RIGHT, SURE, proof_chance, rows_to_prove
from engram.statemachine.rounds.judging import proves_gain
from engram.statemachine.rounds.records import Tally


def summed(rows: int, z_squared: int, share: float = RIGHT, cost: int = COST) -> float:
    """The chance by the definition: of each number of right rows, whether the chain sees a gain proved."""
    chance = 0.0
    for right in range(rows + 1):
        wrong = rows - right
        found = Tally(0, right, cost * wrong, right + cost**2 * wrong)
        if proves_gain(found, z_squared):
            chance += comb(rows, right) * share**right * (1 - share) ** wrong
    return chance


@pytest.mark.parametrize("z_squared", [1, 4, 9, 16, 100])
@pytest.mark.parametrize("rows", [1, 8, 9, 24, 48, 60, 99, 100, 250])
def test_the_chance_is_that_of_the_chains_rule(rows: int, z_squared: int) -> None:
    assert proof_chance(rows, z_squared) == pytest.approx(summed(rows, z_squared), abs=1e-9)


def test_fewer_rows_than_z_squared_prove_nothing() -> None:
    assert proof_chance(8, 9) == 0
    assert proof_chance(9, 9) > 0


@pytest.mark.parametrize("z_squared", [4, 9, 25, 65_535])
def test_so_many_rows_are_enough(z_squared: int) -> None:
    rows = rows_to_prove(z_squared)
    assert proof_chance(rows, z_squared) >= SURE > proof_chance(rows * 3 // 4, z_squared)


def test_the_document_has_these_chances() -> None:
    text = (Path(__file__).parents[3] / "docs" / "data.md").read_text()
    table = text.partition("## How many rows decide")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| (\d+) \| (\d+)(?: of 100 times)? \| (\d+) \| (\d+) \|$", table, re.MULTILINE)
    assert len(lines) == 6
    for line in lines:
        rows, *told = map(int, line)
        found = [summed(rows, 9, *kind) for kind in ((0.9, 2), (0.9, 3), (0.8, 2))]
        assert [min(100, round(100 * chance)) for chance in found] == told, rows
