"""Which of the participant's own classes is which class of the chain, found from rows and not from names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

LEAST_AGREEMENT: Final = 0.6
"""The share of a class's rows that must be answered alike."""


def matched(
    given: npt.NDArray[Any],
    answered: npt.NDArray[Any],
    classes: Sequence[int],
    *,
    least: float = LEAST_AGREEMENT,
) -> dict[int, int]:
    """For each of `classes`, the answer that most of its rows get.

    `given` (n,) are the rows' own labels and `answered` (n,) what another memory says of the same rows. A
    class is left out if it has no row, or if its most frequent answer has less than the share `least` of its
    rows. If two classes get the same answer, both are left out: nobody can say which of them it is.
    """
    found: dict[int, int] = {}
    for each in classes:
        answers, counts = np.unique(answered[given == each], return_counts=True)
        if len(answers) and counts.max() >= least * counts.sum():
            found[each] = int(answers[np.argmax(counts)])
    taken = list(found.values())
    return {each: answer for each, answer in found.items() if taken.count(answer) == 1}
