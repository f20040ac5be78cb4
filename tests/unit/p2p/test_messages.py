"""The registry: distinct tags, fitting caps, a reply for every request; and what a frame may not be."""

from dataclasses import fields, replace
from typing import get_args

import pytest

from engram.p2p.addressmessages import (
    HOST_BYTES,
    MAX_ADDRESSES,
    MAX_ANNOUNCED_ADDRESSES,
    MAX_HOURS,
    Addresses,
    AnnounceAddresses,
    NodeAddress,
)
from engram.p2p.blockmessages import MAX_BLOCK_BYTES, MAX_COMPACT, MAX_HEADER_BYTES
from engram.p2p.contentmessages import (
    MAX_CONTENT_BYTES,
    PIECE_BYTES,
    Content,
    ContentPart,
    GetContent,
    Holdings,
)
from engram.p2p.errors import FrameTooLarge, MalformedFrame, UnexpectedMessage, UnknownMessage
from engram.p2p.messages import (
    COMPACT_KEY_BYTES,
    HANDSHAKE_FRAME_BYTES,
    MAX_FRAME_BYTES,
    MAX_PREFILLED,
    MAX_PREFILLED_BYTES,
    MESSAGES,
    SHORT_ID_BYTES,
    SPECS,
    Announce,
    Announcement,
    Auth,
    BlockData,
    BlockTransactions,
    BoundAuth,
    CompactBlock,
    CompactForm,
    GetBlockTransactions,
    GetCompact,
    GetHeaders,
    GetTransactions,
    Message,
    MessagePhase,
    Ping,
    Reply,
    Request,
    Transactions,
    decode_frame,
    encode_frame,
)
from engram.primitives.errors import OutOfRange
from tests.support.p2p_samples import LARGEST, SAMPLES

FORM = CompactForm(b"header", bytes(COMPACT_KEY_BYTES), b"", (), b"\x00")
ADDRESS = NodeAddress(bytes(HOST_BYTES), 1, 0)
ALL = {spec.cls for spec in MESSAGES}


def test_the_registry_and_the_union_name_the_same_messages() -> None:
    assert set(get_args(Message)) == ALL
    assert len(SPECS) == len(MESSAGES) == len({spec.tag for spec in MESSAGES})
    assert all(0 <= spec.tag < 256 for spec in MESSAGES)


def test_every_request_has_a_rate_and_a_reply_and_nothing_else_has_a_reply() -> None:
    for spec in MESSAGES:
        is_request = spec.cls in get_args(Request)
        assert (spec.reply is not None) == is_request
        assert (spec.rate is not None) == (is_request or spec.cls in get_args(Announcement))
    assert {spec.reply for spec in MESSAGES if spec.reply} == set(get_args(Reply))
    for cls in get_args(Request) + get_args(Reply):
        assert fields(cls)[0].name == "request"


@pytest.mark.fault(id=3)
@pytest.mark.parametrize("message", LARGEST, ids=lambda message: type(message).__name__)
def test_the_largest_message_fits_its_cap_and_the_cap_fits_it(message: Message) -> None:
    size = len(encode_frame(message))
    cap = SPECS[type(message)].max_bytes
    assert size <= cap
    assert cap <= 2 * size + 8


def test_every_message_has_a_largest() -> None:
    assert {type(message) for message in LARGEST} == ALL


def test_caps_of_the_connection() -> None:
    handshake = [spec.max_bytes for spec in MESSAGES if spec.phase is not MessagePhase.SESSION]
    assert 64 * max(handshake) <= HANDSHAKE_FRAME_BYTES
    assert MAX_BLOCK_BYTES < MAX_FRAME_BYTES < MAX_BLOCK_BYTES + 512


@pytest.mark.parametrize("name", SAMPLES)
def test_only_messages_of_the_phase_are_read(name: str) -> None:
    message = SAMPLES[name]
    frame = encode_frame(message)
    own = SPECS[type(message)].phase
    for phase in (MessagePhase.HANDSHAKE, MessagePhase.SESSION):
        if own in (phase, MessagePhase.ALWAYS):
            assert decode_frame(frame, phase) == message
        else:
            with pytest.raises(UnexpectedMessage):
                decode_frame(frame, phase)


