"""One plain and one largest instance of every wire message, by name."""

import hashlib
from dataclasses import replace

from engram.p2p.addressmessages import (
    HOST_BYTES,
    MAX_ADDRESSES,
    MAX_ANNOUNCED_ADDRESSES,
    MAX_HOURS,
    Addresses,
    AnnounceAddresses,
    GetAddresses,
    NodeAddress,
)
from engram.p2p.blockmessages import (
    MAX_BLOCK_BYTES,
    MAX_BLOCKS,
    MAX_COMPACT,
    MAX_HEADER_BYTES,
    BlockOutline,
    Blocks,
    GetBlocks,
    GetOutline,
    Outline,
)
from engram.p2p.contentmessages import (
    MAX_CONTENT_BYTES,
    PIECE_BYTES,
    Content,
    ContentPart,
    GetContent,
    GetHoldings,
    Holdings,
)
from engram.p2p.messages import (
    COMPACT_KEY_BYTES,
    MAX_ANNOUNCED_BLOCKS,
    MAX_ANNOUNCED_TRANSACTIONS,
    MAX_FETCH,
    MAX_HEADERS,
    MAX_LOCATOR,
    MAX_PREFILLED,
    MAX_PREFILLED_BYTES,
    MAX_TRANSACTION_BYTES,
    SHORT_ID_BYTES,
    TRANSACTIONS_REPLY_BYTES,
    Announce,
    Auth,
    BlockData,
    BlockTransactions,
    BoundAuth,
    CompactBlock,
    CompactForm,
    Disconnect,
    GetBlock,
    GetBlockTransactions,
    GetCompact,
    GetHeaders,
    GetTime,
    GetTransactions,
    Headers,
    Hello,
    Message,
    Ping,
    Pong,
    Time,
    Transactions,
)
from engram.primitives.packing import PACKING_BYTES, pack

U16, U32, U64 = 2**16 - 1, 2**32 - 1, 2**64 - 1


def some_hash(number: int) -> bytes:
    return hashlib.sha256(b"p2p sample %d" % number).digest()


HELLO = Hello(
    version=1,
    chain_id=7,
    genesis=some_hash(0),
    node_key=some_hash(1),
    nonce=some_hash(2),
    height=300,
    head=some_hash(3),
    total_work=(2**40).to_bytes(32, "big"),
    agent="engram/0.1",
)
HELLO_OF_GENESIS = replace(HELLO, chain_id=0, height=0, head=some_hash(0), total_work=bytes(32), agent="")

DEFLATED_BLOCK = bytes.fromhex(
    "010000051478014bcd4bce4f494d5148cac94fce4e1de58c86c1683a18cd0b23bb3c0000ebb7f2e4"
)
"""`encoded block`, a hundred times. Another zlib may deflate it to other bytes."""
DEFLATED_TRANSACTION = bytes.fromhex(
    "010000076c78014bcd4bce4f494d5128294acc2b4e4c2ec9cccf4b1d151a0d89d134319a15460b85d1b270b456a05efd0800a8c1f7"
    "7f"
)

MAPPED_HOST = bytes(10) + b"\xff\xff" + bytes([8, 8, 4, 4])
V6_HOST = bytes.fromhex("2001486048600000000000000000 8844".replace(" ", ""))

SAMPLES: dict[str, Message] = {
    "hello": HELLO,
    "hello of genesis": HELLO_OF_GENESIS,
    "auth": Auth(some_hash(4) + some_hash(5)),
    "bound auth": BoundAuth(some_hash(6), some_hash(4) + some_hash(5)),
    "bound auth, plain": BoundAuth(None, some_hash(4) + some_hash(5)),
    "disconnect": Disconnect(1),
    "ping": Ping(1),
    "pong": Pong(70_000),
    "get_time": GetTime(1),
    "time": Time(70_000, 1_800_000_000_000),
    "get_headers": GetHeaders(2, (some_hash(6), some_hash(0)), 2_000),
    "headers": Headers(2, (b"header one", b"header two")),
    "no headers": Headers(3, ()),
    "get_block": GetBlock(4, some_hash(7)),
    "block": BlockData(4, pack(b"encoded block")),
    "deflated block": BlockData(4, DEFLATED_BLOCK),
    "no block": BlockData(5, None),
    "get_blocks": GetBlocks(14, (some_hash(7), some_hash(13))),
    "blocks": Blocks(14, (pack(b"encoded block"), None)),
    "get_outline": GetOutline(15, some_hash(7)),
    "outline": Outline(15, BlockOutline(b"header", some_hash(9) + some_hash(10), (200, 262_400))),
    "no outline": Outline(16, None),
    "get_transactions": GetTransactions(6, (some_hash(8), some_hash(9))),
    "transactions": Transactions(6, (pack(b"encoded transaction"), None)),
    "deflated transaction": Transactions(6, (DEFLATED_TRANSACTION,)),
    "get_compact": GetCompact(7, some_hash(7)),
    "compact block": CompactBlock(
        7,
        CompactForm(
            b"encoded header",
            some_hash(10)[:COMPACT_KEY_BYTES],
            some_hash(11)[: 3 * SHORT_ID_BYTES],
            (0, 2),
            pack(b"encoded transactions"),
        ),
    ),
    "no compact block": CompactBlock(8, None),
    "get_block_transactions": GetBlockTransactions(9, some_hash(7), (1, 300)),
    "block_transactions": BlockTransactions(9, pack(b"encoded transactions")),
    "no block_transactions": BlockTransactions(10, None),
    "get_content": GetContent(11, some_hash(12), 2),
    "content": Content(11, ContentPart(600_000, b"the last piece")),
    "no content": Content(12, None),
    "get_holdings": GetHoldings(13),
    "holdings": Holdings(13, 400, archive=False),
    "announce": Announce((some_hash(7),), (some_hash(8), some_hash(9))),
    "announce nothing": Announce((), ()),
    "get_addresses": GetAddresses(11),
    "addresses": Addresses(
        11, MAPPED_HOST, (NodeAddress(MAPPED_HOST, 8646, 0), NodeAddress(V6_HOST, 1, 720))
    ),
    "no addresses": Addresses(12, None, ()),
    "announce_addresses": AnnounceAddresses((NodeAddress(V6_HOST, 65_535, 3),)),
}

