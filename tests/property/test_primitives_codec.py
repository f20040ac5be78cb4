"""Laws of the codec: one value, one encoding; every other byte string is refused with a codec error."""

from dataclasses import dataclass
from typing import Annotated, Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.primitives.codec import decode, encode, from_json, to_json, validate
from engram.primitives.errors import CodecError, NonCanonical
from engram.primitives.types import I64, U8, U16, U32, U64, Size
from tests.support.codec_samples import SAMPLES, Empty, Envelope, Everything, Note, Pay
from tests.support.faults import plays

hashes = st.binary(min_size=32, max_size=32)
texts = st.text(st.characters(codec="utf-8"), max_size=16)
pays = st.builds(Pay, st.binary(min_size=20, max_size=20), st.integers(0, 2**64 - 1))
notes = st.builds(Note, texts, st.binary(max_size=70))
members = st.one_of(pays, notes, st.builds(Empty))
u8 = st.integers(0, 255)


def tuples(items: st.SearchStrategy[Any], least: int = 0, most: int = 4) -> st.SearchStrategy[Any]:
    return st.lists(items, min_size=least, max_size=most).map(tuple)


u64 = st.integers(0, 2**64 - 1)
envelopes = st.builds(Envelope, hashes, hashes, u64, u64, members, st.binary(min_size=64, max_size=64))
everything = st.builds(
    Everything,
    flag=st.booleans(),
    small=u8,
    signed=st.integers(-(2**63), 2**63 - 1),
    text=texts,
    blob=st.binary(max_size=300),
    maybe_number=st.none() | st.integers(0, 65535),
    maybe_hash=st.none() | hashes,
    maybe_record=st.none() | pays,
    maybe_member=st.none() | pays | notes,
    member=members,
    record=pays,
    numbers=tuples(st.integers(0, 2**32 - 1), most=20),
    few=tuples(u8, 1, 3),
    hashes=tuples(hashes),
    records=tuples(pays),
    members=tuples(pays | st.builds(Empty)),
    holes=tuples(st.none() | pays),
    pair=st.tuples(u8, texts),
    pairs=tuples(st.tuples(st.integers(0, 65535), st.booleans())),
    rows=tuples(tuples(u8)),
    maybe_rows=st.none() | tuples(u8),
)
values = pays | notes | envelopes | everything


@given(values)
def test_decode_undoes_encode(value: object) -> None:
    raw = encode(value)
    validate(value)
    assert decode(type(value), raw) == value
    assert from_json(type(value), to_json(value)) == value


@given(st.one_of(*(st.tuples(kind, kind) for kind in (pays, notes, envelopes, everything))))
def test_different_values_have_different_bytes(pair: tuple[object, object]) -> None:
    one, other = pair
    assert (encode(one) == encode(other)) == (one == other)


@given(everything)
def test_another_msgpack_reader_sees_the_fields_in_order(value: Everything) -> None:
    fields = msgpack.unpackb(encode(value), use_list=False)
    assert fields[:6] == (value.flag, value.small, value.signed, value.text, value.blob, value.maybe_number)
    assert (fields[11], fields[12], fields[19]) == (value.numbers, value.few, value.rows)


@given(st.sampled_from([type(sample) for sample in SAMPLES]), st.binary(max_size=200))
def test_any_bytes_are_one_encoding_or_a_codec_error(cls: type[object], raw: bytes) -> None:
    try:
        value = decode(cls, raw)
    except CodecError:
        return
    assert encode(value) == raw


@plays(2, share=0.5)
@given(values, st.data())
def test_changed_bytes_are_another_value_or_a_codec_error(value: object, data: st.DataObject) -> None:
    raw = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        match data.draw(st.sampled_from(["set", "insert", "delete"])):
            case "set":
                raw[at] = data.draw(st.integers(0, 255))
            case "insert":
                raw.insert(at, data.draw(st.integers(0, 255)))
            case _ if len(raw) > 1:
                del raw[at]
    try:
        decoded = decode(type(value), bytes(raw))
    except CodecError:
        return
    assert encode(decoded) == raw
    assert (decoded == value) == (encode(value) == raw)


@dataclass(frozen=True)
class Numbers:
    u8: U8
    u16: U16
    u32: U32
    u64: U64
    i64: I64
    text: Annotated[str, Size(0, 400)]
    blob: Annotated[bytes, Size(0, 70_000)]


def wider_integer(number: int) -> bytes:
    """The next longer msgpack form of an integer."""
    for head, size, signed in ((0xCC, 1, False), (0xCD, 2, False), (0xCE, 4, False), (0xCF, 8, False)):
        if 0 <= number < 1 << 8 * size and len(msgpack.packb(number)) < size + 1:
            return bytes([head]) + number.to_bytes(size, "big", signed=signed)
    return b"\xd3" + number.to_bytes(8, "big", signed=True)


@plays(2, share=0.5)
@given(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=300), texts)
def test_every_longer_form_of_a_field_is_refused(number: int, blob: bytes, text: str) -> None:
    value = Numbers(0, 0, 0, 0, number, text, blob)
    shortest = [msgpack.packb(field) for field in (0, 0, 0, 0, number, text, blob)]
    assert decode(Numbers, b"\x97" + b"".join(shortest)) == value
    longer = {
        4: wider_integer(number),
        5: b"\xdb" + len(text.encode()).to_bytes(4, "big") + text.encode(),
        6: b"\xc6" + len(blob).to_bytes(4, "big") + blob,
    }
    for at, form in longer.items():
        if form == shortest[at]:
            continue
        raw = b"\x97" + b"".join([*shortest[:at], form, *shortest[at + 1 :]])
        with pytest.raises(NonCanonical):
            decode(Numbers, raw)
