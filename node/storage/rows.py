"""Reads what rows of the database and records of the block files hold; damage is always `CorruptStore`."""

from __future__ import annotations

from typing import TypeVar

import google_crc32c

from engram.consensus.block import Block, BlockHeader
from engram.node.errors import CorruptStore
from engram.node.storage.blockfiles import MAX_RECORD_BYTES
from engram.node.storage.blocklog import BlockLog
from engram.node.storage.schema import BlockLocation, Tip
from engram.primitives.codec import decode
from engram.primitives.errors import CodecError
from engram.primitives.packing import unpack

T = TypeVar("T")


def read_block(files: BlockLog, location: BlockLocation, header: BlockHeader) -> Block:
    """The block at a location. Raises `CorruptStore` if the record is damaged or holds another block."""
    block = decoded(Block, unpacked(files.read(location), "block record"), "block record")
    if block.header != header:
        raise CorruptStore("the block files hold another block than the index says", got=f"{location}")
    return block


def unpacked(packed: bytes, what: str) -> bytes:
    """The plain bytes of a packed value of this store. Raises `CorruptStore` if it is not one."""
    try:
        return unpack(packed, MAX_RECORD_BYTES)
    except CodecError as error:
        raise CorruptStore(got=f"a {what} that cannot be unpacked: {error}") from error


def opened_tip(raw: bytes) -> Tip:
    """The tip record of these bytes. Raises `CorruptStore` if its checksum is wrong."""
    body, checksum = raw[:-4], raw[-4:]
    if google_crc32c.value(body).to_bytes(4, "big") != checksum:
        raise CorruptStore(got="a tip record with a wrong checksum")
    return decoded(Tip, body, "tip record")


def decoded(cls: type[T], raw: bytes, what: str) -> T:
    """What a row holds. Raises `CorruptStore`, which names it as `what`, if it cannot be read."""
    try:
        return decode(cls, raw)
    except CodecError as error:
        raise CorruptStore(got=f"a {what} that cannot be read: {error}") from error
