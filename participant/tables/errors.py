"""Errors of data files: what is wrong with the file, and what helps.

The first line of each docstring is the message that the user sees where the code gives no other.
"""

from __future__ import annotations

from engram.primitives.errors import InvalidInput, NotReady


class DatasetDamaged(InvalidInput):
    """The file is damaged or cut off: make or fetch it again."""


class DatasetEncrypted(InvalidInput):
    """The file is encrypted: decrypt it first."""


class DatasetTooLarge(InvalidInput):
    """The file holds more than Engram reads: divide it."""


class ObjectArray(InvalidInput):
    """The file holds Python objects, and loading these could run code: save plain numbers."""


class TextUnreadable(InvalidInput):
    """The file is not text in UTF-8: save it as CSV in UTF-8."""


class RowsRagged(InvalidInput):
    """The rows of the file differ in length."""


class ValueNotNumber(InvalidInput):
    """A feature is no number: name the label column with --label, leave other columns out with --drop."""


class ColumnNotFound(InvalidInput):
    """The file has no such column."""


class LabelsMissing(InvalidInput):
    """The file holds no labels."""


class ValuesMissing(InvalidInput):
    """The file lacks values: `engram data convert --missing` says what to do with such rows."""


class PicturesDiffer(InvalidInput):
    """The pictures are of different sizes: --size makes all of them alike."""


class ChannelsUnclear(InvalidInput):
    """The shape of the pictures does not show where their channels are: `engram data convert --channels`."""


class LabelUnknown(InvalidInput):
    """The file has labels that the mapping does not know."""


class MappingInvalid(InvalidInput):
    """The file is no mapping that `engram data convert` has written."""


class MappingMismatch(InvalidInput):
    """The file has other columns than the mapping was made for."""


class DataDoubtful(InvalidInput):
    """The rows look wrong, and nobody has said that they are meant: say --yes."""


class ReaderMissing(NotReady):
    """A library that reads this format is not installed."""
