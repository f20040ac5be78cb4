"""What the files with records share: the `Record` protocol, parts of keys, and lineages. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from engram.nn.seeded import Seeded
from engram.nn.tensor import Explicit
from engram.primitives.types import U32, Address

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


@dataclass(frozen=True)
class Lineage:
    """Where a segment comes from: its tensors, and the version and author that brought them."""

    weights: TensorSource
    bias: TensorSource
    version: U32
    author: Address
