"""The layout of every key of the database, and the small records behind the keys. Reads and writes nothing.

    h block id            encode(BlockHeader)
    b block id            encode(BlockLocation): where the body stands in the block files
    r block id            encode(BlockReceipts)
    d block id            encode(StateDiff): what the block changed, while the state before it is kept
    u block id            encode(StateDiff): what undoes the block's changes, once that state is pruned
    i block id            encode(IndexEntry): height, total work, verdict, order of execution
    n node hash           node of the state tree ‖ order (u32) of the block that wrote it last
    s height (u64), block id   parent's id, of a valid block beside the best chain
    g height (u64), block id   encode(Buried): a side block whose nodes are still to be deleted
    o content hash        id of the side block that alone has brought this content
    x content hash        tensor, data part or chunk, packed: see `primitives.packing`
    k kind, record key    empty: the key itself says that a block has written this record, see `recordindex`
    c height (u64)        id of the best chain's block at that height
    t transaction id      encode(TxLocation), for transactions of the best chain
    a address, !height (u64), !index (u32)   encode(AccountEntry): the last first, see `node.history`
    m "accounts"          encode(AccountIndexState); absent without that index
    m "identity"          encode(DatabaseIdentity): schema version, chain
    m "pruned"            encode(Pruned)
    m "tip"               encode(Tip) ‖ CRC32C (u32)
    p peer id             reserved for records of peers

Integers in keys are big-endian, so that keys sort as numbers. Whoever changes a layout must raise
`SCHEMA_VERSION`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Final

from engram.primitives.types import U8, U16, U32, U64, Hash, Size, Text
from engram.statemachine.receipt import Receipt

SCHEMA_VERSION: Final = 3

HEADER: Final = b"h"
BODY: Final = b"b"
RECEIPTS: Final = b"r"
DIFF: Final = b"d"
UNDO: Final = b"u"
INDEX: Final = b"i"
NODE: Final = b"n"
CONTENT: Final = b"x"
RECORD: Final = b"k"
CANONICAL: Final = b"c"
TRANSACTION: Final = b"t"
ACCOUNT: Final = b"a"
SIDE: Final = b"s"
BURIED: Final = b"g"
ONLY_SIDE: Final = b"o"
META: Final = b"m"
PEER: Final = b"p"

IDENTITY: Final = META + b"identity"
TIP: Final = META + b"tip"
PRUNED: Final = META + b"pruned"
ACCOUNTS: Final = META + b"accounts"

STAMP_BYTES: Final = 4


def canonical_key(height: int) -> bytes:
    """Key of the best chain's block id at `height`."""
    return CANONICAL + height.to_bytes(8, "big")


def stamp(order: int) -> bytes:
    """What stands behind a node that the block with this order wrote."""
    return order.to_bytes(STAMP_BYTES, "big")


class Verdict(IntEnum):
    """The result of judging a block."""

    VALID = 1
    INVALID = 2


@dataclass(frozen=True, order=True)
class Position:
    """A place in the block files; (0, 0) is the beginning, before any file exists."""

    file: U32
    offset: U64


@dataclass(frozen=True)
class BlockLocation:
    """Where a record stands in the block files."""

    file: U32
    offset: U64
    """Where the head of the record begins in its file."""
    size_bytes: U32
    """Length of the payload, without the head."""


@dataclass(frozen=True)
class IndexEntry:
    """What the node knows of a judged block besides its header and body."""

    height: U64
    total_work: Annotated[bytes, Size(1, 40)]
    """Work of this block and all its ancestors, big-endian; `work` is the same as a number."""
    verdict: U8
    code: Text = ""
    """Code of the rule that an invalid block breaks; empty if the block is valid."""
    order: U32 = 0
    """Which of all executed blocks this is, in the order in which they were executed; genesis is 0."""

    @property
    def work(self) -> int:
        """Total work as a number."""
        return int.from_bytes(self.total_work, "big")

    @property
    def is_valid(self) -> bool:
        return self.verdict == Verdict.VALID


def work_bytes(work: int) -> bytes:
    """Total work as an `IndexEntry` holds it: big-endian, without leading zeros."""
    return work.to_bytes(max(1, (work.bit_length() + 7) // 8), "big")


@dataclass(frozen=True)
class TxLocation:
    """In which block of the best chain a transaction stands, and at which place in it."""

    block: Hash
    index: U32


@dataclass(frozen=True)
class DatabaseIdentity:
    """Which chain a database holds, and in which layout."""

    schema_version: U32
    spec: Hash
    genesis: Hash


@dataclass(frozen=True)
class Tip:
    """The head of the best chain, and how far the database has taken in the block files.

    It is written in the batch of each block. At the next start, everything behind `files_end` is imported.
    """

    height: U64
    block: Hash
    state_root: Hash
    files_end: Position
    executed: U32
    """How many blocks above genesis were executed, on whatever branch: the order of the last of them."""


@dataclass(frozen=True)
class Pruned:
    """From which heights on the best chain's blocks have their states, what undoes them, and all else."""

    states: U64 = 0
    """The lowest height whose state is whole."""
    changes: U64 = 0
    """The lowest height whose state can be made again."""
    base: U64 = 0
    """The blocks up to this height came in a snapshot, as headers only; bodies are fetched later."""


@dataclass(frozen=True)
class Buried:
    """What is known of a side block whose rows were deleted."""

    state_root: Hash
    order: U32


@dataclass(frozen=True)
class DiffEntry:
    """A record that a block changed: its tree key, and its new encoding or None if it was deleted."""

    key: Hash
    value: Annotated[bytes, Size(0, 2**24)] | None


@dataclass(frozen=True)
class StateDiff:
    """Records by ascending key: those that a block changed as they are after it, or as they were before."""

    entries: Annotated[tuple[DiffEntry, ...], Size(0, 2**20)]


@dataclass(frozen=True)
class BlockReceipts:
    """The receipts of a block, in the order of its transactions."""

    receipts: Annotated[tuple[Receipt, ...], Size(0, 2**20)]


@dataclass(frozen=True)
class AccountEntry:
    """What a transaction, the mining of a block or genesis was to an account. Amounts are sparks."""

    roles: U16
    """`history.entries.AccountRole`, added up."""
    status: U8
    """`history.entries.Told`."""
    kind: U16
    """Transaction type; 0 for mining and for genesis."""
    nonce: U64
    fee: U64
    """What it was charged, if it was the sender."""
    sent: U64
    received: U64
    reward: U64
    """What it can claim once that has matured."""
    burned: U64
    """What it lost of a bond."""
    other: Annotated[bytes, Size(0, 20)]
    """The other account of a transfer; else empty."""
    txid: Annotated[bytes, Size(0, 32)]
    """Empty for mining and for genesis."""


@dataclass(frozen=True)
class AccountIndexState:
    """Which blocks the index of accounts holds: those above `below` up to `top`, which stands on it."""

    top: Hash
    below: Hash
