"""What can be wrong with rows, sums and settings that a participant's memory is given."""

from __future__ import annotations

from engram.primitives.errors import InvalidInput


class FeaturesNotIntegers(InvalidInput):
    """Features are whole numbers from 0 to 255; NaN, infinities and fractions are not."""


class FeatureCountMismatch(InvalidInput):
    """The rows do not have the number of features that this memory reads."""


class UnknownLabels(InvalidInput):
    """A row has a label that is none of the classes to be learned."""


class ClassWithoutRows(InvalidInput):
    """A class that is to be learned has no row."""


class SingleClass(InvalidInput):
    """A scale of logits cannot be chosen from rows of one class: found with two, or state the scale."""


class ConstantFeatures(InvalidInput):
    """All rows are the same, so nothing can be learned from them."""


class FewerRowsThanComponents(InvalidInput):
    """A class has too few rows for the asked number of components and directions."""


class TooFewRowsToHide(InvalidInput):
    """The sums of so few rows of a class would give the rows away."""


class BankMismatch(InvalidInput):
    """The statistics are those of other banks than the model has declared."""


class BankExhausted(InvalidInput):
    """The model has declared no bank of this number."""


class StatisticsForged(InvalidInput):
    """No rows have these sums."""


class StatisticsMalformed(InvalidInput):
    """The bytes are not a file of statistics."""


class StatisticsRepeated(InvalidInput):
    """The same sums would be counted twice."""


class StatisticsMissing(InvalidInput):
    """The engine needs sums or mixtures of classes that were not handed over."""


class SumsOverflow(InvalidInput):
    """The sums of so many rows do not fit 64 bits."""


class GramSingular(InvalidInput):
    """The Gram matrix is not positive definite, and no ridge within the limit makes it so."""


class EngineUnknown(InvalidInput):
    """There is no engine of this name."""


class EnginePolicyMismatch(InvalidInput):
    """The engine makes growths of another policy than the model's."""


class LogitsOutOfRange(InvalidInput):
    """The head cannot be written in 16-bit weights and 32-bit sums at this scale."""
