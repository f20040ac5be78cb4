"""What the files with records share: the `Record` protocol, and parts of keys. Data only."""

from __future__ import annotations

from typing import ClassVar, Protocol

from engram.nn.seeded import Seeded
from engram.nn.tensor import Explicit

TensorSource = Explicit | Seeded


class Record(Protocol):
    """What the state stores: a dataclass that can be encoded, with its kind and key."""

    KIND: ClassVar[int]

    @property
    def key(self) -> bytes: ...


def u32(value: int) -> bytes:
    """Big-endian key part, so that keys sort as numbers."""
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    """Big-endian key part, so that keys sort as numbers."""
    return value.to_bytes(8, "big")
