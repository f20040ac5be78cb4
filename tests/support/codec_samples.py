"""Dataclasses that use every form of annotation the codec knows, and one value of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from engram.primitives.types import I64, U8, U16, U32, U64, Address, Blob, Hash, Signature, Size, Text


@dataclass(frozen=True)
class Pay:
    TAG: ClassVar[int] = 1

    recipient: Address
    amount: U64


@dataclass(frozen=True)
class Note:
    TAG: ClassVar[int] = 300

    text: Text
    blob: Blob


@dataclass(frozen=True, slots=True)
class Empty:
    TAG: ClassVar[int] = 7


@dataclass(frozen=True, slots=True)
class Envelope:
    """Shaped as a signed transaction is."""

    chain_id: Hash
    key: Hash
    nonce: U64
    fee: U64
    payload: Pay | Note | Empty
    signature: Signature


@dataclass(frozen=True, slots=True)
class Everything:
    flag: bool
    small: U8
    signed: I64
    text: Text
    blob: Blob
    maybe_number: U16 | None
    maybe_hash: Hash | None
    maybe_record: Pay | None
    maybe_member: Pay | Note | None
    member: Pay | Note | Empty
    record: Pay
    numbers: tuple[U32, ...]
    few: Annotated[tuple[U8, ...], Size(1, 3)]
    hashes: tuple[Hash, ...]
    records: tuple[Pay, ...]
    members: tuple[Pay | Empty, ...]
    holes: tuple[Pay | None, ...]
    pair: tuple[U8, Text]
    pairs: tuple[tuple[U16, bool], ...]
    rows: Annotated[tuple[Annotated[tuple[U8, ...], Size(0, 4)], ...], Size(0, 4)]
    maybe_rows: tuple[U8, ...] | None


PAY = Pay(bytes(range(20)), 2**64 - 1)
NOTE = Note("größer", b"\x00\xff")
ENVELOPE = Envelope(bytes(range(32)), b"\x11" * 32, 7, 1000, PAY, b"\x22" * 64)
EVERYTHING = Everything(
    flag=True,
    small=255,
    signed=-(2**63),
    text="ä" * 32,
    blob=b"x" * 300,
    maybe_number=None,
    maybe_hash=b"\x33" * 32,
    maybe_record=PAY,
    maybe_member=NOTE,
    member=Empty(),
    record=PAY,
    numbers=(0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1),
    few=(1, 2, 3),
    hashes=(bytes(32), b"\x01" * 32),
    records=(PAY, PAY),
    members=(PAY, Empty()),
    holes=(None, PAY, None),
    pair=(1, ""),
    pairs=((1, True), (2, False)),
    rows=((), (1,), (1, 2, 3, 4)),
    maybe_rows=(9,),
)
SAMPLES = (PAY, NOTE, Empty(), ENVELOPE, EVERYTHING)
