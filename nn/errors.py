"""Leaves of `InvalidNetwork`: what a network, its parameters, growth or data can violate. No logic."""

from __future__ import annotations

from engram.primitives.errors import InvalidNetwork


class ShapeMismatch(InvalidNetwork):
    """Shapes that must agree do not: an interval, an array, a part or a donor does not fit."""

    code = "shape_mismatch"


class DimensionOutOfRange(InvalidNetwork):
    """A count or size is zero or beyond its limit."""

    code = "dimension_out_of_range"


class TooManyMacs(InvalidNetwork):
    """One row of the network costs more multiply-accumulates than the limit."""

    code = "too_many_macs"


class QuantizationOutOfRange(InvalidNetwork):
    """A shift or a bit width is not one that the layer defines."""

    code = "quantization_out_of_range"


class ComponentsMismatch(InvalidNetwork):
    """The components do not name every class, or name them in a second form of the same list."""

    code = "components_mismatch"


class WeightOutOfRange(InvalidNetwork):
    """A weight or bias lies outside its symmetric range."""

    code = "weight_out_of_range"


class BoundViolated(InvalidNetwork):
    """Some input could drive an intermediate value outside 32 bits."""

    code = "bound_violated"


class BadTensor(InvalidNetwork):
    """The bytes are not the canonical form of a tensor."""

    code = "bad_tensor"


class UnknownGenerator(InvalidNetwork):
    """No generator of seeded tensors has this number."""

    code = "unknown_generator"


class BadSeededTensor(InvalidNetwork):
    """The generator cannot make a tensor of this type, shape or arguments."""

    code = "bad_seeded_tensor"


class UnknownLoss(InvalidNetwork):
    """No loss function has this number."""

    code = "unknown_loss"


class LabelOutOfRange(InvalidNetwork):
    """A label is not below the number of classes."""

    code = "label_out_of_range"


class BadPart(InvalidNetwork):
    """The bytes are not the canonical form of a data part."""

    code = "bad_part"


class GrowthEmpty(InvalidNetwork):
    """The growth adds nothing that reaches a logit."""

    code = "growth_empty"


class GrowthOverlap(InvalidNetwork):
    """An output segment of the growth writes where frozen neurons meet old components."""

    code = "growth_overlap"


class GrowthRepeatsClass(InvalidNetwork):
    """The growth teaches a class that the network already has, or one class twice."""

    code = "growth_repeats_class"


class GrowthReadsForward(InvalidNetwork):
    """A segment reads neurons that are made only after it."""

    code = "growth_reads_forward"


class PolicyViolated(InvalidNetwork):
    """The model's growth policy forbids new neurons to reach these old components."""

    code = "policy_violated"
