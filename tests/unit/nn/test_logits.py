"""Gates: what they do to old logits, the rules of a relative growth, and the gradients of its training."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.nn.errors import GateMisplaced, GrowthRepeatsClass, PolicyViolated
from engram.nn.growth import Growth, Policy, adopt, append
from engram.nn.layers import Output
from engram.nn.logits import GATE, GATED_LIMIT, LOGIT_LIMIT, logits_of
from engram.nn.loss import LossKind
from engram.nn.network import NetworkSpec
from engram.nn.spec import GATE_MACS, check_spec, logit_macs, macs_per_row
from engram.participant.training.gradients import loss_gradient
from tests.support.evaluation_oracle import gated
from tests.support.nn_samples import GROWTH, LIMITS, RELATIVE, TWO_LAYERS

VALUES = st.integers(-(2**31), 2**31) | st.sampled_from([-(2**55), -(2**30), -(2**29), 0, 2**29, 2**55])


@st.composite
def stages(draw: st.DrawFn) -> tuple[int, ...]:
    """Components of a founding and of up to four relative growths, each class with one or two of them."""
    components: list[int] = []
    classes = 0
    for stage in range(draw(st.integers(1, 5))):
        count = draw(st.integers(1, 3))
        own = [*range(classes, classes + count), *draw(st.lists(st.integers(0, count - 1), max_size=1))]
        labels = [*own[:count], *(classes + extra for extra in own[count:])]
        components += [GATE] * (stage > 0) + draw(st.permutations(labels))
        classes += count
    return tuple(components)


@given(stages(), st.data())
def test_gates_by_the_second_implementation(components: tuple[int, ...], data: st.DataObject) -> None:
    size = len(components)
    rows = data.draw(st.lists(st.lists(VALUES, min_size=size, max_size=size), min_size=1, max_size=3))
    found = logits_of(components, np.array(rows, dtype=np.int64))
    assert found.tolist() == [gated(components, row) for row in rows]


@given(st.lists(st.integers(-(2**24), 2**24), min_size=4, max_size=4), st.integers(-(2**24), 2**24))
def test_a_gate_moves_all_old_logits_by_one_number(new: list[int], gate: int) -> None:
    old = np.array([[5, -70_000, 123_456]], dtype=np.int64)
    components = (0, 1, 2, GATE, 3, 4, 5, 6)
    after = logits_of(components, np.concatenate([old, [[gate, *new]]], axis=1))
    assert np.array_equal(np.diff(after[0, :3]), np.diff(old[0]))
    assert after[0, 3:].tolist() == new


def test_the_gate_is_what_old_classes_have_together() -> None:
    """exp of the old logits adds up to exp of the gate, whatever they were; so it is a member of the mix."""
    sums = np.array([[40, -3, 7, 2, 1], [0, 0, 0, -9, 4]], dtype=np.int64) << 16
    after = logits_of((0, 1, 2, GATE, 3), sums) / 2**16
    together = np.log(np.exp(after[:, :3]).sum(axis=1))
    assert np.allclose(together, [2, -9], atol=1e-4)


@pytest.mark.parametrize("gate", [-(2**60), 2**60])
def test_an_extreme_gate_leaves_old_differences_as_they_are(gate: int) -> None:
    """A gate is clipped before it enters, so the next gate can lift the old logits back."""
    old = [30, -20, 0]
    entering = np.array([[*old, gate, 5, 0, -(2**40)]], dtype=np.int64)
    after = logits_of((0, 1, 2, GATE, 3, GATE, 4), entering)
    assert np.array_equal(np.diff(after[0, :3]), np.diff(old))
    assert abs(after[0, 0]) <= GATED_LIMIT + 2**17
    assert after[0, 4] == -GATED_LIMIT
    assert LOGIT_LIMIT > 2 * GATED_LIMIT - 1


def test_many_stages_stay_within_64_bits() -> None:
    count = 2**12
    components = (0, *(part for label in range(1, count) for part in (GATE, label)))
    sums = np.tile(np.array([2**60, -(2**60)], dtype=np.int64), (2, count))[:, : len(components)]
    found = logits_of(components, sums)
    assert found.tolist() == [gated(components, row) for row in sums.tolist()]


def test_a_relative_growth_is_accepted_and_charged_for_its_gate() -> None:
    grown = append(TWO_LAYERS, RELATIVE, policy=Policy.RELATIVE, limits=LIMITS)
    assert (grown.classes, grown.gates, grown.components[4]) == (5, 1, GATE)
    ungated = replace(grown, components=(0, 1, 2, 1, 0, 3, 4, 3))
    assert macs_per_row(grown) - macs_per_row(ungated) == GATE_MACS * (5 + 1)
    assert logit_macs(5, 8, 1) - logit_macs(5, 8) == GATE_MACS * 6


def _with(components: tuple[int, ...], *, classes: int = 2, first: int = 4) -> Growth:
    output = Output(layer=1, lo=0, hi=10, first=first, width=1, shift=1, weight_bits=8)
    return Growth(classes, (), (output,), components)


@pytest.mark.parametrize(
    ("growth", "policy", "code"),
    [
        (_with((3, 4)), Policy.RELATIVE, "gate_misplaced"),
        (_with(()), Policy.RELATIVE, "gate_misplaced"),
        (_with((3, GATE, 4)), Policy.RELATIVE, "gate_misplaced"),
        (_with((GATE, 3, 4, GATE)), Policy.RELATIVE, "gate_misplaced"),
        (RELATIVE, Policy.STRICT, "gate_misplaced"),
        (RELATIVE, Policy.GATED, "gate_misplaced"),
        (_with((GATE, 3, 4, 1)), Policy.RELATIVE, "growth_repeats_class"),
        (_with((2,), classes=0), Policy.RELATIVE, "policy_violated"),
        (_with((GATE, 2), classes=0), Policy.RELATIVE, "gate_misplaced"),
    ],
)
def test_gates_stand_where_the_policy_wants_them(growth: Growth, policy: Policy, code: str) -> None:
    with pytest.raises((GateMisplaced, GrowthRepeatsClass, PolicyViolated)) as caught:
        append(TWO_LAYERS, growth, policy=policy, limits=LIMITS, capacity_from=0)
    assert caught.value.code == code


def test_new_neurons_feed_no_old_component_of_a_relative_network() -> None:
    fed = Output(layer=1, lo=10, hi=13, first=3, width=1, shift=1, weight_bits=8)
    growth = replace(RELATIVE, outputs=(*RELATIVE.outputs, fed))
    gated_growth = replace(GROWTH, outputs=(*GROWTH.outputs, fed))
    append(TWO_LAYERS, gated_growth, policy=Policy.GATED, limits=LIMITS)
    with pytest.raises(PolicyViolated):
        append(TWO_LAYERS, growth, policy=Policy.RELATIVE, limits=LIMITS)


def test_a_whole_network_has_no_gate() -> None:
    with pytest.raises(GateMisplaced) as caught:
        check_spec(replace(TWO_LAYERS, components=(0, 1, GATE, 2)), LIMITS)
    assert caught.value.code == "gate_misplaced"


def test_a_donor_with_a_class_for_all_else_is_adopted_with_its_gate() -> None:
    donor = NetworkSpec(12, 3, (), (), (Output(0, 0, 12, 0, 3, 0, 8),))
    growth = adopt(TWO_LAYERS, donor, new_classes=2, classes=(GATE, 3, 4))
    grown = append(TWO_LAYERS, growth, policy=Policy.RELATIVE, limits=LIMITS)
    assert grown.components[4:] == (GATE, 3, 4)


@pytest.mark.parametrize("kind", [LossKind.SOFTMAX_CROSS_ENTROPY, LossKind.SQUARED_ERROR])
def test_the_trainers_gradient_follows_the_loss(kind: LossKind) -> None:
    """Against differences of the loss, for every component of a network with two gates."""
    components = (0, 1, 1, GATE, 2, 3, GATE, 4, 4)
    spec = NetworkSpec(1, 5, components, (), ())
    rng = np.random.default_rng(4)
    sums, labels = rng.permutation(90).reshape(10, 9) * 0.04 - 1.8, np.arange(10) % 5
    _, found = loss_gradient(spec, sums.astype(np.float32), labels, kind)
    for at in range(len(components)):
        step = np.zeros(9)
        step[at] = 0.01
        up, down = (
            loss_gradient(spec, (sums + sign * step).astype(np.float32), labels, kind)[0] for sign in (1, -1)
        )
        assert found[:, at].sum() == pytest.approx((up - down) / 0.02, abs=2e-3)
