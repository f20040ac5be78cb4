"""Canonical bytes: what a value's one encoding is, and every way in which other bytes are refused."""

import dataclasses
import traceback
import tracemalloc
from typing import Any

import msgpack
import pytest

from engram.primitives.codec import decode, encode, validate
from engram.primitives.errors import (
    CodecError,
    NonCanonical,
    OutOfRange,
    TooLarge,
    Truncated,
    UnknownTag,
    WrongArity,
    WrongType,
)
from engram.statemachine.transactions.transfer import Transfer
from tests.support.codec_samples import (
    ENVELOPE,
    EVERYTHING,
    NOTE,
    PAY,
    SAMPLES,
    Empty,
    Envelope,
    Everything,
    Note,
    Pay,
)

PAY_FORM = [PAY.recipient, PAY.amount]


def packed(form: Any) -> bytes:
    raw: bytes = msgpack.packb(form)
    return raw


def with_payload(payload: Any) -> bytes:
    return packed([ENVELOPE.chain_id, ENVELOPE.key, 7, 1000, payload, ENVELOPE.signature])


@pytest.mark.parametrize("value", SAMPLES)
def test_decoding_gives_back_the_value_and_its_bytes(value: object) -> None:
    raw = encode(value)
    assert decode(type(value), raw) == value
    assert encode(decode(type(value), raw)) == raw
    validate(value)


def test_a_record_is_the_array_of_its_fields() -> None:
    assert encode(PAY) == packed(PAY_FORM)
    assert encode(Empty()) == b"\x90"


def test_a_member_of_a_union_carries_its_tag_and_a_single_class_does_not() -> None:
    assert encode(ENVELOPE) == with_payload([1, *PAY_FORM])
    fields = msgpack.unpackb(encode(EVERYTHING))
    by_name = dict(zip((field.name for field in dataclasses.fields(EVERYTHING)), fields, strict=True))
    assert by_name["maybe_record"] == by_name["record"] == PAY_FORM
    assert by_name["maybe_member"] == [300, NOTE.text, NOTE.blob]
    assert by_name["member"] == [7]
    assert by_name["holes"] == [None, PAY_FORM, None]


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        pytest.param(b"", Truncated, id="nothing"),
        pytest.param(encode(PAY)[:-1], Truncated, id="last byte missing"),
        pytest.param(b"\x92\xc4\x14abc", Truncated, id="bytes shorter than their header says"),
        pytest.param(b"\x92\xc6\xff\xff\xff\xff", Truncated, id="length beyond data"),
        pytest.param(b"\xdd\x00", Truncated, id="half an array header"),
        pytest.param(encode(PAY) + b"\x00", NonCanonical, id="trailing byte"),
        pytest.param(b"\xdc\x00\x02" + encode(PAY)[1:], NonCanonical, id="long array header"),
        pytest.param(b"\x92\xc5\x00\x14" + PAY.recipient + b"\x05", NonCanonical, id="long bin header"),
        pytest.param(b"\x92\xc4\x14" + PAY.recipient + b"\xcc\x05", NonCanonical, id="long integer"),
        pytest.param(b"\x92\xc4\x14" + PAY.recipient + b"\xd2\0\0\0\x05", NonCanonical, id="signed integer"),
        pytest.param(packed([PAY.recipient]), WrongArity, id="field missing"),
        pytest.param(packed([*PAY_FORM, 0]), WrongArity, id="field too many"),
        pytest.param(packed([]), WrongArity, id="empty array"),
        pytest.param(packed([PAY.recipient, True]), WrongType, id="true for 1"),
        pytest.param(packed([PAY.recipient, 1.0]), WrongType, id="float"),
        pytest.param(packed([PAY.recipient, None]), WrongType, id="nil"),
        pytest.param(packed([PAY.recipient, []]), WrongType, id="empty array for an integer"),
        pytest.param(packed([PAY.recipient, [1]]), WrongType, id="array for an integer"),
        pytest.param(packed([PAY.recipient, {}]), WrongType, id="empty map"),
        pytest.param(packed([PAY.recipient, {1: 2}]), WrongType, id="map"),
        pytest.param(packed([PAY.recipient, "5"]), WrongType, id="text"),
        pytest.param(packed(["a" * 20, 5]), WrongType, id="text for bytes"),
        pytest.param(packed([PAY.recipient, msgpack.ExtType(1, b"")]), WrongType, id="empty ext"),
        pytest.param(packed([PAY.recipient, msgpack.ExtType(1, b"12")]), WrongType, id="ext"),
        pytest.param(packed([PAY.recipient, msgpack.Timestamp(1)]), WrongType, id="timestamp"),
        pytest.param(b"\x92\xc1\x05", WrongType, id="byte that msgpack reserves"),
        pytest.param(packed({"recipient": 1}), WrongType, id="map for the record"),
        pytest.param(packed(5), WrongType, id="integer for the record"),
        pytest.param(packed([PAY.recipient, -1]), OutOfRange, id="below the range"),
        pytest.param(packed([PAY.recipient[:-1], 5]), OutOfRange, id="19 bytes"),
        pytest.param(packed([PAY.recipient + b"x", 5]), OutOfRange, id="21 bytes"),
    ],
)
def test_other_bytes_of_a_record_are_refused(raw: bytes, error: type[CodecError]) -> None:
    with pytest.raises(error):
        decode(Pay, raw)


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        pytest.param([2, *PAY_FORM], UnknownTag, id="tag of nobody"),
        pytest.param([-1, *PAY_FORM], UnknownTag, id="negative tag"),
        pytest.param([True, *PAY_FORM], WrongType, id="true for tag 1"),
        pytest.param([[], *PAY_FORM], WrongType, id="array for the tag"),
        pytest.param([], WrongArity, id="no tag"),
        pytest.param([1], WrongArity, id="tag alone"),
        pytest.param([7, 0], WrongArity, id="field of a member without fields"),
        pytest.param(PAY_FORM, WrongType, id="no tag before the fields"),
        pytest.param(None, WrongType, id="nil"),
    ],
)
def test_other_forms_of_a_union_are_refused(payload: Any, error: type[CodecError]) -> None:
    with pytest.raises(error):
        decode(Envelope, with_payload(payload))


