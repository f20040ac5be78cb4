"""The classes of a fast memory: free labels, their names, and which classes of the chain they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engram.participant.errors import DatasetLabelOutOfRange
from engram.participant.memory.checks import Labels
from engram.participant.memory.errors import ClassNameInvalid, FeatureCountMismatch

MAX_LABEL: Final = 2**16 - 1
MAX_NAME_BYTES: Final = 64


@dataclass(frozen=True)
class ClassEntry:
    """What is known of a class beside its examples."""

    name: str = ""
    chain_class: int | None = None
    """The class of the chain's model that this is, if it is one."""


def check_label(label: int) -> int:
    """The label. Raises `DatasetLabelOutOfRange` unless it is a whole number from 0 to MAX_LABEL."""
    if type(label) is not int or not 0 <= label <= MAX_LABEL:
        raise DatasetLabelOutOfRange(expected=f"0..{MAX_LABEL}", got=label)
    return label


def check_entry(entry: ClassEntry) -> ClassEntry:
    """The entry. Raises `ClassNameInvalid` for a name that is too long or holds what cannot be shown."""
    size = len(entry.name.encode("utf-8", "surrogatepass"))
    if size > MAX_NAME_BYTES or not (entry.name.isprintable() and entry.name == entry.name.strip()):
        raise ClassNameInvalid(expected=f"0 to {MAX_NAME_BYTES} bytes that can be shown", got=entry.name)
    if entry.chain_class is not None:
        check_label(entry.chain_class)
    return entry


def check_free_labels(labels: npt.NDArray[Any], rows: int) -> Labels:
    """The labels as uint16, if there is one for each row and that changes no value.

    Raises `FeatureCountMismatch`, and `DatasetLabelOutOfRange` for NaN, fractions, other types, and numbers
    outside 0..MAX_LABEL.
    """
    if labels.shape != (rows,):
        raise FeatureCountMismatch("there must be one label for each row", expected=(rows,), got=labels.shape)
    if labels.dtype.kind not in "uif" or not bool(np.all(np.isfinite(labels))):
        raise DatasetLabelOutOfRange(expected=f"0..{MAX_LABEL}", got=str(labels.dtype))
    if bool(np.any((labels < 0) | (labels > MAX_LABEL) | (labels != np.floor(labels)))):
        raise DatasetLabelOutOfRange(expected=f"0..{MAX_LABEL}", got=(labels.min(), labels.max()))
    return labels.astype(np.uint16)
