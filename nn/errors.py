"""The errors of `nn`: rules that a network, its parameters, a growth, a tensor or a data part can break."""

from __future__ import annotations

from engram.primitives.errors import InvalidNetwork


class ShapeMismatch(InvalidNetwork):
    """Two shapes that must agree differ: of an interval, an array, a data part or an adopted network."""


class DimensionOutOfRange(InvalidNetwork):
    """A count or a size is below its minimum or above its limit."""


class IntervalsUnordered(InvalidNetwork):
    """The intervals that a segment reads overlap, touch, or do not stand in the required order."""


class TooManyMacs(InvalidNetwork):
    """Evaluating one row of the network costs more multiply-accumulates than the chain allows."""


class QuantizationOutOfRange(InvalidNetwork):
    """The layer does not allow this shift or this number of bits."""


class ComponentsMismatch(InvalidNetwork):
    """The component list omits a class, names one that does not exist, or is not in its canonical form."""


class WeightOutOfRange(InvalidNetwork):
    """A weight or a bias lies outside its symmetric range, such as -127 to 127."""


class BoundViolated(InvalidNetwork):
    """With these weights, an intermediate value could need more than 32 bits for some input."""


class BadTensor(InvalidNetwork):
    """The bytes are not the canonical form of a tensor."""


class UnknownGenerator(InvalidNetwork):
    """No generator of seeded tensors has this number."""


class BadSeededTensor(InvalidNetwork):
    """The generator cannot make a tensor of this type, shape or arguments."""


class LabelOutOfRange(InvalidNetwork):
    """A label is not below the number of classes."""


class BadPart(InvalidNetwork):
    """The data part, its bytes or its salt do not have the canonical form."""


class GrowthEmpty(InvalidNetwork):
    """The growth adds no output segment, so nothing that it adds reaches a logit."""


class GrowthOverlap(InvalidNetwork):
    """An output segment of the growth connects frozen neurons or inputs with old components."""


class GrowthRepeatsClass(InvalidNetwork):
    """The growth teaches a class that the network already has, or teaches one class twice."""


class GrowthsDisagree(InvalidNetwork):
    """Two growths add other classes or components, so there is no union of them."""


class GateMisplaced(InvalidNetwork):
    """A gate component stands where none is allowed, or is missing where the growth policy requires one."""


class GrowthReadsForward(InvalidNetwork):
    """A segment reads neurons that only a later segment makes."""


class PolicyViolated(InvalidNetwork):
    """The model's growth policy does not let it feed or add components of this class."""
