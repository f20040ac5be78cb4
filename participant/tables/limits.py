"""What a file of rows may hold at most. The bounds hold for every format, and before memory is taken."""

from __future__ import annotations

from typing import Final

from engram.nn.spec import NetworkLimits
from engram.participant.tables.errors import DatasetTooLarge

FILE_BYTES: Final = 2**32
"""Most bytes that are read of a file, after it is unpacked."""
TABLE_BYTES: Final = 2**30
"""Most bytes that the values of a file take in memory."""
ROWS: Final = 2**24
INPUTS: Final = NetworkLimits().max_inputs
"""Most features of a row: no chain takes more."""
LABELS: Final = 2**16
"""Most different labels: on the chain, a label has 16 bits."""
LABEL_LETTERS: Final = 256
"""Most letters of a label's name."""


def check_labels(name: str, count: int) -> None:
    """Refuses a file with so many different labels. Raises `DatasetTooLarge`."""
    if count > LABELS:
        raise DatasetTooLarge(
            f"{name} has too many different labels: another column may hold them; name it with --label",
            expected=LABELS,
            got=count,
        )


def check_size(name: str, rows: int, inputs: int, item_bytes: int) -> None:
    """Refuses a table of so many rows, features and bytes of each value. Raises `DatasetTooLarge`."""
    if rows > ROWS:
        raise DatasetTooLarge(f"{name} has too many rows: divide it", expected=ROWS, got=rows)
    if inputs > INPUTS:
        raise DatasetTooLarge(
            f"{name} has too many values in a row: a model takes at most {INPUTS:,}; make pictures smaller",
            expected=INPUTS,
            got=inputs,
        )
    if (needed := rows * inputs * item_bytes) > TABLE_BYTES:
        raise DatasetTooLarge(
            f"{name} would take {needed:,} bytes of memory: divide it, or store its values in fewer bytes "
            "each",
            expected=TABLE_BYTES,
            got=needed,
        )
