"""Context-free checks of a network's shape, and what is computed from it."""

from dataclasses import replace
from typing import Any

import pytest

from engram.nn.errors import (
    ComponentsMismatch,
    DimensionOutOfRange,
    QuantizationOutOfRange,
    ShapeMismatch,
    TooManyMacs,
)
from engram.nn.layers import DenseRelu, Output
from engram.nn.layers.dense import ACTIVATION_MACS, READ_MACS
from engram.nn.spec import (
    CALL_MACS,
    COMPONENT_MACS,
    JOINED_MACS,
    LOGIT_MACS,
    SEGMENT_MACS,
    NetworkLimits,
    NetworkSpec,
    call_macs,
    canonical_components,
    check_spec,
    chunk_rows,
    component_classes,
    component_count,
    layer_widths,
    macs_per_row,
    neurons,
    parameter_shapes,
    setup_macs,
)
from tests.support.nn_samples import LIMITS, TWO_LAYERS

LINEAR = NetworkSpec(4, 2, (), (), (Output(0, 0, 4, 0, 2, 0, 8),))


def relu(layer: int, lo: int, hi: int, width: int) -> DenseRelu:
    return DenseRelu(layer, lo, hi, width, 0, 8, 8)


def test_sound_networks_pass() -> None:
    for spec in (LINEAR, TWO_LAYERS, replace(LINEAR, components=(1, 0))):
        check_spec(spec, LIMITS)


@pytest.mark.fault(id=27)
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"inputs": 0}, DimensionOutOfRange),
        ({"inputs": 2**16 + 1}, DimensionOutOfRange),
        ({"classes": 0}, DimensionOutOfRange),
        ({"classes": 1025}, DimensionOutOfRange),
        ({"components": (0, 1) * 2049}, DimensionOutOfRange),
        ({"outputs": ()}, DimensionOutOfRange),
        ({"hidden": (relu(0, 0, 4, 1),)}, DimensionOutOfRange),
        ({"hidden": (relu(17, 0, 4, 1),)}, DimensionOutOfRange),
        ({"hidden": (relu(1, 2, 2, 1),)}, DimensionOutOfRange),
        ({"hidden": (relu(1, 0, 4, 0),)}, DimensionOutOfRange),
        ({"hidden": (relu(1, 0, 1, 2**16 + 1),)}, DimensionOutOfRange),
        ({"hidden": (replace(relu(1, 0, 4, 1), bits=17),)}, QuantizationOutOfRange),
        ({"outputs": (Output(0, 0, 4, 0, 2, 40, 8),)}, QuantizationOutOfRange),
        ({"hidden": (relu(1, 0, 5, 1),)}, ShapeMismatch),
        ({"hidden": (relu(2, 0, 1, 1),)}, ShapeMismatch),
        ({"hidden": (relu(2, 0, 1, 1), relu(1, 0, 4, 1))}, ShapeMismatch),
        ({"hidden": (relu(1, 0, 4, 2), relu(2, 0, 3, 1), relu(1, 0, 4, 1))}, ShapeMismatch),
        ({"outputs": (Output(1, 0, 1, 0, 1, 0, 8),)}, ShapeMismatch),
        ({"outputs": (Output(0, 0, 5, 0, 1, 0, 8),)}, ShapeMismatch),
        ({"outputs": (Output(0, 0, 4, 1, 2, 0, 8),)}, ShapeMismatch),
        ({"components": (0, 1)}, ComponentsMismatch),
        ({"components": (0, 0)}, ComponentsMismatch),
        ({"components": (0, 1, 2)}, ComponentsMismatch),
        ({"hidden": (relu(1, 0, 4, 2**16), *[relu(2, 0, 2**16, 1000)])}, DimensionOutOfRange),
        ({"hidden": (relu(1, 0, 4, 20_000), relu(2, 0, 20_000, 1000))}, TooManyMacs),
    ],
)
def test_unsound_networks_are_refused(changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        check_spec(replace(LINEAR, **changes), LIMITS)


def test_limits_are_inclusive() -> None:
    spec = replace(LINEAR, hidden=(relu(1, 0, 4, 3), relu(2, 0, 3, 2)))
    exact = NetworkLimits(
        max_inputs=4,
        max_layers=2,
        max_segments=2,
        max_neurons=5,
        max_classes=2,
        max_components=2,
        max_macs_per_row=macs_per_row(spec),
    )
    check_spec(spec, exact)
    for field in ("max_inputs", "max_layers", "max_segments", "max_neurons", "max_classes", "max_components"):
        with pytest.raises(DimensionOutOfRange):
            check_spec(spec, replace(exact, **{field: getattr(exact, field) - 1}))
    with pytest.raises(TooManyMacs) as caught:
        check_spec(spec, replace(exact, max_macs_per_row=macs_per_row(spec) - 1))
    assert (caught.value.code, caught.value.got) == ("too_many_macs", macs_per_row(spec))


def test_a_segment_may_read_what_earlier_segments_of_its_list_made() -> None:
    hidden = (relu(1, 0, 4, 2), relu(2, 0, 2, 3), relu(1, 0, 4, 5), relu(2, 2, 7, 1))
    spec = replace(LINEAR, hidden=hidden, outputs=(Output(2, 3, 4, 0, 2, 0, 8),))
    check_spec(spec, LIMITS)
    assert layer_widths(spec) == (4, 7, 4)
    assert neurons(spec) == 11


def test_counts_of_the_sample() -> None:
    assert layer_widths(TWO_LAYERS) == (12, 10, 5)
    assert (component_count(TWO_LAYERS), component_classes(TWO_LAYERS)) == (4, (0, 1, 2, 1))
    assert parameter_shapes(TWO_LAYERS)[0] == ((12, 6), (6,))
    assert parameter_shapes(TWO_LAYERS)[5] == ((12, 1), (1,))
    products = 12 * 6 + 6 * 4 + 8 * 5 + 5 * 4 + 6 * 2 + 12 * 1
    columns = 6 + 4 + 5 + 4 + 2 + 1
    operands = 12 + 6 + 8 + 5 + 6 + 12
    segments = products + READ_MACS * operands + ACTIVATION_MACS * columns
    assert macs_per_row(TWO_LAYERS) == segments + COMPONENT_MACS * 4 + LOGIT_MACS * 3
    assert setup_macs(6, 6) == 8 * SEGMENT_MACS
    assert setup_macs(2, 6) == 4 * SEGMENT_MACS + 4 * JOINED_MACS


@pytest.mark.parametrize(
    ("inputs", "components", "rows"),
    [(4, 2, 1024), (784, 10, 1024), (2_000, 6, 1024), (2_001, 6, 1023), (65_536, 4_096, 21), (2**22, 1, 1)],
)
def test_wide_networks_run_fewer_rows_at_once(inputs: int, components: int, rows: int) -> None:
    assert chunk_rows(inputs, components) == rows
    calls = [call_macs(3, count, rows) // (3 * CALL_MACS) for count in (1, rows, rows + 1, 5 * rows)]
    assert calls == [1, 1, 2, 5]


def test_one_component_a_class_has_one_form() -> None:
    assert canonical_components(3, (0, 1, 2)) == ()
    assert canonical_components(3, (0, 2, 1)) == (0, 2, 1)
    assert canonical_components(3, (0, 1, 2, 2)) == (0, 1, 2, 2)
