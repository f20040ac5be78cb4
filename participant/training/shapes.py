"""The shapes of networks and growths that honest participants use: their segments and how they are wired.

The chain allows more shapes than these. No weights and no data stand here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engram.nn.growth import Growth, Policy
from engram.nn.layers import DenseRelu, DenseSquare, HiddenSegment, Output
from engram.nn.logits import GATE
from engram.nn.spec import NetworkSpec, component_classes, component_count, layer_widths

ACTIVATIONS: Final = {"relu": DenseRelu, "square": DenseSquare}
"""The kinds of hidden segments by the name of their activation."""
SQUARE_BITS: Final = 7
"""h of a fresh square activation: the value that is squared lies within ±2^h."""
ACTIVATION_BITS: Final = 8
"""Bits of a fresh activation."""


def hidden_segment(
    kind: type[HiddenSegment], layer: int, fan_in: int, width: int, weight_bits: int
) -> HiddenSegment:
    """A dense segment that reads the first `fan_in` neurons of the layer below. Its shift is fitted later."""
    if kind is DenseSquare:
        after = 2 * SQUARE_BITS - ACTIVATION_BITS
        return DenseSquare(layer, 0, fan_in, width, 0, SQUARE_BITS, after, ACTIVATION_BITS, weight_bits)
    return DenseRelu(layer, 0, fan_in, width, 0, ACTIVATION_BITS, weight_bits)


@dataclass(frozen=True)
class Reach:
    """What a model lets a growth do to old classes."""

    policy: Policy = Policy.STRICT
    before_growth: int = 0
    """The model's `classes_before_growth`."""

    def fed(self, new_classes: int) -> int | None:
        """The first old class whose components new neurons may feed; None if they may feed none.

        Under GATED they may feed every class. Under STRICT a growth by new classes may feed no old class; a
        growth without new classes may feed those that the last growth by classes has added. Under RELATIVE no
        growth feeds an old class.
        """
        if self.policy is Policy.GATED:
            return 0
        return None if new_classes or self.policy is Policy.RELATIVE else self.before_growth


def growth_shape(spec: NetworkSpec, neurons: int, new_classes: int, reach: Reach) -> Growth:
    """A growth with new neurons in the first hidden layer and with new classes.

    Activation and bits are those of the network. What is new reads all neurons of that layer, old and new;
    without any neurons in it, it reads the inputs. The new neurons also feed the old classes that `reach`
    allows. Under RELATIVE the new classes bring a gate.
    """
    model = spec.hidden[0] if spec.hidden else None
    bits = spec.outputs[0].weight_bits
    kind = type(model) if model is not None else DenseRelu
    hidden = (hidden_segment(kind, 1, spec.inputs, neurons, bits),) if neurons else ()
    widths, columns = layer_widths(spec), component_count(spec)
    old = widths[1] if len(widths) > 1 else 0
    layer, whole = (1, old + neurons) if old + neurons else (0, spec.inputs)
    added = tuple(range(spec.classes, spec.classes + new_classes))
    if reach.policy is Policy.RELATIVE:
        added = (GATE, *added)
    outputs = [Output(layer, 0, whole, columns, len(added), 0, bits)] if added else []
    fed = reach.fed(new_classes)
    if fed is not None and neurons and (first := _first_component(spec, fed)) < columns:
        outputs.append(Output(1, old, old + neurons, first, columns - first, 0, bits))
    implied = not spec.components and added == tuple(range(spec.classes, spec.classes + new_classes))
    return Growth(new_classes, hidden, tuple(outputs), () if implied else added)


def _first_component(spec: NetworkSpec, reach: int) -> int:
    """The first component from which on all components belong to classes from `reach` on."""
    classes = component_classes(spec)
    first = len(classes)
    while first and classes[first - 1] >= reach:
        first -= 1
    return first
