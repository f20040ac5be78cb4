"""Every message on the wire, and the registry of their tags, size caps, rates and replies.

A frame is the tag byte and the canonical bytes of the message. Blocks, headers and transactions travel as
opaque bytes, blocks and transactions in the packed form of `primitives.packing`; the node that asked for them
unpacks and decodes them, outside its event loop.

A new message is a frozen dataclass, its line in `MESSAGES`, its member of `Message` and a golden vector; the
type checker then names every `match` that has to say what it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Final

from engram.p2p.addressmessages import Addresses, AnnounceAddresses, GetAddresses
from engram.p2p.blockmessages import (
    MAX_BLOCK_BYTES,
    MAX_COMPACT,
    Blocks,
    GetBlocks,
    GetOutline,
    HeaderBytes,
    Outline,
    PackedBlock,
    Place,
)
from engram.p2p.contentmessages import PIECE_BYTES, Content, GetContent, GetHoldings, Holdings
from engram.p2p.errors import FrameTooLarge, MalformedFrame, UnexpectedMessage, UnknownMessage
from engram.primitives.codec import decode, encode
from engram.primitives.errors import CodecError
from engram.primitives.packing import PACKING_BYTES
from engram.primitives.types import U16, U32, U64, Hash, PublicKey, Range, Signature, Size

PROTOCOL_VERSION: Final = 4
OLDEST_VERSION: Final = 1
"""The oldest version that this node still speaks."""
COMPACT_VERSION: Final = 2
"""The first version whose speakers know the messages of compact relay."""
TIME_VERSION: Final = 3
"""The first version whose speakers tell the time."""
BOUND_VERSION: Final = 3
"""The first version whose speakers sign what they saw of the connection."""
ADDRESS_VERSION: Final = 3
"""The first version whose speakers tell each other where nodes are."""

KIB: Final = 1024
MIB: Final = 1024 * KIB
HANDSHAKE_FRAME_BYTES: Final = 64 * KIB
"""The most bytes that a node reads from a connection whose handshake is not complete."""
MAX_TRANSACTION_BYTES: Final = MIB + KIB
TRANSACTIONS_REPLY_BYTES: Final = MIB
"""An answer to `GetTransactions` takes no further transaction once it holds this many plain bytes."""
MAX_REPLY_BYTES: Final = TRANSACTIONS_REPLY_BYTES + MAX_TRANSACTION_BYTES
"""The most plain bytes of the transactions in one answer."""
MAX_HEADERS: Final = 2_000
MAX_LOCATOR: Final = 64
MAX_FETCH: Final = 256
"""The most transactions in one `GetTransactions`."""
MAX_PREFILLED: Final = 256
MAX_PREFILLED_BYTES: Final = 64 * KIB
"""The most plain bytes of the transactions that come with the short ids."""
COMPACT_KEY_BYTES: Final = 16
SHORT_ID_BYTES: Final = 8
MAX_ANNOUNCED_BLOCKS: Final = 16
MAX_ANNOUNCED_TRANSACTIONS: Final = 1_024

RequestId = U32
PackedTransaction = Annotated[bytes, Size(1, MAX_TRANSACTION_BYTES + PACKING_BYTES)]
PackedBody = Annotated[bytes, Size(1, MAX_BLOCK_BYTES + PACKING_BYTES)]
"""Some transactions of a block, in its order: one array of them, packed."""
PackedPrefilled = Annotated[bytes, Size(1, MAX_PREFILLED_BYTES + PACKING_BYTES)]
Work = Annotated[bytes, Size(32, 32)]


@dataclass(frozen=True)
class Hello:
    """The first message of both sides: who the sender is, which chain it follows, and its head.

    Its form never changes, so that nodes of different versions can read each other's.
    """

    version: U16
    """The newest version of the peer protocol that the sender speaks."""
    chain_id: U64
    genesis: Hash
    node_key: PublicKey
    """Ed25519 key that signs the handshake. It is the node's identity and has nothing to do with accounts."""
    nonce: Hash
    """32 fresh random bytes."""
    height: U64
    head: Hash
    total_work: Work
    """Work of the chain up to `head`, big-endian."""
    agent: Annotated[str, Size(0, 64)]
    """Software and version, for people."""


@dataclass(frozen=True)
class Auth:
    """Proves that the sender of `Hello` holds its node key and means this peer and this session."""

    signature: Signature


@dataclass(frozen=True)
class BoundAuth:
    """Takes the place of `Auth` from version 3 on: it also tells, and signs, on which connection."""

    channel: Hash | None
    """SHA-256 of the TLS certificate that the sender saw or presented; None if it is not encrypted."""
    signature: Signature


@dataclass(frozen=True)
class Disconnect:
    """The sender ends the session and says why: a `DisconnectReason`, or a number from a newer version."""

    reason: U16


@dataclass(frozen=True)
class Ping:
    """Asks for a `Pong`. The receiver has then read everything that was sent to it before the ping."""

    request: RequestId


@dataclass(frozen=True)
class Pong:
    """Answers `Ping`."""

    request: RequestId


