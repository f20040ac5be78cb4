"""Tables of places that copies of a network in other tools look up: taps of kernels, members of entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.nn.layers.maps import padded, pixels_made, windows
from engram.nn.logits import Layout

Places = npt.NDArray[np.int64]


def taps(segment: Any, groups: int) -> Places:
    """For each group and tap of a kernel and each pixel that is made, the column of the value that is seen.

    (groups, taps, pixels). Columns count from 1, before which stands a column of zeros: what lies outside a
    map.
    """
    columns = np.arange(1, segment.fan_in + 1, dtype=np.int64)[None]
    seen = windows(segment, padded(segment, columns))[..., 0]
    found: Places = seen.reshape(groups, -1, pixels_made(segment))
    return found


def components_of_entries(layout: Layout) -> Places:
    """The components of each entry (entries, the most that one has); its first one fills a row up."""
    ends = [*layout.starts.tolist()[1:], len(layout.by_entry)]
    spans = zip(layout.starts.tolist(), ends, strict=True)
    return _filled([layout.by_entry[begin:end].tolist() for begin, end in spans], None)


def entries_of_stages(layout: Layout) -> Places:
    """The entries of each stage (stages, the most that one has); the number after the last fills a row up."""
    count = len(layout.starts)
    ends = [*layout.stages.tolist()[1:], count]
    spans = zip(layout.stages.tolist(), ends, strict=True)
    return _filled([list(range(begin, end)) for begin, end in spans], count)


def _filled(rows: Sequence[Sequence[int]], filler: int | None) -> Places:
    """Lists of different lengths as one matrix; None fills a row up with its first number."""
    longest = max(map(len, rows))
    full = [[*row, *[row[0] if filler is None else filler] * (longest - len(row))] for row in rows]
    return np.array(full, dtype=np.int64)
