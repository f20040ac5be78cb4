"""JSON values: the readable form of a dataclass, and what is refused on the way back."""

import dataclasses
import json
from typing import Any

import pytest

from engram.primitives.codec import from_json, to_json
from engram.primitives.errors import (
    CodecError,
    NonCanonical,
    OutOfRange,
    UnknownTag,
    WrongArity,
    WrongType,
)
from tests.support.codec_samples import ENVELOPE, EVERYTHING, PAY, SAMPLES, Envelope, Everything, Pay


@pytest.mark.parametrize("value", SAMPLES)
def test_json_text_gives_back_the_value(value: object) -> None:
    assert from_json(type(value), json.loads(json.dumps(to_json(value)))) == value


def test_the_form_is_readable() -> None:
    assert to_json(ENVELOPE) == {
        "chain_id": ENVELOPE.chain_id.hex(),
        "key": "11" * 32,
        "nonce": 7,
        "fee": 1000,
        "payload": {"type": "Pay", "recipient": PAY.recipient.hex(), "amount": 2**64 - 1},
        "signature": "22" * 64,
    }


def test_what_breaks_its_annotation_has_no_json() -> None:
    with pytest.raises(OutOfRange):
        to_json(dataclasses.replace(PAY, amount=-1))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"amount": -1}, OutOfRange),
        ({"amount": True}, WrongType),
        ({"amount": 5.0}, WrongType),
        ({"amount": "5"}, WrongType),
        ({"amount": None}, WrongType),
        ({"recipient": "0x" + "00" * 19}, WrongType),
        ({"recipient": "00" * 19}, OutOfRange),
        ({"recipient": "AB" * 20}, NonCanonical),
        ({"recipient": " 00" * 20}, NonCanonical),
        ({"recipient": 5}, WrongType),
        ({"memo": 5}, WrongArity),
    ],
)
def test_other_values_of_a_record_are_refused(changes: dict[str, Any], error: type[CodecError]) -> None:
    with pytest.raises(error):
        from_json(Pay, to_json(PAY) | changes)


@pytest.mark.parametrize("value", [None, 5, [], "text"])
def test_only_an_object_is_a_record(value: object) -> None:
    with pytest.raises(WrongType):
        from_json(Pay, value)


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({"type": "Nobody"}, UnknownTag),
        ({"type": 1}, UnknownTag),
        ({}, UnknownTag),
        ({"type": "Pay"}, WrongArity),
        ({"type": "Empty", "amount": 1}, WrongArity),
        ([7], WrongType),
        (None, WrongType),
    ],
)
def test_other_forms_of_a_union_are_refused(payload: Any, error: type[CodecError]) -> None:
    with pytest.raises(error):
        from_json(Envelope, to_json(ENVELOPE) | {"payload": payload})


@pytest.mark.parametrize(
    ("name", "form", "error"),
    [
        ("numbers", {"0": 1}, WrongType),
        ("numbers", [1, None], WrongType),
        ("pair", [1], WrongArity),
        ("pairs", [[1, 1]], WrongType),
        ("few", [], OutOfRange),
        ("holes", [5], WrongType),
    ],
)
def test_the_error_names_the_field(name: str, form: Any, error: type[CodecError]) -> None:
    with pytest.raises(error, match=name):
        from_json(Everything, to_json(EVERYTHING) | {name: form})
