"""Thyroid records: their diagnosis groups and their owners.

The table has 9,172 records of the Garvan Institute, Sydney (Ross Quinlan 1987; UCI Machine Learning
Repository, "Thyroid Disease", CC BY 4.0). A record has a referral source, 28 attributes and a diagnosis: "-",
or letters of the original coding. Records with several letters, or with a letter outside of the groups, are
left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

GROUPS: Final = (
    ("no condition", "-"),
    ("hypothyroid", "EFGH"),
    ("hyperthyroid", "ABCD"),
    ("binding protein", "IJ"),
    ("other illness", "K"),
    ("replacement therapy", "LMN"),
    ("discordant results", "R"),
)
"""The classes, in the order in which they arrive, and the letters of each."""
FIRST_CLASSES: Final = 2
"""The classes with which the model is founded; each later one arrives by itself."""
OWNERS: Final = ("other", "SVI", "SVHC", "STMW", "SVHD", "WEST")
"""The referral sources, from the one with the most records to the one with three."""
MEASURED: Final = ("age", "TSH", "T3", "TT4", "T4U", "FTI", "TBG")
"""The numeric attributes."""

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Records:
    """Records that belong to one of the groups."""

    measured: Mapping[str, Floats]
    """(n,) for each numeric attribute; NaN where it is missing."""
    flags: Bytes
    """(n, flags): 1 where an attribute of yes and no is yes; the last two: the sex is female, is unknown."""
    labels: npt.NDArray[np.uint16]
    """(n,): numbers of `GROUPS`."""
    owners: npt.NDArray[np.int64]
    """(n,): numbers of `OWNERS`."""
    left_out: int
    """Records of no group, or of several."""

    @property
    def rows(self) -> int:
        return len(self.labels)


def parse(every: Sequence[Mapping[str, str]]) -> Records:
    """The records of a group, in the order of the table, of whose lines each maps names to texts."""
    group_of = {letter: number for number, (_, letters) in enumerate(GROUPS) for letter in letters}
    kept = [line for line in every if line["target"] in group_of]
    answers = [name for name in every[0] if {line[name] for line in every} <= {"t", "f"}]
    columns = [[line[name] == "t" for line in kept] for name in answers]
    columns += [[line["sex"] == sex for line in kept] for sex in ("F", "")]
    return Records(
        MappingProxyType({name: _numbers([line[name] for line in kept]) for name in MEASURED}),
        np.array(columns, dtype=np.uint8).T,
        np.array([group_of[line["target"]] for line in kept], dtype=np.uint16),
        np.array([OWNERS.index(line["referral_source"]) for line in kept]),
        len(every) - len(kept),
    )


def _numbers(cells: Sequence[str]) -> Floats:
    return np.array([float(cell) if cell else np.nan for cell in cells])
