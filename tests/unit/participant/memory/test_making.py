"""What a founder's folder costs and allows: room for growths, limits of a model, what authors are taught."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engram.nn.growth import Policy, append
from engram.nn.spec import NetworkLimits, macs_per_row
from engram.participant.datasets import Dataset
from engram.participant.gate_odds import JudgedRows
from engram.participant.memory.banks import Banks
from engram.participant.memory.consolidation import Consolidation
from engram.participant.memory.costs import costs_of, growth_neurons
from engram.participant.memory.engines import ENGINES, consolidate
from engram.participant.memory.errors import EnginePolicyMismatch, GrowthsTooMany, StatisticsMissing
from engram.participant.memory.folder import MemoryFolder
from engram.participant.memory.head import head_of, lifted
from engram.participant.memory.lessons import lesson_of
from engram.participant.memory.making import FoundingPlan, Made, found_memory, handed_over
from engram.participant.memory.mixture_set import MixtureSet
from engram.participant.memory.mixtures_file import set_id
from engram.participant.memory.opening import MemoryPlan, growth_limits, odds_of, policy_of
from engram.participant.memory.statistics import Statistics
from engram.participant.memory.statistics_file import content_id
from engram.participant.memory.trunk import trunk_in
from engram.participant.selection import Selection
from engram.primitives.types import ZERO_HASH

LIMITS = NetworkLimits()
FIRST = Selection("digits", (1, 3), (0, 1, 2)).rows_of(0)
NEXT = Selection("digits", (2, 3), (3, 4)).rows_of(0)


def unheard(text: str) -> None:
    """Nobody listens to the progress."""


def founding(engine: str, out: Path, **changes: object) -> Made:
    plan = replace(FoundingPlan(engine, 7, bank_neurons=40, growths=2), **changes)  # type: ignore[arg-type]
    return found_memory(FIRST, plan, out, LIMITS, unheard)


@pytest.mark.parametrize("engine", ["gate", "analytic"])
def test_costs_are_reckoned_as_the_chain_charges_the_growths(tmp_path: Path, engine: str) -> None:
    made = founding(engine, tmp_path / "mind")
    memory, network = made.folder.memory, made.folder.founding()
    costs = costs_of(memory, network.spec, LIMITS)
    assert costs.now == macs_per_row(network.spec)
    assert (costs.growths_left, len(costs.after)) == (2, 2)
    trunk = trunk_in(network.spec, network.parameters, memory.trunk_segments)
    head, numbers = head_of(trunk, network.spec, network.parameters)
    policy = ENGINES[engine].policies[0]
    given = Consolidation(
        head,
        numbers,
        trunk.run(NEXT.features),
        NEXT.labels,
        2,
        policy,
        Banks(memory.rule),
        1,
        calibration=memory.calibration,
        statistics=made.folder.statistics(),
        settings=memory.settings,
    )
    growth = lifted(consolidate(engine, given).growth, trunk.depth)
    grown = append(network.spec, growth, policy=policy, limits=LIMITS)
    assert macs_per_row(grown) == costs.after[0]
    after = costs_of(memory, grown, LIMITS)
    assert (after.growths_left, after.after[0]) == (1, costs.after[1])


def test_growths_that_a_row_has_no_room_for_are_refused(tmp_path: Path) -> None:
    made = founding("gate", tmp_path / "mind")
    costs = costs_of(made.folder.memory, made.folder.founding().spec, LIMITS)
    tight = replace(LIMITS, max_macs_per_row=costs.after[-1])
    plan = FoundingPlan("gate", 7, bank_neurons=40, growths=2)
    found_memory(FIRST, plan, tmp_path / "fits", tight, unheard)
    with pytest.raises(GrowthsTooMany):
        found_memory(FIRST, replace(plan, growths=3), tmp_path / "no", tight, unheard)
    as_many = found_memory(FIRST, replace(plan, growths=None), tmp_path / "fit", tight, unheard)
    assert as_many.folder.memory.rule.count == 3
    with pytest.raises(GrowthsTooMany):
        found_memory(FIRST, plan, tmp_path / "no", replace(LIMITS, max_macs_per_row=10**6), unheard)
    assert not (tmp_path / "no").exists()


def test_the_limits_of_a_model_have_room_for_its_growths(tmp_path: Path) -> None:
    made = founding("gate", tmp_path / "mind")
    spec, rule = made.folder.founding().spec, made.folder.memory.rule
    memory = replace(made.folder.memory, rule=replace(rule, width=40_000))
    allowed = growth_limits(memory, spec, LIMITS, {"classes": 3}, 2)
    assert (allowed.classes, allowed.neurons) == (3, 40_000)
    costs = costs_of(memory, spec, LIMITS, 2)
    assert allowed.macs_per_row >= costs.after[1] - costs.after[0] > 2_000_000, "more than others may"
    small = growth_limits(made.folder.memory, spec, LIMITS, {}, 2)
    assert (small.neurons, small.macs_per_row) == (1_024, 2_000_000), "what others may is enough"
    experts = replace(memory, engine="experts")
    assert growth_neurons(experts, 2) == 80
    assert growth_limits(experts, spec, LIMITS, {}, 2).neurons == 1_024


def test_what_is_advised_holds_where_nothing_is_given(tmp_path: Path) -> None:
    made = founding("gate", tmp_path / "mind")
    memory, judged = made.folder.memory, JudgedRows(40, 20, 20)
    odds = odds_of(memory, made.trials, judged, MemoryPlan())
    assert odds.epsilon_ppm == odds.advice.epsilon_ppm > 20_000
    assert odds.threshold_ppm >= 200_000
    assert odds.surely > 0.999
    bold = odds_of(memory, made.trials, judged, MemoryPlan(epsilon_ppm=20_000))
    assert bold.epsilon_ppm == 20_000
    assert bold.surely < 0.5, "of 40 rows, not one may be lost"
    assert policy_of(memory, None) == Policy.RELATIVE
    with pytest.raises(EnginePolicyMismatch):
        policy_of(memory, Policy.STRICT)


def test_a_lesson_is_made_of_what_is_known_of_old_classes(tmp_path: Path) -> None:
    folder = founding("gate", tmp_path / "mind").folder
    known = folder.statistics()
    assert known is not None
    own = sums_of(folder, NEXT)
    folder.keep(own)
    lesson = lesson_of(folder, NEXT, (), 3)
    assert lesson.statistics is not None
    assert lesson.statistics.classes == (0, 1, 2), "the own rows teach the new classes"
    assert lesson.named == content_id(known)
    later = lesson_of(folder, NEXT, (), 5)
    assert later.statistics is not None
    assert later.statistics.classes == (0, 1, 2, 3, 4)
    path = tmp_path / "more.sums"
    more = sums_of(folder, Selection("digits", (2, 3), (0, 1)).rows_of(0))
    path.write_bytes(folder.keep(more).read_bytes())
    assert (
        content_id(lesson_of(folder, NEXT, (path,), 3).statistics or own)
        == lesson_of(folder, NEXT, (), 3).named
    ), "the same file counts once"


def sums_of(folder: MemoryFolder, rows: Dataset) -> Statistics:
    network = folder.founding()
    trunk = trunk_in(network.spec, network.parameters, folder.memory.trunk_segments)
    made = handed_over(folder.memory, trunk.run(rows.features), rows.labels)
    assert isinstance(made, Statistics)
    return made


def test_mixtures_are_handed_to_the_engine_that_draws_from_them(tmp_path: Path) -> None:
    folder = founding("replay", tmp_path / "mind").folder
    found = folder.mixture_set()
    assert isinstance(found, MixtureSet)
    assert found.classes == (0, 1, 2)
    lesson = lesson_of(folder, NEXT, (), 3)
    assert lesson.named == set_id(found)
    assert set(lesson.mixtures) == {0, 1, 2}


def test_an_engine_that_needs_nothing_names_nothing(tmp_path: Path) -> None:
    folder = founding("experts", tmp_path / "mind").folder
    lesson = lesson_of(folder, NEXT, (), 3)
    assert (lesson.named, lesson.statistics, lesson.mixtures) == (ZERO_HASH, None, {})


def test_missing_sums_are_named(tmp_path: Path) -> None:
    folder = founding("gate", tmp_path / "mind").folder
    network = folder.founding()
    memory = folder.memory
    trunk = trunk_in(network.spec, network.parameters, memory.trunk_segments)
    head, numbers = head_of(trunk, network.spec, network.parameters)
    given = Consolidation(
        head,
        numbers,
        trunk.run(NEXT.features),
        NEXT.labels,
        2,
        Policy.RELATIVE,
        Banks(memory.rule),
        1,
        statistics=sums_of(folder, Selection("digits", (1, 3), (0, 2)).rows_of(0)),
        settings=memory.settings,
    )
    with pytest.raises(StatisticsMissing, match="not handed over"):
        consolidate("gate", given)


def test_the_founding_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    one, two = founding("gate", tmp_path / "one"), founding("gate", tmp_path / "two")
    other = founding("gate", tmp_path / "three", seed=8)
    assert one.folder.founding().update() == two.folder.founding().update()
    assert one.folder.memory.rule.bank_id != other.folder.memory.rule.bank_id
    numbers = one.folder.founding().parameters
    assert np.array_equal(numbers[0].weights, other.folder.founding().parameters[0].weights), "filters"
