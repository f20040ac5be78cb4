"""The parts of a logit are those that plain integers give, and add up to it, for networks of every kind."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engram.nn.contributions import Contributions, Owners, contributions, lead
from engram.nn.engine import REFERENCE
from engram.nn.errors import ShapeMismatch
from engram.nn.growth import Growth, grown_spec, merge_parameters
from engram.nn.layers import Output
from engram.nn.network import NetworkSpec, Parameters, SegmentParameters, forward
from engram.nn.spec import component_classes, layer_widths
from engram.nn.union import unite
from tests.support.nn_reference import (
    GATE,
    LOGIT_LIMIT,
    accumulators,
    activation,
    clipped,
    gated_logits,
    log_sum_exp,
    operands_of,
    row_logits,
    scaled,
)
from tests.support.nn_samples import (
    GROWTH,
    RELATIVE,
    TWO_LAYERS,
    growth_parameters,
    network_parameters,
    networks,
    random_features,
    strict_growths,
)

SEEDS = st.integers(0, 2**32 - 1)
ROWS = 4


@dataclass(frozen=True)
class Case:
    """A network that has grown, and whose each of its segments is."""

    spec: NetworkSpec
    parameters: Parameters
    owners: Owners


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Networks with up to three growths of every layer kind, unions among them, and owners of segments."""
    spec, seed = draw(networks()), draw(SEEDS)
    share = 2.0 ** -draw(st.integers(4, 20))
    numbers = network_parameters(spec, seed, share)
    gate = draw(st.booleans())
    for step in range(draw(st.integers(0, 3))):
        widths = dict(enumerate(layer_widths(spec)))
        growth = draw(strict_growths(spec, widths, gate=gate))
        if draw(st.booleans()):
            growth = _united(spec, growth, draw(strict_growths(spec, widths, gate=gate, beside=growth)))
        added = growth_parameters(spec, growth, seed + step + 1, share)
        spec, numbers = grown_spec(spec, growth), merge_parameters(spec, numbers, growth, added)
    groups = draw(st.integers(1, 4))
    hidden, outputs = (
        tuple(draw(st.lists(st.integers(0, groups - 1), min_size=len(each), max_size=len(each))))
        for each in (spec.hidden, spec.outputs)
    )
    return Case(spec, numbers, Owners(groups, hidden, outputs))


def _united(spec: NetworkSpec, first: Growth, second: Growth) -> Growth:
    """The union, if its shifts lie in their range, which is for `append` to say; else the first half."""
    union = unite(spec, first, second)
    return union if all(output.shift <= 31 for output in union.outputs) else first


def activations(spec: NetworkSpec, parameters: Parameters, row: list[int]) -> list[list[int]]:
    layers = [row, *([] for _ in layer_widths(spec)[1:])]
    for segment, given_ in zip(spec.hidden, parameters, strict=False):
        values = accumulators(segment, given_, operands_of(segment, layers))
        layers[segment.layer] += [activation(segment, a) for a in values]
    return layers


def neuron_owners(case: Case) -> list[list[int]]:
    found: list[list[int]] = [[-1] * case.spec.inputs, *([] for _ in layer_widths(case.spec)[1:])]
    for segment, owner in zip(case.spec.hidden, case.owners.hidden, strict=True):
        found[segment.layer] += [owner] * segment.width
    return found


def silent(given_: SegmentParameters) -> SegmentParameters:
    return SegmentParameters(given_.weights, np.zeros_like(given_.bias))


def component_parts(case: Case, row: list[int]) -> tuple[list[list[int]], list[list[int]], list[int]]:
    """For each component: the parts by group through neurons, those that are direct, and the whole sum.

    A part is what an output computes when everything is zero that is not the group's.
    """
    spec, groups = case.spec, case.owners.groups
    layers, owners = activations(spec, case.parameters, row), neuron_owners(case)
    count = len(component_classes(spec))
    neurons = [[0] * groups for _ in range(count)]
    direct = [[0] * groups for _ in range(count)]
    whole = [0] * count
    pairs = zip(spec.outputs, case.parameters[len(spec.hidden) :], case.owners.outputs, strict=True)
    for output, given_, own in pairs:
        operands, made_by = operands_of(output, layers), operands_of(output, owners)
        for at, a in enumerate(accumulators(output, given_, operands)):
            whole[output.first + at] += scaled(a, output.shift)
        for group in range(groups):
            theirs = [x if who == group else 0 for x, who in zip(operands, made_by, strict=True)]
            for at, a in enumerate(accumulators(output, silent(given_), theirs)):
                neurons[output.first + at][group] += scaled(a, output.shift)
        inputs = [x if who == -1 else 0 for x, who in zip(operands, made_by, strict=True)]
        for at, a in enumerate(accumulators(output, given_, inputs)):
            direct[output.first + at][own] += scaled(a, output.shift)
    return neurons, direct, whole


def stages_of(labels: tuple[int, ...]) -> list[list[int]]:
    """The components of each stage."""
    found: list[list[int]] = [[]]
    for place, label in enumerate(labels):
        if label == GATE:
            found.append([])
        found[-1].append(place)
    return found


def norm(labels: tuple[int, ...], whole: list[int], stage: list[int], limit: int) -> int:
    entries: dict[int, int] = {}
    for place in stage:
        entries[labels[place]] = max(entries.get(labels[place], whole[place]), whole[place])
    return log_sum_exp([clipped(value, -limit, limit) for value in entries.values()])


