"""Errors of the daemon `engram learn`. The first line of each docstring is the message of the error."""

from __future__ import annotations

from engram.primitives.errors import Invalid, InvalidInput, NotReady, StorageError


class LearnStateDamaged(StorageError):
    """The file with the state of the consolidation is damaged: restore it from a copy, or remove it."""


class IllegalTransition(StorageError):
    """A consolidation cannot go from this state to that one."""


class LearnerMissing(NotReady):
    """No `engram learn` runs on this folder."""


class QueryInvalid(InvalidInput):
    """The request is not one that `engram learn` understands."""


class QueryTooLarge(InvalidInput):
    """So many rows cannot be asked about at once."""


class FeedInvalid(InvalidInput):
    """A fed file or line holds no labelled rows."""


class FeedFolderMissing(InvalidInput):
    """There is no folder to feed on."""


class IntakeDamaged(StorageError):
    """The journal of what was taken in is damaged: restore it from a copy."""


class ClassesForeign(Invalid):
    """The new classes are not those that this participant has learned."""


class RowsMissing(NotReady):
    """There are too few rows to open a round with."""


class GrowthWouldFail(NotReady):
    """A growth made from these rows would not be accepted."""


class LessonDamaged(StorageError):
    """The file that says what a growth has taught is damaged: the rows are kept, and are taught again."""


class DayBudgetSpent(NotReady):
    """What a day may cost is spent: it goes on when older costs are a day old."""
