"""What can be wrong with a participant's own files, data and plans. Leafs only; families stand in
`primitives.errors`.
"""

from __future__ import annotations

from engram.primitives.errors import InvalidInput


class DatasetNotFound(InvalidInput):
    """There is no data set at this path."""

    code = "dataset_not_found"


class EmptyDataset(InvalidInput):
    """The data set holds no rows."""

    code = "empty_dataset"


class ForeignDataset(InvalidInput):
    """The file is not a data set that Engram can read."""

    code = "foreign_dataset"


class FeatureOutOfRange(InvalidInput):
    """A feature is not a whole number from 0 to 255."""

    code = "feature_out_of_range"


class DatasetLabelOutOfRange(InvalidInput):
    """A label is not a whole number from 0 to 65,535."""

    code = "dataset_label_out_of_range"


class ChecksumMismatch(InvalidInput):
    """A data file is not the published one: its SHA-256 differs."""

    code = "checksum_mismatch"


class NotEnoughRows(InvalidInput):
    """The data set has too few rows of some class for what is asked."""

    code = "not_enough_rows"
