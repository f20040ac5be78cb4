"""Where the channels of pictures lie in a row: before the lines, as PyTorch saves them, or in each pixel.

Rows keep the order of values that their file has. What is found here is reported, kept in the mapping, and
used to turn the rows of a later file that has the other order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from engram.participant.tables.errors import ChannelsUnclear
from engram.participant.tables.raw import Channels, RawTable, ReadOptions, Values

FIRST: Final = "first"
LAST: Final = "last"
AXES: Final = (FIRST, LAST)
_PICTURE_AXES: Final = 3


def channels_of(name: str, shape: Sequence[int], options: ReadOptions) -> Channels | None:
    """Where the channels are in rows of this shape, of the file `name`; None if rows have no three axes, or
    if either order would be the same.

    Unless the options say it, the axis of channels is that of the first and the last which is shorter than
    both other axes. Raises `ChannelsUnclear` if neither is.
    """
    if len(shape) != _PICTURE_AXES:
        return None
    first, middle, last = shape
    if 0 in shape or first * middle == 1 or middle * last == 1:
        return None
    if options.channels is not None:
        return Channels(options.channels, "asked")
    if first < min(middle, last):
        return Channels(FIRST, "guessed")
    if last < min(first, middle):
        return Channels(LAST, "guessed")
    raise ChannelsUnclear(
        f"{name} holds pictures of the shape {first} x {middle} x {last}, which does not show whether the "
        "channels are the first axis or the last: say it with `engram data convert --channels first` or "
        "`--channels last`",
        expected="one of the two axes shorter than both others",
        got=tuple(shape),
    )


def laid_out(table: RawTable, axis: str | None) -> Values:
    """The features of a table (rows, inputs) with the channels on an axis, `first` or `last`; None: as they
    are.

    Rows of which the table does not know where their channels are stay as they are.
    """
    if not _differs(table, axis):
        return table.features
    pictures = table.features.reshape(table.rows, *table.shape)
    turned = np.moveaxis(pictures, 1, 3) if axis == LAST else np.moveaxis(pictures, 3, 1)
    return np.ascontiguousarray(turned).reshape(table.rows, table.inputs)


def shape_laid_out(table: RawTable, axis: str | None) -> tuple[int, ...]:
    """The shape of a row of `laid_out`."""
    if not _differs(table, axis):
        return table.shape
    first, middle, last = table.shape
    return (middle, last, first) if axis == LAST else (last, first, middle)


def _differs(table: RawTable, axis: str | None) -> bool:
    return axis is not None and table.channels is not None and table.channels.axis != axis
