"""The engines on real digits, two classes at a time: what they learn, what they keep, what they refuse."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from engram.nn.growth import Policy, append
from engram.nn.network import forward
from engram.nn.seeded import Seeded, expand
from engram.nn.spec import NetworkLimits, check_spec
from engram.nn.tensor import Explicit, tensor_array
from engram.participant.datasets import Dataset, load_digits
from engram.participant.memory import errors
from engram.participant.memory.banks import Banks, declare
from engram.participant.memory.calibration import ALPHAS, FOUNDING_ALPHAS, best_scale, cross_entropy
from engram.participant.memory.consolidation import Consolidated, Consolidation, Settings
from engram.participant.memory.engines import ENGINES, consolidate
from engram.participant.memory.founding import Founded, found
from engram.participant.memory.head import head_of, lifted, whole_network
from engram.participant.memory.mixtures import fit
from engram.participant.memory.sources import sources_of
from engram.participant.memory.statistics import make
from engram.participant.memory.trunk import Trunk, convolution_trunk, trunk_in
from engram.participant.training.qat import Budget
from engram.statemachine.content import blob_id

SEED = bytes(32)
SETTINGS = Settings(ridge=1e-3, rank=10, neurons=10, drawn=100, budget=Budget(steps=150, batch=32))
DIGITS = load_digits()
EVERY_ENGINE = sorted(ENGINES)


@cache
def trunk() -> Trunk:
    return convolution_trunk(DIGITS.of_classes((0, 1)).features[:200], seed=SEED, side=8, values=48)


@cache
def rows(*classes: int) -> Dataset:
    own = DIGITS.of_classes(classes)
    return Dataset(trunk().run(own.features), own.labels)


@cache
def banks() -> Banks:
    return Banks(declare(rows(0, 1).features, seed=SEED, width=40, count=2))


@cache
def founded(engine: str) -> Founded:
    own = rows(0, 1)
    return found(
        engine, banks().rule, own.features, own.labels, policy=ENGINES[engine].policies[0], settings=SETTINGS
    )


@cache
def task(engine: str) -> Consolidation:
    """The digits 2 and 3 for a head that knows 0 and 1."""
    base, old, new = founded(engine), rows(0, 1), rows(2, 3)
    rng = np.random.default_rng(0)
    known = {k: fit(old.features[old.labels == k], components=1, rank=10, rng=rng) for k in (0, 1)}
    return Consolidation(
        base.spec,
        base.parameters,
        new.features,
        new.labels,
        2,
        ENGINES[engine].policies[0],
        banks(),
        1,
        calibration=base.calibration,
        statistics=make(banks(), old.features, old.labels),
        mixtures=known,
        settings=SETTINGS,
    )


@cache
def made(engine: str) -> Consolidated:
    return consolidate(engine, task(engine))


def right(engine: str, *classes: int) -> float:
    given, test = task(engine), rows(*classes)
    logits = forward(*made(engine).applied(given.base, given.parameters), test.features)
    return float(np.mean(np.argmax(logits, axis=1) == test.labels))


@pytest.mark.parametrize("engine", ["gate", "analytic", "experts"])
def test_an_engine_learns_and_does_not_forget(engine: str) -> None:
    assert right(engine, 2, 3) > 0.97
    assert right(engine, 0, 1) > 0.97


def test_replay_remembers_and_the_paper_s_step_forgets() -> None:
    assert right("replay", 0, 1, 2, 3) > 0.9
    assert right("naive", 2, 3) > 0.9
    assert right("naive", 0, 1) < 0.1


@pytest.mark.parametrize("engine", EVERY_ENGINE)
def test_the_whole_network_takes_the_growth_and_gives_the_heads_logits(engine: str) -> None:
    given, growth = task(engine), made(engine).growth
    base, _ = whole_network(trunk(), given.base, given.parameters)
    check_spec(base, NetworkLimits())
    append(base, lifted(growth, trunk().depth), policy=given.policy, limits=NetworkLimits())
    spec, head = made(engine).applied(given.base, given.parameters)
    whole = whole_network(trunk(), spec, head)
    pixels = DIGITS.of_classes((0, 3)).features[:30]
    expected = forward(spec, head, trunk().run(pixels))
    assert np.array_equal(forward(*whole, pixels), expected)
    again = head_of(trunk(), *whole)
    assert again[0] == spec
    assert np.array_equal(forward(*again, trunk().run(pixels)), expected)


@pytest.mark.parametrize("engine", EVERY_ENGINE)
def test_the_same_task_gives_the_same_integers(engine: str) -> None:
    again = consolidate(engine, task(engine))
    assert again.growth == made(engine).growth
    for one, other in zip(again.parameters, made(engine).parameters, strict=True):
        assert np.array_equal(one.weights, other.weights)
        assert np.array_equal(one.bias, other.bias)


@pytest.mark.parametrize("engine", ["naive", "replay"])
@pytest.mark.parametrize("policy", [Policy.STRICT, Policy.RELATIVE])
def test_trained_growths_keep_the_rules_of_other_policies(engine: str, policy: Policy) -> None:
    given = replace(task(engine), policy=policy)
    growth = consolidate(engine, given)
    append(given.base, growth.growth, policy=policy, limits=NetworkLimits())
    test = rows(2, 3)
    logits = forward(*growth.applied(given.base, given.parameters), test.features)
    assert np.mean(np.argmax(logits, axis=1) == test.labels) > 0.8


def logits_of_old(engine: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The logits of classes 0 and 1 on all digits, before and after the growth."""
    given, every = task(engine), rows(*range(10))
    before = forward(given.base, given.parameters, every.features)
    after = forward(*made(engine).applied(given.base, given.parameters), every.features)
    return before, after[:, :2]