@dataclass(frozen=True)
class GetTime:
    """Asks for a `Time`, as `Ping` asks for a `Pong`."""

    request: RequestId


@dataclass(frozen=True)
class Time:
    """Answers `GetTime`: what the sender's clock shows. Nothing that decides about blocks depends on it."""

    request: RequestId
    now_ms: U64
    """Milliseconds since 1970."""


@dataclass(frozen=True)
class GetHeaders:
    """Asks for headers of the receiver's best chain, after the first id of the locator that stands on it."""

    request: RequestId
    locator: Annotated[tuple[Hash, ...], Size(1, MAX_LOCATOR)]
    """Block ids of the sender's chain, newest first, with growing gaps towards genesis."""
    limit: Annotated[int, Range(1, MAX_HEADERS)]


@dataclass(frozen=True)
class Headers:
    """Answers `GetHeaders`: encoded headers, oldest first; empty if there are no newer ones."""

    request: RequestId
    headers: Annotated[tuple[HeaderBytes, ...], Size(0, MAX_HEADERS)]


@dataclass(frozen=True)
class GetBlock:
    """Asks for a block, header and body."""

    request: RequestId
    block_id: Hash


@dataclass(frozen=True)
class BlockData:
    """Answers `GetBlock`: the encoded block, packed, or nil if the sender does not have it."""

    request: RequestId
    block: PackedBlock | None


@dataclass(frozen=True)
class GetTransactions:
    """Asks for transactions that wait for a block."""

    request: RequestId
    txids: Annotated[tuple[Hash, ...], Size(1, MAX_FETCH)]


@dataclass(frozen=True)
class Transactions:
    """Answers `GetTransactions` for the first of its ids, at least one: encoded transactions, packed; nil for
    each that is not there.
    """

    request: RequestId
    transactions: Annotated[tuple[PackedTransaction | None, ...], Size(1, MAX_FETCH)]


@dataclass(frozen=True)
class GetCompact:
    """Asks for a block in its compact form."""

    request: RequestId
    block_id: Hash


@dataclass(frozen=True)
class CompactForm:
    """A block whose transactions are named by short ids, but for a few that stand in it."""

    header: HeaderBytes
    key: Annotated[bytes, Size(COMPACT_KEY_BYTES, COMPACT_KEY_BYTES)]
    """Key of the short ids, drawn at random by the sender once the block was there."""
    short_ids: Annotated[bytes, Size(0, SHORT_ID_BYTES * MAX_COMPACT)]
    """One short id of eight bytes for each transaction of the block, in its order."""
    prefilled: Annotated[tuple[Place, ...], Size(0, MAX_PREFILLED)]
    """Places, ascending, of transactions that the receiver has probably not seen."""
    transactions: PackedPrefilled
    """The transactions at these places."""


@dataclass(frozen=True)
class CompactBlock:
    """Answers `GetCompact`; nil if the sender has the block not at hand in this form."""

    request: RequestId
    form: CompactForm | None


@dataclass(frozen=True)
class GetBlockTransactions:
    """Asks for transactions of a block, by their places in it."""

    request: RequestId
    block_id: Hash
    places: Annotated[tuple[Place, ...], Size(1, MAX_COMPACT)]
    """Ascending."""


@dataclass(frozen=True)
class BlockTransactions:
    """Answers `GetBlockTransactions`: the transactions at exactly these places, or nil."""

    request: RequestId
    transactions: PackedBody | None


@dataclass(frozen=True)
class Announce:
    """Ids that the sender can be asked for: blocks whose header and work are good, transactions it holds."""

    blocks: Annotated[tuple[Hash, ...], Size(0, MAX_ANNOUNCED_BLOCKS)]
    transactions: Annotated[tuple[Hash, ...], Size(0, MAX_ANNOUNCED_TRANSACTIONS)]


HandshakeMessage = Hello | Auth | BoundAuth
ChainRequest = (
    GetHeaders
    | GetBlock
    | GetBlocks
    | GetOutline
    | GetTransactions
    | GetCompact
    | GetBlockTransactions
    | GetContent
    | GetHoldings
)
DataRequest = ChainRequest | GetAddresses
Request = Ping | GetTime | DataRequest
Reply = (
    Pong
    | Time
    | Headers
    | BlockData
    | Blocks
    | Outline
    | Transactions
    | CompactBlock
    | BlockTransactions
    | Addresses
    | Content
    | Holdings
)
Announcement = Announce | AnnounceAddresses
Message = HandshakeMessage | Disconnect | Request | Reply | Announcement


class MessagePhase(Enum):
    """When a message may be sent."""

    HANDSHAKE = "handshake"
    """Once, before the session."""
    SESSION = "session"
    """After both signatures were checked."""
    ALWAYS = "always"


@dataclass(frozen=True)
class Rate:
    """How often a message may be sent: `burst` at once, `per_s` a second in the long run."""

    per_s: float
    burst: int


@dataclass(frozen=True)
class MessageSpec:
    """One line of the registry."""

    tag: int
    cls: type[Message]
    max_bytes: int
    """The most bytes of its frame, tag included."""
    phase: MessagePhase = MessagePhase.SESSION
    rate: Rate | None = None
    """None where something else limits it: the handshake comes once, and an answer only after a request."""
    reply: type[Message] | None = None
    """The type of the answer, if this is a request."""


