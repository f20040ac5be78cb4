"""Annotations that leave a bound open, or that have no canonical form, are refused as programming errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, make_dataclass
from typing import Annotated, Any, ClassVar

import pytest

from engram.primitives.codec import decode, encode
from engram.primitives.schema import ListSchema, innermost_first, record
from engram.primitives.types import U8, Range, Size
from engram.statemachine.transactions.open_round import OpenRound


@dataclass(frozen=True)
class One:
    TAG: ClassVar[int] = 1
    number: U8


@dataclass(frozen=True)
class AlsoOne:
    TAG: ClassVar[int] = 1
    number: U8


@dataclass(frozen=True)
class Untagged:
    number: U8


@dataclass(frozen=True)
class Typed:
    TAG: ClassVar[int] = 2
    type: U8


@dataclass
class Mutable:
    number: U8


@dataclass(frozen=True)
class HoldsItself:
    inner: HoldsItself | None


@dataclass(frozen=True)
class Late:
    inner: LaterDefined


@dataclass(frozen=True)
class LaterDefined:
    number: U8


@pytest.mark.parametrize(
    "annotation",
    [
        int,
        bytes,
        str,
        float,
        object,
        list[int],
        dict[int, int],
        tuple[()],
        Annotated[int, Size(0, 5)],
        Annotated[bytes, Range(0, 5)],
        Annotated[int, Range(0, 2**64)],
        Annotated[int, Range(5, 4)],
        Annotated[bytes, Size(5, 4)],
        Annotated[str, Size(-1, 4)],
        Annotated[tuple[U8, U8], Size(0, 4)],
        One | AlsoOne,
        One | Untagged,
        One | Typed,
        One | U8,
        U8 | bool,
        tuple[int, ...],
        Mutable,
        HoldsItself,
        Any,
        Callable[[], int],
    ],
    ids=str,
)
def test_an_annotation_without_a_canonical_form_is_refused(annotation: Any) -> None:
    cls = make_dataclass("Case", [("value", annotation)], frozen=True)
    with pytest.raises(TypeError):
        decode(cls, b"\x90")


def test_what_is_not_a_frozen_dataclass_is_refused() -> None:
    for value in (Mutable(1), 5, (1, 2), "text"):
        with pytest.raises(TypeError, match="frozen dataclass"):
            encode(value)


def test_every_field_is_a_positional_argument() -> None:
    @dataclass(frozen=True, kw_only=True)
    class KeywordOnly:
        number: U8

    @dataclass(frozen=True)
    class Computed:
        number: U8 = field(init=False, default=3)

    for value in (KeywordOnly(number=1), Computed()):
        with pytest.raises(TypeError, match="positional"):
            encode(value)


def test_nesting_is_bounded_by_the_type() -> None:
    cls: type = LaterDefined
    for level in range(31):
        cls = make_dataclass(f"Level{level}", [("inner", cls)], frozen=True)
    deepest = b"\x91" * 32 + b"\x05"
    assert encode(decode(cls, deepest)) == deepest
    too_deep = make_dataclass("TooDeep", [("inner", cls)], frozen=True)
    with pytest.raises(TypeError, match="deeper than 32"):
        decode(too_deep, b"\x91" + deepest)


def test_names_resolve_when_the_class_is_first_used() -> None:
    assert decode(Late, encode(Late(LaterDefined(3)))) == Late(LaterDefined(3))


def test_class_variables_are_not_fields() -> None:
    assert [name for name, _ in record(One)] == ["number"]


def test_a_tuple_without_a_size_has_a_limit() -> None:
    cls = make_dataclass("Case", [("values", tuple[U8, ...])], frozen=True)
    ((_, schema),) = record(cls)
    assert isinstance(schema, ListSchema)
    assert (schema.lo, schema.hi) == (0, 65536)


def test_classes_come_after_those_that_they_hold() -> None:
    order = innermost_first(OpenRound)
    assert order[-1] is OpenRound
    assert len(set(order)) == len(order)
    for place, cls in enumerate(order):
        assert set(innermost_first(cls)) <= set(order[: place + 1])
