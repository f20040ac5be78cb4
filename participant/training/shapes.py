"""The shapes of networks and growths that honest participants use: segments and wiring. No weights."""

from __future__ import annotations

from typing import Final

from engram.nn.growth import Growth, Policy
from engram.nn.layers import DenseRelu, DenseSquare, HiddenSegment, Output
from engram.nn.spec import NetworkSpec, component_classes, component_count, layer_widths

ACTIVATIONS: Final = {"relu": DenseRelu, "square": DenseSquare}
"""The kinds of hidden segments, by the names of their activations."""
SQUARE_BITS: Final = 7
"""`DenseSquare.h` in fresh networks: what is squared lies within ±2^h."""
ACTIVATION_BITS: Final = 8


def hidden_segment(
    kind: type[HiddenSegment], layer: int, fan_in: int, width: int, weight_bits: int
) -> HiddenSegment:
    """A dense segment that reads the first `fan_in` neurons of the layer below; its shift is fitted later."""
    if kind is DenseSquare:
        after = 2 * SQUARE_BITS - ACTIVATION_BITS
        return DenseSquare(layer, 0, fan_in, width, 0, SQUARE_BITS, after, ACTIVATION_BITS, weight_bits)
    return DenseRelu(layer, 0, fan_in, width, 0, ACTIVATION_BITS, weight_bits)


def growth_shape(spec: NetworkSpec, neurons: int, new_classes: int, reach: int | None) -> Growth:
    """A growth by new neurons in the first hidden layer and new classes; kind and bits are the network's.

    The new classes read the whole first hidden layer, old and new neurons alike; if it has no neurons, they
    read the inputs. New neurons also feed the old classes from `reach` on; None means that they feed no old
    class.
    """
    model = spec.hidden[0] if spec.hidden else None
    bits = spec.outputs[0].weight_bits
    kind = type(model) if model is not None else DenseRelu
    hidden = (hidden_segment(kind, 1, spec.inputs, neurons, bits),) if neurons else ()
    widths, columns = layer_widths(spec), component_count(spec)
    old = widths[1] if len(widths) > 1 else 0
    layer, whole = (1, old + neurons) if old + neurons else (0, spec.inputs)
    outputs = [Output(layer, 0, whole, columns, new_classes, 0, bits)] if new_classes else []
    if reach is not None and neurons and (first := _first_component(spec, reach)) < columns:
        outputs.append(Output(1, old, old + neurons, first, columns - first, 0, bits))
    components = tuple(range(spec.classes, spec.classes + new_classes)) if spec.components else ()
    return Growth(new_classes, hidden, tuple(outputs), components)


def reached_classes(policy: Policy, new_classes: int, before_growth: int) -> int | None:
    """The first old class that new neurons may feed under a model's policy, or None if there is none.

    `before_growth` is the model's `classes_before_growth`.
    """
    if policy == Policy.GATED:
        return 0
    return None if new_classes else before_growth


def _first_component(spec: NetworkSpec, reach: int) -> int:
    """The lowest number from which on all components belong to classes from `reach` on."""
    classes = component_classes(spec)
    first = len(classes)
    while first and classes[first - 1] >= reach:
        first -= 1
    return first
