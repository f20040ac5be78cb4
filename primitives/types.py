"""Bounded integers, sized bytes and text: the vocabulary of field annotations. No behaviour, no encoding.

A field's annotation is its rule: the codec reads `Range` and `Size` and refuses every value outside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of an integer field, both inclusive."""

    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class Size:
    """Bounds of a length, both inclusive: bytes of a bytes field, UTF-8 bytes of a text, items of a tuple."""

    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class Trailing:
    """Marks a field, one of the last of its class, that stands in an encoding only if it has to.

    It is left out if it and all fields after it have their defaults. So a field can be added to a class that
    is in use already: what was written before keeps its bytes and its hash, and reads as it did.
    """


U8 = Annotated[int, Range(0, 2**8 - 1)]
U16 = Annotated[int, Range(0, 2**16 - 1)]
U32 = Annotated[int, Range(0, 2**32 - 1)]
U64 = Annotated[int, Range(0, 2**64 - 1)]
I8 = Annotated[int, Range(-(2**7), 2**7 - 1)]
I64 = Annotated[int, Range(-(2**63), 2**63 - 1)]

Hash = Annotated[bytes, Size(32, 32)]
Address = Annotated[bytes, Size(20, 20)]
PublicKey = Annotated[bytes, Size(32, 32)]
Signature = Annotated[bytes, Size(64, 64)]
Blob = Annotated[bytes, Size(0, 2**26)]
Text = Annotated[str, Size(0, 64)]

ZERO_HASH: Final = bytes(32)
"""Root of an empty tree, parent of the genesis block."""