@pytest.mark.parametrize(
    ("name", "form", "error"),
    [
        ("flag", 1, WrongType),
        ("text", "a" * 65, OutOfRange),
        ("text", "ä" * 33, OutOfRange),
        ("text", b"abc", WrongType),
        ("maybe_number", 65536, OutOfRange),
        ("maybe_hash", b"", OutOfRange),
        ("maybe_record", 5, WrongType),
        ("maybe_record", [], WrongArity),
        ("maybe_member", [5], UnknownTag),
        ("numbers", [1, 2, -1], OutOfRange),
        ("numbers", 5, WrongType),
        ("few", [], OutOfRange),
        ("few", [1, 2, 3, 4], OutOfRange),
        ("few", [1, 256], OutOfRange),
        ("members", [[300, "", b""]], UnknownTag),
        ("pair", [1], WrongArity),
        ("pair", [1, "", 1], WrongArity),
        ("pairs", [[1, 1]], WrongType),
        ("rows", [[1, 2, 3, 4, 5]], OutOfRange),
        ("rows", [[], [], [], [], []], OutOfRange),
        ("maybe_rows", [None], WrongType),
    ],
)
def test_each_kind_of_field_refuses_what_breaks_its_annotation(
    name: str, form: Any, error: type[CodecError]
) -> None:
    names = [field.name for field in dataclasses.fields(Everything)]
    forms = msgpack.unpackb(encode(EVERYTHING))
    forms[names.index(name)] = form
    with pytest.raises(error) as raised:
        decode(Everything, packed(forms))
    assert name in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"small": 256}, OutOfRange),
        ({"small": -1}, OutOfRange),
        ({"small": True}, WrongType),
        ({"flag": 1}, WrongType),
        ({"signed": 2**63}, OutOfRange),
        ({"text": "\ud800"}, WrongType),
        ({"text": "ä" * 33}, OutOfRange),
        ({"blob": bytearray(b"x")}, WrongType),
        ({"maybe_hash": b"x" * 31}, OutOfRange),
        ({"maybe_record": NOTE}, WrongType),
        ({"member": None}, WrongType),
        ({"member": "Pay"}, WrongType),
        ({"record": (PAY.recipient, 5)}, WrongType),
        ({"numbers": [1, 2]}, WrongType),
        ({"numbers": (1, 2**32)}, OutOfRange),
        ({"few": ()}, OutOfRange),
        ({"records": (PAY, NOTE)}, WrongType),
        ({"pair": (1, "", 2)}, OutOfRange),
        ({"pair": (1, 2)}, WrongType),
        ({"rows": ((256,),)}, OutOfRange),
        ({"record": Pay(b"short", 1)}, OutOfRange),
    ],
)
def test_validate_and_encode_refuse_what_decode_would(
    changes: dict[str, Any], error: type[CodecError]
) -> None:
    value = dataclasses.replace(EVERYTHING, **changes)
    with pytest.raises(error):
        validate(value)
    with pytest.raises(error):
        encode(value)