def test_the_background_of_experts_follows_the_asked_floor() -> None:
    own = rows(0, 1)
    wide = replace(SETTINGS, floor=2 * SETTINGS.floor)
    base = found("experts", banks().rule, own.features, own.labels, policy=Policy.STRICT, settings=wide)
    assert base.calibration.background == 2 * founded("experts").calibration.background


def test_experts_leave_every_old_logit_as_it_was() -> None:
    before, after = logits_of_old("experts")
    assert np.array_equal(before, after)


def test_a_gate_leaves_the_differences_of_old_logits_as_they_were() -> None:
    before, after = logits_of_old("gate")
    assert np.array_equal(before[:, 0] - before[:, 1], after[:, 0] - after[:, 1])
    assert not np.array_equal(before, after)


def test_banks_travel_as_seeds() -> None:
    for engine in ("gate", "analytic"):
        growth = made(engine)
        assert growth.seeded == (banks().rule.weights(1),)
        assert growth.size_bytes() < 40 * 4 + 80 * 4 * 2 * 2 + 400
    assert made("experts").size_bytes() > 2 * 10 * 48


@pytest.mark.parametrize("engine", EVERY_ENGINE)
def test_a_growth_comes_back_from_its_sources(engine: str) -> None:
    growth = made(engine)
    hidden, outputs, tensors = sources_of(growth.seeded, growth.parameters)
    assert (len(hidden), len(outputs)) == (len(growth.growth.hidden), len(growth.growth.outputs))
    assert sum(map(len, tensors)) <= growth.size_bytes()
    known = {blob_id(raw): tensor_array(raw) for raw in tensors}
    for source, given in zip((*hidden, *outputs), growth.parameters, strict=True):
        weights = (
            expand(source.weights) if isinstance(source.weights, Seeded) else known[source.weights.tensor]
        )
        assert isinstance(source.bias, Explicit)
        assert np.array_equal(weights, given.weights)
        assert np.array_equal(known[source.bias.tensor], given.bias)


def test_the_trunk_is_found_in_a_network_again() -> None:
    given = task("gate")
    spec, parameters = whole_network(trunk(), given.base, given.parameters)
    again = trunk_in(spec, parameters, len(trunk().hidden))
    pixels = DIGITS.features[:20]
    assert np.array_equal(again.run(pixels), trunk().run(pixels))
    assert trunk_in(spec, parameters, 0).values == 64
    with pytest.raises(errors.FeatureCountMismatch):
        trunk_in(spec, parameters, 99)
    with pytest.raises(errors.EnginePolicyMismatch):
        head_of(trunk(), given.base, given.parameters)


def test_there_is_no_growth_beyond_the_last_bank() -> None:
    given = task("gate")
    base, parameters = made("gate").applied(given.base, given.parameters)
    later = replace(
        given,
        base=base,
        parameters=parameters,
        bank=2,
        values=rows(4, 5).features,
        labels=rows(4, 5).labels,
        statistics=make(banks(), rows(0, 1, 2, 3).features, rows(0, 1, 2, 3).labels),
    )
    with pytest.raises(errors.BankExhausted):
        consolidate("gate", later)


@pytest.mark.parametrize("engine", ["gate", "analytic"])
def test_sums_that_were_made_before_give_the_same_growth(engine: str) -> None:
    given = task(engine)
    own = make(banks(), given.values, given.labels)
    again = consolidate(engine, replace(given, new_statistics=own))
    assert np.array_equal(again.parameters[1].weights, made(engine).parameters[1].weights)


NEW = rows(2, 3)
BAD: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "an old label": ({"labels": NEW.labels - 1}, errors.UnknownLabels),
    "a class without rows": ({"labels": np.full(len(NEW.labels), 2, np.uint16)}, errors.ClassWithoutRows),
    "one label too few": ({"labels": NEW.labels[1:]}, errors.FeatureCountMismatch),
    "constant rows": ({"values": np.full_like(NEW.features, 9)}, errors.ConstantFeatures),
    "NaN": ({"values": np.full(NEW.features.shape, np.nan)}, errors.FeaturesNotIntegers),
    "narrow rows": ({"values": NEW.features[:, 1:]}, errors.FeatureCountMismatch),
}


