"""The element types that arrays with canonical bytes may have: their codes in those bytes and numpy types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.integer[Any]]

INT8: Final = 1
INT16: Final = 2
INT32: Final = 3
UINT8: Final = 4
UINT16: Final = 5

DTYPES: Final[Mapping[int, np.dtype[Any]]] = {
    INT8: np.dtype("<i1"),
    INT16: np.dtype("<i2"),
    INT32: np.dtype("<i4"),
    UINT8: np.dtype("<u1"),
    UINT16: np.dtype("<u2"),
}
MAX_DIMENSIONS: Final = 4


def elements(shape: Sequence[int]) -> int:
    """The number of elements of a shape, as a Python integer, which cannot overflow."""
    count = 1
    for size in shape:
        count *= size
    return count