def test_a_subclass_is_another_type() -> None:
    @dataclasses.dataclass(frozen=True)
    class Refund(Pay):
        pass

    with pytest.raises(WrongType):
        encode(dataclasses.replace(EVERYTHING, record=Refund(PAY.recipient, 1)))


def test_errors_name_the_field_and_carry_the_numbers() -> None:
    with pytest.raises(OutOfRange) as raised:
        decode(Pay, packed([b"abc", 5]))
    assert raised.value.to_json() == {
        "code": "out_of_range",
        "message": "Pay.recipient has a wrong length",
        "expected": 20,
        "got": 3,
    }


def test_too_many_bytes_are_refused_before_any_is_read() -> None:
    raw = encode(NOTE)
    assert decode(Note, raw, max_bytes=len(raw)) == NOTE
    with pytest.raises(TooLarge):
        decode(Note, raw, max_bytes=len(raw) - 1)
    with pytest.raises(TooLarge):
        decode(Note, b"\xc1" * 100, max_bytes=99)


@pytest.mark.parametrize("raw", [bytearray(encode(PAY)), memoryview(encode(PAY)), "text", None])
def test_only_bytes_are_decoded(raw: Any) -> None:
    with pytest.raises(WrongType):
        decode(Pay, raw)


FOUR_MB = 2**22
NUMBERS_AT = [field.name for field in dataclasses.fields(Everything)].index("numbers")
FORMS = msgpack.unpackb(encode(EVERYTHING))
BEFORE_NUMBERS = b"\xdc\x00\x15" + b"".join(packed(form) for form in FORMS[:NUMBERS_AT])
IN_NUMBERS = BEFORE_NUMBERS + b"\xdc\xff\xff"


@pytest.mark.fault(id=4)
@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(b"\x91" * FOUR_MB, id="nested arrays"),
        pytest.param(b"\xdd" + FOUR_MB.to_bytes(4, "big") + b"\x90" * FOUR_MB, id="empty arrays"),
        pytest.param(b"\xdd\xff\xff\xff\xff" * (FOUR_MB // 5), id="nested headers of huge arrays"),
        pytest.param(b"\x80" * FOUR_MB, id="empty maps"),
        pytest.param(IN_NUMBERS + b"\x90" * FOUR_MB, id="empty arrays for numbers"),
        pytest.param(IN_NUMBERS + b"\xdc\xff\xff" * FOUR_MB, id="huge arrays for numbers"),
        pytest.param(IN_NUMBERS + b"\xdf\xff\xff\xff\xff" * 99_999, id="huge maps for numbers"),
        pytest.param(BEFORE_NUMBERS + b"\xdd\xff\xff\xff\xff" + b"\x00" * FOUR_MB, id="too many numbers"),
    ],
)
def test_a_bomb_is_refused_without_memory_for_it(bomb: bytes) -> None:
    """msgpack's reader copies its input once, so a refusal may hold that copy and little else."""
    with pytest.raises(CodecError):
        decode(Everything, BEFORE_NUMBERS)  # compiles the class outside the measurement
    tracemalloc.start()
    try:
        with pytest.raises(CodecError):
            decode(Everything, bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(bomb)


def test_a_traceback_shows_the_generated_line_that_failed() -> None:
    with pytest.raises(CodecError) as raised:
        encode(Transfer(bytes(20), -1))
    shown = "".join(traceback.format_exception(raised.value))
    assert "<codec of engram.statemachine.transactions.transfer.Transfer>" in shown
    assert "refuse_int(v" in shown
