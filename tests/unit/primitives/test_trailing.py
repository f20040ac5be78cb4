"""Fields that stand in an encoding only if they have to: what was written before keeps its bytes."""

from dataclasses import dataclass
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.primitives.codec import decode, encode, from_json, to_json
from engram.primitives.errors import NonCanonical, OutOfRange, WrongArity
from engram.primitives.types import U8, Size, Text, Trailing


@dataclass(frozen=True)
class Old:
    """A record as it was published."""

    number: U8
    text: Text


@dataclass(frozen=True)
class Extra:
    low: U8


@dataclass(frozen=True)
class New:
    """The same record with fields that came later."""

    number: U8
    text: Text
    raw: Annotated[bytes, Size(0, 4), Trailing()] = b""
    extra: Annotated[Extra | None, Trailing()] = None


@dataclass(frozen=True)
class Holder:
    TAG = 5

    first: New
    listed: tuple[New, ...]
    member: "Tagged | Holdall"


@dataclass(frozen=True)
class Tagged:
    TAG = 1

    late: Annotated[U8, Trailing()] = 0


@dataclass(frozen=True)
class Holdall:
    TAG = 2

    late: Annotated[U8, Trailing()] = 7


VALUES = st.builds(
    New,
    st.integers(0, 255),
    st.sampled_from(["", "ä"]),
    st.binary(max_size=4),
    st.none() | st.builds(Extra, st.integers(0, 255)),
)


def test_what_has_only_defaults_keeps_its_bytes() -> None:
    raw = encode(Old(7, "x"))
    assert encode(New(7, "x")) == raw
    assert decode(New, raw) == New(7, "x")
    assert len(encode(New(7, "x", b"\x01"))) == len(raw) + 3
    assert encode(New(7, "x", b"", Extra(1)))[0] == 0x94, (
        "a field before one that stands there stands there too"
    )


@given(value=VALUES)
def test_every_value_has_one_encoding(value: New) -> None:
    raw = encode(value)
    assert decode(New, raw) == value
    assert from_json(New, to_json(value)) == value
    assert ("raw" in to_json(value)) == (value.raw != b"" or value.extra is not None)


@given(values=st.lists(VALUES, min_size=1, max_size=3), late=st.integers(0, 255))
def test_records_with_such_fields_may_stand_in_others(values: list[New], late: int) -> None:
    for member in (Tagged(late), Holdall(late)):
        held = Holder(values[0], tuple(values), member)
        assert decode(Holder, encode(held)) == held
        assert from_json(Holder, to_json(held)) == held


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"\x93\x07\xa1x\xc4\x00", NonCanonical),  # a default that need not stand there
        (b"\x94\x07\xa1x\xc4\x00\xc0", NonCanonical),
        (b"\x94\x07\xa1x\xc4\x01\x01\xc0", NonCanonical),
        (b"\x91\x07", WrongArity),
        (b"\x95\x07\xa1x\xc4\x00\xc0\xc0", WrongArity),
        (b"\x93\x07\xa1x\xc4\x05\x01\x02\x03\x04\x05", OutOfRange),
    ],
)
def test_other_bytes_are_refused(raw: bytes, error: type[Exception]) -> None:
    with pytest.raises(error) as refusal:
        decode(New, raw)
    if error is WrongArity:
        assert "2..4" in str(refusal.value)


@pytest.mark.parametrize("missing", ["number", "raw"])
def test_json_without_a_field_that_has_to_stand_there_is_refused(missing: str) -> None:
    value = to_json(New(1, "x", b"\x01", Extra(2)))
    del value[missing]
    with pytest.raises(WrongArity):
        from_json(New, value)


def test_only_last_fields_with_defaults_can_be_trailing() -> None:
    @dataclass(frozen=True)
    class Bare:
        number: Annotated[U8, Trailing()]

    @dataclass(frozen=True)
    class Middle:
        number: Annotated[U8, Trailing()] = 0
        other: U8 = 0

    for cls in (Bare, Middle):
        with pytest.raises(TypeError, match="trailing"):
            encode(cls(1))
