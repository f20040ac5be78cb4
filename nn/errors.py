"""Leaves of `InvalidNetwork`: what a network, its parameters, growth or data can violate. No logic."""

from __future__ import annotations

from engram.primitives.errors import InvalidNetwork


class ShapeMismatch(InvalidNetwork):
    """Shapes that must agree do not: an interval, an array, a part or a donor does not fit."""


class DimensionOutOfRange(InvalidNetwork):
    """A count or size is zero or beyond its limit."""


class TooManyMacs(InvalidNetwork):
    """One row of the network costs more multiply-accumulates than the limit."""


class QuantizationOutOfRange(InvalidNetwork):
    """A shift or a bit width is not one that the layer defines."""


class ComponentsMismatch(InvalidNetwork):
    """The components do not name every class, or name them in a second form of the same list."""


class WeightOutOfRange(InvalidNetwork):
    """A weight or bias lies outside its symmetric range."""


class BoundViolated(InvalidNetwork):
    """Some input could drive an intermediate value outside 32 bits."""


class BadTensor(InvalidNetwork):
    """The bytes are not the canonical form of a tensor."""


class UnknownGenerator(InvalidNetwork):
    """No generator of seeded tensors has this number."""


class BadSeededTensor(InvalidNetwork):
    """The generator cannot make a tensor of this type, shape or arguments."""


class LabelOutOfRange(InvalidNetwork):
    """A label is not below the number of classes."""


class BadPart(InvalidNetwork):
    """The bytes are not the canonical form of a data part."""


class GrowthEmpty(InvalidNetwork):
    """The growth adds nothing that reaches a logit."""


class GrowthOverlap(InvalidNetwork):
    """An output segment of the growth writes where frozen neurons meet old components."""


class GrowthRepeatsClass(InvalidNetwork):
    """The growth teaches a class that the network already has, or one class twice."""


class GrowthReadsForward(InvalidNetwork):
    """A segment reads neurons that are made only after it."""


class PolicyViolated(InvalidNetwork):
    """The model's growth policy forbids new neurons to reach these old components."""