@pytest.mark.parametrize("engine", EVERY_ENGINE)
@pytest.mark.parametrize("name", BAD)
def test_bad_rows_are_refused(engine: str, name: str) -> None:
    changes, error = BAD[name]
    with pytest.raises(error):
        consolidate(engine, replace(task(engine), **changes))


@pytest.mark.parametrize("engine", ["gate", "analytic"])
def test_bad_sums_are_refused(engine: str) -> None:
    given = task(engine)
    foreign = Banks(replace(banks().rule, seed=bytes([7] * 32)))
    strange = make(foreign, given.values, given.labels)
    changes: dict[str, Any]
    for changes, error in (
        ({"statistics": None}, errors.StatisticsMissing),
        ({"statistics": strange}, errors.BankMismatch),
        ({"new_statistics": strange}, errors.BankMismatch),
        ({"bank": 0}, errors.BankMismatch),
        ({"parameters": given.parameters[::-1]}, errors.BankMismatch),
    ):
        with pytest.raises(error):
            consolidate(engine, replace(given, **changes))


def test_replay_without_mixtures_is_refused() -> None:
    with pytest.raises(errors.StatisticsMissing):
        consolidate("replay", replace(task("replay"), mixtures={}))


@pytest.mark.parametrize("engine", ["experts", "replay"])
def test_fewer_rows_than_components_are_refused(engine: str) -> None:
    many = replace(SETTINGS, components=150)
    with pytest.raises(errors.FewerRowsThanComponents):
        consolidate(engine, replace(task(engine), settings=many))


def test_unknown_engines_and_other_policies_are_refused() -> None:
    with pytest.raises(errors.EngineUnknown):
        consolidate("oracle", task("gate"))
    with pytest.raises(errors.EnginePolicyMismatch):
        consolidate("gate", replace(task("gate"), policy=Policy.STRICT))
    with pytest.raises(errors.EnginePolicyMismatch):
        consolidate("experts", replace(task("experts"), calibration=task("gate").calibration))
    own = rows(0, 1)
    with pytest.raises(errors.EngineUnknown):
        found("oracle", banks().rule, own.features, own.labels, policy=Policy.STRICT)


def test_several_components_speak_for_a_class() -> None:
    given = replace(task("experts"), settings=replace(SETTINGS, components=3))
    growth = consolidate("experts", given)
    assert sorted(growth.growth.components) == [2, 2, 2, 3, 3, 3]
    assert len(growth.growth.hidden) < 6
    test = rows(0, 1, 2, 3)
    logits = forward(*growth.applied(given.base, given.parameters), test.features)
    assert np.mean(np.argmax(logits, axis=1) == test.labels) > 0.97


def test_one_class_cannot_choose_a_scale_but_can_be_founded_with_one() -> None:
    one = rows(0)
    with pytest.raises(errors.SingleClass):
        found("gate", banks().rule, one.features, one.labels, policy=Policy.RELATIVE)
    base = found(
        "gate",
        banks().rule,
        one.features,
        one.labels,
        policy=Policy.RELATIVE,
        calibration=founded("gate").calibration,
        settings=SETTINGS,
    )
    assert forward(base.spec, base.parameters, one.features).shape == (len(one.labels), 1)


def test_the_scale_of_logits_is_chosen_from_held_out_rows() -> None:
    chosen = founded("gate").calibration
    assert chosen.alpha in FOUNDING_ALPHAS
    assert founded("experts").calibration.background > 0
    fixed = replace(chosen, alpha=chosen.alpha / 2)
    own = rows(0, 1)
    base = found(
        "gate",
        banks().rule,
        own.features,
        own.labels,
        policy=Policy.RELATIVE,
        calibration=fixed,
        settings=SETTINGS,
    )
    twice = forward(base.spec, base.parameters, own.features) * 2
    expected = forward(founded("gate").spec, founded("gate").parameters, own.features)
    assert np.abs(twice - expected).max() < 2**16 * 0.02


def test_a_gate_takes_a_scale_of_its_own_unless_it_is_fixed() -> None:
    given = task("gate")
    assert made("gate").report.alpha in ALPHAS
    fixed = replace(given, calibration=replace(given.calibration, alpha=3.5, fixed=True))
    assert consolidate("gate", fixed).report.alpha == 3.5
    few = np.concatenate([np.flatnonzero(given.labels == label)[:4] for label in (2, 3)])
    little = replace(given, values=given.values[few], labels=given.labels[few])
    assert consolidate("gate", little).report.alpha == given.calibration.alpha


def test_the_best_scale_is_the_one_with_the_lowest_cross_entropy() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (4_000, 3))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (rng.random((4_000, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    assert best_scale((1.0, 2.0, 4.0, 8.0, 12.0), logits / 4, labels) == 4.0
    assert cross_entropy(np.zeros((5, 2)), np.zeros(5, np.int64), 3.0) == pytest.approx(np.log(2))
