"""How likely growths pass the rules about lost rows: against sums of exact chances, and against draws."""

from __future__ import annotations

import re
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engram.participant.gate_odds import (
    CONFIDENCE,
    HONEST_SHARE,
    LEAST_PPM,
    JudgedRows,
    least_epsilon,
    pass_chance,
    tolerated_share,
    usual_epsilon,
)
from engram.statemachine.rounds.judging import PPM, group_forgets, may_forget


def at_most(successes: int, rows: int, share: float) -> float:
    """P(X ≤ successes), X binomial, summed up by the definition."""
    return sum(comb(rows, n) * share**n * (1 - share) ** (rows - n) for n in range(successes + 1))


@given(
    st.integers(1, 150),
    st.integers(1, 80),
    st.lists(st.integers(1, 60), max_size=2),
    st.floats(0.001, 0.3),
)
def test_the_least_epsilon_passes_and_the_next_smaller_one_does_not(
    old: int, retention: int, groups: list[int], share: float
) -> None:
    judged, failure = JudgedRows(old, 10, retention, tuple(groups)), 0.0005
    epsilon = least_epsilon(share, judged, failure, right=1.0)
    assert pass_chance(share, judged, epsilon) >= 1 - failure
    assert epsilon == 0 or pass_chance(share, judged, epsilon - 1) < 1 - failure


def test_the_chance_to_pass_is_met_by_growths_that_are_judged_by_the_rules_of_the_chain() -> None:
    """Draws losses, and judges them as `statemachine.rounds.candidates` does."""
    judged = JudgedRows(90, 45, 40, (60, 30))
    epsilon, share = 60_000, 0.03
    rng, passed, draws = np.random.default_rng(8), 0, 20_000
    for _ in range(draws):
        own, theirs, kept = (int(rng.binomial(rows, share)) for rows in (60, 30, 40))
        passed += (
            own + theirs <= may_forget(epsilon, 90)
            and not group_forgets(epsilon, 60, own)
            and not group_forgets(epsilon, 30, theirs)
            and kept <= may_forget(epsilon, 40)
        )
    chance = pass_chance(share, judged, epsilon)
    assert chance <= passed / draws + 0.01, "the chance is a lower bound"
    assert chance > passed / draws - 0.15, "and not far below"


@pytest.mark.parametrize("chance", [0.95, 0.5])
def test_the_tolerated_share_passes_with_just_this_chance(chance: float) -> None:
    share = tolerated_share(100, 50_000, chance)
    assert at_most(5, 100, share) == pytest.approx(chance, abs=1e-6)
    assert tolerated_share(20, PPM, chance) == 1.0
    assert tolerated_share(20, 10_000, chance) == pytest.approx(1 - chance ** (1 / 20), abs=1e-9)


@given(st.integers(1, 120), st.integers(0, 120), st.integers(1, 120), st.floats(0.5, 1.0))
@example(94, 94, 94, 0.53515625)
def test_an_honest_growth_passes_where_nobody_has_named_an_epsilon(
    mine: int, theirs: int, retained: int, part: float
) -> None:
    """Also if up to half of the rows have new classes, or were wrong before."""
    epsilon = usual_epsilon(mine, theirs, retained)
    assert LEAST_PPM <= epsilon <= PPM
    groups = (mine, theirs) if theirs else ()
    judged = JudgedRows(mine + theirs, 0, retained, groups).shrunk(part)
    assert pass_chance(HONEST_SHARE, judged, epsilon) >= CONFIDENCE


def test_the_usual_epsilon_falls_with_the_rows_that_decide() -> None:
    found = [usual_epsilon(rows, 0, rows // 2) for rows in (48, 120, 400, 2_000, 20_000)]
    assert found == sorted(found, reverse=True)
    assert found[0] == 167_000, "the fewest rows on a chain for tests: a growth may lose 8 of 48"
    assert found[-1] <= 55_000
    assert all(epsilon % 1_000 == 0 for epsilon in found)


def test_the_table_of_the_document_is_computed_so() -> None:
    text = (Path(__file__).parents[3] / "docs/data.md").read_text()
    line = r"^\| ([\d,]+), (none|\d+) \| ([\d,]+) \| ([\d.]+) \| (\d+) of ([\d,]+) \|$"
    found = re.findall(line, text, re.MULTILINE)
    assert len(found) == 6
    for own, others, retained, epsilon, lost, rows in found:
        mine, kept, judged = (int(each.replace(",", "")) for each in (own, retained, rows))
        theirs = 0 if others == "none" else int(others)
        computed = usual_epsilon(mine, theirs, kept)
        assert (computed / PPM, mine + theirs) == (float(epsilon), judged)
        assert may_forget(computed, judged) == int(lost)