MESSAGES: Final = (
    MessageSpec(0x00, Hello, 512, MessagePhase.HANDSHAKE),
    MessageSpec(0x01, Auth, 128, MessagePhase.HANDSHAKE),
    MessageSpec(0x02, Disconnect, 16, MessagePhase.ALWAYS),
    MessageSpec(0x03, BoundAuth, 128, MessagePhase.HANDSHAKE),
    MessageSpec(0x10, Ping, 16, rate=Rate(2, 20), reply=Pong),
    MessageSpec(0x11, Pong, 16),
    MessageSpec(0x12, GetTime, 16, rate=Rate(2, 20), reply=Time),
    MessageSpec(0x13, Time, 32),
    MessageSpec(0x20, GetHeaders, 4 * KIB, rate=Rate(5, 20), reply=Headers),
    MessageSpec(0x21, Headers, 512 * KIB),
    MessageSpec(0x22, GetBlock, 64, rate=Rate(500, 1_000), reply=BlockData),
    MessageSpec(0x23, BlockData, MAX_BLOCK_BYTES + PACKING_BYTES + 16),
    MessageSpec(0x24, GetTransactions, 16 * KIB, rate=Rate(20, 40), reply=Transactions),
    MessageSpec(0x25, Transactions, MAX_REPLY_BYTES + 4 * KIB),
    MessageSpec(0x26, GetCompact, 64, rate=Rate(500, 1_000), reply=CompactBlock),
    MessageSpec(0x27, CompactBlock, 136 * KIB),
    MessageSpec(0x28, GetBlockTransactions, 24 * KIB + 64, rate=Rate(500, 1_000), reply=BlockTransactions),
    MessageSpec(0x29, BlockTransactions, MAX_BLOCK_BYTES + PACKING_BYTES + 16),
    MessageSpec(0x2A, GetBlocks, 2 * KIB, rate=Rate(50, 100), reply=Blocks),
    MessageSpec(0x2B, Blocks, MAX_BLOCK_BYTES + 256),
    MessageSpec(0x2C, GetOutline, 64, rate=Rate(20, 40), reply=Outline),
    MessageSpec(0x2D, Outline, 300 * KIB),
    MessageSpec(0x30, Announce, 40 * KIB, rate=Rate(10, 100)),
    MessageSpec(0x40, GetAddresses, 16, rate=Rate(0.1, 4), reply=Addresses),
    MessageSpec(0x41, Addresses, 32 * KIB),
    MessageSpec(0x42, AnnounceAddresses, 512, rate=Rate(0.5, 20)),
    MessageSpec(0x50, GetContent, 64, rate=Rate(20, 40), reply=Content),
    MessageSpec(0x51, Content, PIECE_BYTES + 32),
    MessageSpec(0x52, GetHoldings, 16, rate=Rate(1, 5), reply=Holdings),
    MessageSpec(0x53, Holdings, 32),
)

SPECS: Final[dict[type, MessageSpec]] = {spec.cls: spec for spec in MESSAGES}
_BY_TAG: Final = {spec.tag: spec for spec in MESSAGES}
MAX_FRAME_BYTES: Final = max(spec.max_bytes for spec in MESSAGES)


def encode_frame(message: Message) -> bytes:
    """The frame of a message.

    Only this node's own values get here, and whoever makes a message cuts its lists to the limits above. So
    a message that cannot be encoded is a bug of this node: `AssertionError`.
    """
    spec = SPECS[type(message)]
    try:
        frame = bytes([spec.tag]) + encode(message)
    except CodecError as error:
        raise AssertionError(f"this node made a {spec.cls.__name__} that cannot be encoded") from error
    assert len(frame) <= spec.max_bytes, f"the limits of its fields keep a {spec.cls.__name__} small enough"
    return frame


def frame_name(frame: bytes) -> str:
    """The name of the message that a frame says it carries, such as GetBlock; `unknown` if there is none."""
    spec = _BY_TAG.get(frame[0]) if frame else None
    return "unknown" if spec is None else spec.cls.__name__


def decode_frame(frame: bytes, phase: MessagePhase) -> Message:
    """The message of a frame received in `phase`; size and phase are checked before it is decoded.

    Raises `MalformedFrame`, `UnknownMessage`, `FrameTooLarge`, `UnexpectedMessage`, `CodecError`.
    """
    if not frame:
        raise MalformedFrame("the frame is empty")
    spec = _BY_TAG.get(frame[0])
    if spec is None:
        raise UnknownMessage(got=frame[0])
    if len(frame) > spec.max_bytes:
        raise FrameTooLarge(f"{spec.cls.__name__} is too large", expected=spec.max_bytes, got=len(frame))
    if spec.phase not in (phase, MessagePhase.ALWAYS):
        raise UnexpectedMessage(expected=phase.value, got=spec.cls.__name__)
    return decode(spec.cls, frame[1:], max_bytes=spec.max_bytes)
