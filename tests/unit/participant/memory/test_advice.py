"""Advice: exact binomial bounds, and limits with which honest growths pass the chain's own rules."""

from __future__ import annotations

from dataclasses import replace
from math import comb, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.participant.gate_odds import JudgedRows, pass_chance
from engram.participant.memory.advice import (
    MARGIN,
    MOST_DELTA_PPM,
    advise,
    clopper_pearson,
    share_bound,
)
from engram.participant.memory.trials import Moments, Trials
from engram.statemachine.rounds.judging import PPM

TRIALS = Trials(
    3,
    1,
    9,
    expected=1,
    rows=300,
    judged=600,
    losable=590,
    lost=4,
    worst_class=0.01,
    before=Moments(300, 0.02, 0.01),
    old=Moments(600, 0.03, 0.02),
    whole=Moments(900, 0.03, 0.02),
)


def at_most(successes: int, rows: int, share: float) -> float:
    """P(X ≤ successes), X binomial, summed up by the definition."""
    return sum(comb(rows, n) * share**n * (1 - share) ** (rows - n) for n in range(successes + 1))


@given(st.integers(1, 120), st.data(), st.sampled_from((0.05, 0.001, 0.0005)))
def test_the_bound_is_the_share_at_which_so_few_would_be_rare(
    rows: int, data: st.DataObject, failure: float
) -> None:
    successes = data.draw(st.integers(0, rows - 1))
    bound = clopper_pearson(successes, rows, failure)
    assert at_most(successes, rows, bound) == pytest.approx(failure, rel=1e-6)
    assert bound > successes / rows


def test_the_bound_of_no_success_is_known_in_closed_form() -> None:
    assert clopper_pearson(0, 1_000, 0.0005) == pytest.approx(1 - 0.0005 ** (1 / 1_000), rel=1e-9)
    assert clopper_pearson(0, 0, 0.001) == 1.0
    assert clopper_pearson(7, 7, 0.001) == 1.0


def test_advised_limits_let_growths_pass_that_lose_as_much_as_the_bound() -> None:
    judged = JudgedRows(60, 30, 30)
    advice = advise(TRIALS, judged, growths=3, threshold_ppm=200_000)
    assert TRIALS.share < advice.share_bound < 0.05
    assert advice.planned_share == MARGIN * advice.share_bound
    assert pass_chance(advice.planned_share, judged, advice.epsilon_ppm) >= 0.9995
    assert advice.class_chance < 0.01
    assert advice.lost_cap_ppm >= 3 * TRIALS.share * PPM


def test_growths_by_more_classes_than_were_tried_are_allowed_to_lose_more() -> None:
    judged = JudgedRows(600, 300, 300)
    one, three = (
        advise(replace(TRIALS, expected=classes), judged, growths=3, threshold_ppm=200_000)
        for classes in (1, 3)
    )
    assert three.expected_share == pytest.approx(3 * one.expected_share)
    assert three.planned_share == pytest.approx(3 * one.planned_share)
    assert three.epsilon_ppm > 2 * one.epsilon_ppm
    assert three.threshold_ppm > one.threshold_ppm


def test_more_rows_allow_tighter_limits() -> None:
    few = advise(TRIALS, JudgedRows(40, 20, 20), growths=3, threshold_ppm=200_000)
    many = advise(TRIALS, JudgedRows(4_000, 2_000, 2_000), growths=3, threshold_ppm=200_000)
    seen = replace(
        TRIALS, rows=30_000, judged=60_000, losable=59_000, lost=400, old=Moments(60_000, 0.03, 0.02)
    )
    known = advise(seen, JudgedRows(4_000, 2_000, 2_000), growths=3, threshold_ppm=200_000)
    assert few.epsilon_ppm > many.epsilon_ppm > known.epsilon_ppm > TRIALS.share * PPM
    assert few.delta_ppm >= many.delta_ppm >= known.delta_ppm
    assert few.threshold_ppm > many.threshold_ppm


def test_delta_covers_the_bound_on_the_loss_of_old_rows() -> None:
    judged = JudgedRows(4_000, 0, 1_000)
    lossy = replace(TRIALS, old=Moments(10**6, 0.5 / MARGIN, 0.0))
    advice = advise(lossy, judged, growths=1, threshold_ppm=200_000)
    allowed = (1 + advice.delta_ppm / PPM) * 0.2 * log(3)
    assert 0.5 < allowed < 0.52
    assert advise(lossy, judged, growths=1, threshold_ppm=0).delta_ppm < MOST_DELTA_PPM


def test_trials_that_show_nothing_allow_everything() -> None:
    nothing = Trials(1, 0, 0)
    assert share_bound(nothing, 0.001) == 1.0
    advice = advise(nothing, JudgedRows(40, 20, 20), growths=0, threshold_ppm=200_000)
    assert (advice.epsilon_ppm, advice.delta_ppm) == (PPM, MOST_DELTA_PPM)


def test_a_growth_that_loses_everything_is_allowed_only_where_all_may_be_lost() -> None:
    forgets = replace(TRIALS, lost=TRIALS.losable, worst_class=1.0)
    advice = advise(forgets, JudgedRows(40, 20, 20), growths=2, threshold_ppm=200_000)
    assert (advice.epsilon_ppm, advice.class_chance) == (PPM, 1.0)