def check_row(case: Case, row: list[int], found: Contributions, at: int) -> None:
    labels = component_classes(case.spec)
    logits = row_logits(case.spec, case.parameters, row)
    neurons, direct, whole = component_parts(case, row)
    assert gated_logits(labels, whole) == logits
    order = sorted(range(len(logits)), key=lambda label: (-logits[label], label))[: found.ranked.shape[1]]
    assert found.ranked[at].tolist() == order
    stages = stages_of(labels)
    for rank, label in enumerate(order):
        own = max((place for place, each in enumerate(labels) if each == label), key=lambda c: (whole[c], -c))
        stage = next(number for number, places in enumerate(stages) if own in places)
        used = [own, *(places[0] for places in stages[stage + 1 :])]
        total = sum(whole[c] for c in used)
        theirs, added = summed([neurons[c] for c in used]), summed([direct[c] for c in used])
        norms = sum(
            norm(labels, whole, stages[t], 2**29 if t else 2**30) for t in range(stage, len(stages) - 1)
        )
        assert found.logits[at, rank] == logits[label]
        assert found.neurons[at, rank].tolist() == theirs
        assert found.direct[at, rank].tolist() == added
        assert found.rounding[at, rank] == total - sum(theirs) - sum(added)
        assert found.norms[at, rank] == -norms
        assert found.clipping[at, rank] == logits[label] - (total - norms)


def summed(rows: list[list[int]]) -> list[int]:
    return [sum(column) for column in zip(*rows, strict=True)]


@given(cases(), SEEDS)
def test_parts_are_those_of_plain_integers_and_add_up_to_the_logit(case: Case, seed: int) -> None:
    features = random_features(case.spec.inputs, ROWS, seed)
    found = contributions(case.spec, case.parameters, features, case.owners)
    for at, row in enumerate(features.tolist()):
        check_row(case, row, found, at)
    rest = found.norms + found.rounding + found.clipping
    assert np.array_equal(found.parts.sum(axis=2) + rest, found.logits)
    if case.spec.classes > 1:
        assert np.array_equal(lead(found.parts).sum(axis=1) + lead(rest), found.margins)
        assert (found.margins >= 0).all()


@given(cases(), SEEDS)
def test_without_the_neurons_of_a_group_the_sums_lose_their_part(case: Case, seed: int) -> None:
    """Setting the weights that read a group's neurons to 0 takes away exactly what was said to be theirs."""
    assume(not case.spec.components)
    outputs = tuple(replace(output, shift=min(output.shift, 0)) for output in case.spec.outputs)
    spec, split = replace(case.spec, outputs=outputs), len(case.spec.hidden)
    features, owners = random_features(spec.inputs, ROWS, seed), neuron_owners(case)
    found = contributions(spec, case.parameters, features, case.owners)
    for group in range(case.owners.groups):
        left = list(case.parameters)
        for place, output in enumerate(outputs, split):
            theirs = np.array(operands_of(output, owners)) == group
            weights = left[place].weights.copy()
            weights[theirs] = 0
            left[place] = SegmentParameters(weights, left[place].bias)
        without = forward(spec, tuple(left), features)[np.arange(ROWS)[:, None], found.ranked]
        inside = (abs(found.logits) < LOGIT_LIMIT) & (abs(without) < LOGIT_LIMIT)
        assert np.array_equal((found.logits - without)[inside], found.neurons[..., group][inside])


def grown(growth: Growth) -> Case:
    numbers = merge_parameters(
        TWO_LAYERS, network_parameters(TWO_LAYERS), growth, growth_parameters(TWO_LAYERS, growth)
    )
    spec = grown_spec(TWO_LAYERS, growth)
    split = len(spec.hidden)
    numbers = (*numbers[:split], *map(silent, numbers[split:]))
    hidden = tuple(int(place >= len(TWO_LAYERS.hidden)) for place in range(len(spec.hidden)))
    outputs = tuple(int(place >= len(TWO_LAYERS.outputs)) for place in range(len(spec.outputs)))
    return Case(spec, numbers, Owners(2, hidden, outputs))


@pytest.mark.parametrize("growth", [GROWTH, RELATIVE])
def test_chunks_and_engines_change_nothing(growth: Growth) -> None:
    case = grown(growth)
    features = random_features(12, 3_000, 5)
    whole = contributions(case.spec, case.parameters, features, case.owners)
    slow = contributions(case.spec, case.parameters, features[2_900:], case.owners, engine=REFERENCE)
    for name in vars(slow):
        assert np.array_equal(getattr(whole, name)[2_900:], getattr(slow, name)), name
    assert len(np.unique(whole.parts[:, 0])) > 100, "the rows differ"


def test_no_rows_give_no_parts() -> None:
    case = grown(RELATIVE)
    found = contributions(case.spec, case.parameters, random_features(12, 0), case.owners)
    assert (found.parts.shape, found.logits.shape) == ((0, 2, 2), (0, 2))


def test_a_single_class_has_nobody_behind_it() -> None:
    spec = NetworkSpec(2, 1, (), (), (Output(0, 0, 2, 0, 1, 0, 8),))
    numbers = (SegmentParameters(np.array([[1], [2]], dtype=np.int8), np.array([7], dtype=np.int32)),)
    found = contributions(spec, numbers, np.array([[10, 20]], dtype=np.uint8), Owners(1, (), (0,)))
    assert (found.ranked.tolist(), found.direct.tolist()) == ([[0]], [[[57]]])


def test_owners_of_another_network_are_refused() -> None:
    case = grown(GROWTH)
    with pytest.raises(ShapeMismatch):
        contributions(case.spec, case.parameters, random_features(12, 1), Owners(1, (0,), (0,)))