def test_what_is_checked_before_the_bytes_are_read() -> None:
    with pytest.raises(MalformedFrame):
        decode_frame(b"", MessagePhase.SESSION)
    with pytest.raises(UnknownMessage) as unknown:
        decode_frame(b"\x04\x90", MessagePhase.SESSION)
    assert unknown.value.got == 4
    with pytest.raises(FrameTooLarge) as large:
        decode_frame(b"\x10" + bytes(16), MessagePhase.SESSION)
    assert (large.value.expected, large.value.got) == (16, 17)
    with pytest.raises(UnexpectedMessage):
        decode_frame(b"\x00garbage", MessagePhase.SESSION)


@pytest.mark.parametrize(
    "message",
    [
        Ping(2**32),
        Auth(bytes(63)),
        BoundAuth(bytes(31), bytes(64)),
        BoundAuth(None, bytes(63)),
        BlockData(1, b""),
        BlockData(1, bytes(MAX_BLOCK_BYTES + 2)),
        GetHeaders(1, (), 1),
        GetHeaders(1, (bytes(32),) * 65, 1),
        GetHeaders(1, (bytes(32),), 0),
        GetHeaders(1, (bytes(32),), 2_001),
        GetTransactions(1, ()),
        GetTransactions(1, (bytes(32),) * 257),
        Transactions(1, ()),
        GetCompact(1, bytes(31)),
        CompactBlock(1, replace(FORM, header=b"")),
        CompactBlock(1, replace(FORM, header=bytes(MAX_HEADER_BYTES + 1))),
        CompactBlock(1, replace(FORM, key=bytes(COMPACT_KEY_BYTES - 1))),
        CompactBlock(1, replace(FORM, key=bytes(COMPACT_KEY_BYTES + 1))),
        CompactBlock(1, replace(FORM, short_ids=bytes(SHORT_ID_BYTES * MAX_COMPACT + 1))),
        CompactBlock(1, replace(FORM, prefilled=(0,) * (MAX_PREFILLED + 1))),
        CompactBlock(1, replace(FORM, prefilled=(MAX_COMPACT,))),
        CompactBlock(1, replace(FORM, transactions=b"")),
        CompactBlock(1, replace(FORM, transactions=bytes(MAX_PREFILLED_BYTES + 2))),
        GetContent(1, bytes(31), 0),
        GetContent(1, bytes(32), MAX_CONTENT_BYTES // PIECE_BYTES),
        Content(1, ContentPart(0, b"x")),
        Content(1, ContentPart(MAX_CONTENT_BYTES + 1, b"x")),
        Content(1, ContentPart(1, b"")),
        Content(1, ContentPart(1, bytes(PIECE_BYTES + 1))),
        Holdings(1, 2**64, archive=True),
        GetBlockTransactions(1, bytes(32), ()),
        GetBlockTransactions(1, bytes(32), (0,) * (MAX_COMPACT + 1)),
        GetBlockTransactions(1, bytes(32), (MAX_COMPACT,)),
        BlockTransactions(1, b""),
        BlockTransactions(1, bytes(MAX_BLOCK_BYTES + 2)),
        Announce((bytes(32),) * 17, ()),
        Announce((), (bytes(32),) * 1_025),
        Addresses(1, bytes(HOST_BYTES - 1), ()),
        Addresses(1, bytes(HOST_BYTES + 1), ()),
        Addresses(1, None, (ADDRESS,) * (MAX_ADDRESSES + 1)),
        Addresses(1, None, (replace(ADDRESS, host=bytes(4)),)),
        AnnounceAddresses(()),
        AnnounceAddresses((ADDRESS,) * (MAX_ANNOUNCED_ADDRESSES + 1)),
        AnnounceAddresses((replace(ADDRESS, port=0),)),
        AnnounceAddresses((replace(ADDRESS, port=65_536),)),
        AnnounceAddresses((replace(ADDRESS, hours=-1),)),
        AnnounceAddresses((replace(ADDRESS, hours=MAX_HOURS + 1),)),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_out_of_bounds_is_a_bug_of_its_sender(message: Message) -> None:
    with pytest.raises(AssertionError) as bug:
        encode_frame(message)
    assert isinstance(bug.value.__cause__, OutOfRange)