_HASH = b"\xff" * 32
_ADDRESS = NodeAddress(_HASH[:HOST_BYTES], U16, MAX_HOURS)
_FULL_REPLY = (
    *(b"\xff" * (TRANSACTIONS_REPLY_BYTES // (MAX_FETCH - 1)) for _ in range(MAX_FETCH - 1)),
    b"\xff" * (MAX_TRANSACTION_BYTES + PACKING_BYTES),
)
LARGEST: tuple[Message, ...] = (
    Hello(U16, U64, _HASH, _HASH, _HASH, U64, _HASH, _HASH, "x" * 64),
    Auth(b"\xff" * 64),
    BoundAuth(_HASH, b"\xff" * 64),
    Disconnect(U16),
    Ping(U32),
    Pong(U32),
    GetTime(U32),
    Time(U32, U64),
    GetHeaders(U32, (_HASH,) * MAX_LOCATOR, MAX_HEADERS),
    Headers(U32, (b"\xff" * MAX_HEADER_BYTES,) * MAX_HEADERS),
    GetBlock(U32, _HASH),
    BlockData(U32, b"\xff" * (MAX_BLOCK_BYTES + PACKING_BYTES)),
    GetBlocks(U32, (_HASH,) * MAX_BLOCKS),
    Blocks(U32, (b"\xff" * (MAX_BLOCK_BYTES + PACKING_BYTES), *(None,) * (MAX_BLOCKS - 1))),
    GetOutline(U32, _HASH),
    Outline(
        U32, BlockOutline(b"\xff" * MAX_HEADER_BYTES, b"\xff" * (32 * MAX_COMPACT), (U32,) * MAX_COMPACT)
    ),
    GetTransactions(U32, (_HASH,) * MAX_FETCH),
    Transactions(U32, _FULL_REPLY),
    GetCompact(U32, _HASH),
    CompactBlock(
        U32,
        CompactForm(
            b"\xff" * MAX_HEADER_BYTES,
            b"\xff" * COMPACT_KEY_BYTES,
            b"\xff" * (SHORT_ID_BYTES * MAX_COMPACT),
            (MAX_COMPACT - 1,) * MAX_PREFILLED,
            b"\xff" * (MAX_PREFILLED_BYTES + PACKING_BYTES),
        ),
    ),
    GetBlockTransactions(U32, _HASH, (MAX_COMPACT - 1,) * MAX_COMPACT),
    BlockTransactions(U32, b"\xff" * (MAX_BLOCK_BYTES + PACKING_BYTES)),
    GetContent(U32, _HASH, MAX_CONTENT_BYTES // PIECE_BYTES - 1),
    Content(U32, ContentPart(MAX_CONTENT_BYTES, b"\xff" * PIECE_BYTES)),
    GetHoldings(U32),
    Holdings(U32, U64, archive=True),
    Announce((_HASH,) * MAX_ANNOUNCED_BLOCKS, (_HASH,) * MAX_ANNOUNCED_TRANSACTIONS),
    GetAddresses(U32),
    Addresses(U32, _HASH[:HOST_BYTES], (_ADDRESS,) * MAX_ADDRESSES),
    AnnounceAddresses((_ADDRESS,) * MAX_ANNOUNCED_ADDRESSES),
)
"""An honest node's largest `Transactions` is full, and holds one transaction more."""
