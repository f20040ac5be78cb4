"""What can be wrong with rows, sums and settings that a participant's memory is given."""

from __future__ import annotations

from engram.primitives.errors import Invalid, InvalidInput, NotReady, StorageError


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


class MemoryFileInvalid(InvalidInput):
    """The file is not a memory that a model's founder has published."""


class BankMismatch(InvalidInput):
    """The statistics are those of other banks than the model has declared."""


class BankExhausted(InvalidInput):
    """The model has declared no bank of this number."""


class StatisticsForged(InvalidInput):
    """No rows have these sums."""


class StatisticsMalformed(InvalidInput):
    """The bytes are not a file of statistics."""


class StatisticsRepeated(InvalidInput):
    """The same sums or mixtures would be counted twice."""


class MixturesMalformed(InvalidInput):
    """The bytes are not a file of mixtures."""


class MixturesForged(InvalidInput):
    """No rows have these mixtures."""


class MemoryFolderInvalid(InvalidInput):
    """The folder is not the memory of a model."""


class FoundingMalformed(InvalidInput):
    """The bytes are not the network that a founder has learned."""


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


class IntervalUnknown(InvalidInput):
    """The network has no such neurons."""


class NothingLearned(NotReady):
    """The fast memory holds no example of these classes yet: give it some."""


class ClassNameInvalid(InvalidInput):
    """A class's name is up to 64 bytes of text that can be shown, without blanks around it."""


class FastMemoryTooSmall(InvalidInput):
    """The limits of the fast memory leave no room for a single example."""


class BatchTooLarge(InvalidInput):
    """So many examples cannot be written at once: give them in smaller batches."""


class FastMemoryKeyWrong(InvalidInput):
    """The fast memory was written with another private key."""


class FastMemoryMismatch(InvalidInput):
    """The fast memory on disk holds rows of another number of features than the network reads."""


class FastMemoryLocked(StorageError):
    """Another program uses this fast memory: end it first, or choose another folder."""


class FastMemoryDamaged(StorageError):
    """A file of the fast memory is damaged: restore the folder from a copy, or remove it and learn again."""


class FastMemoryBroken(StorageError):
    """A change of the fast memory was cut short: check the disk, then open the memory again."""


class NothingKnown(NotReady):
    """Neither memory knows a class yet: pull a version of the model, or give examples."""


class VersionUnknown(NotReady):
    """No version of the model has been pulled and verified yet."""


class ShorterChain(Invalid):
    """The node's chain has less work than the chain that was verified before: ask another node."""


class OlderVersion(Invalid):
    """The node proves an older version than was proven before on the same chain: ask another node."""


class TrustPointDamaged(StorageError):
    """The file with what was verified before is damaged: restore it, or remove it and trust a node anew."""


class TrustPointForeign(StorageError):
    """What was verified before is of another chain or another model: choose another folder."""
