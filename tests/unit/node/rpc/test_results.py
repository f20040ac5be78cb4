"""Shapes of results: made from types, strict, and held against what nodes answer."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

from engram.node.decimals import DECIMAL_PATTERN
from engram.node.rpc.results.schemas import ADDRESS, Id, SchemaBuilder, also, words_of
from engram.primitives.types import U8, U64, Address, Hash, Size
from engram.statemachine.records import Model
from engram.statemachine.rounds.records import RoundStatus
from tests.support.rpc_shapes import check_shape, result_types


@dataclass(frozen=True)
class Kept:
    """A record.

    This paragraph is not for the document.
    """

    owner: Address
    """Whose it is."""
    amount: U64
    ids: Annotated[tuple[Hash, ...], Size(0, 4)]
    raw: Annotated[bytes, Size(0, 9)]
    count: U8 = 0


@also(Kept)
class Shown(TypedDict):
    """What is shown of it."""

    word: Literal["a", "b"]
    status: Annotated[str, words_of(RoundStatus)]
    left: NotRequired[int | None]
    """How many are left."""
    several: dict[str, list[Id]]


def test_an_object_has_the_fields_of_its_record_and_its_own() -> None:
    builder = SchemaBuilder()
    assert builder.schema(list[Shown]) == {"type": "array", "items": {"$ref": "#/components/schemas/Shown"}}
    shown = builder.definitions["Shown"]
    fields = shown["properties"]
    assert shown["description"] == "What is shown of it."
    assert shown["additionalProperties"] is False
    assert shown["required"] == ["owner", "amount", "ids", "raw", "count", "word", "status", "several"]
    assert fields["owner"]["description"] == "Whose it is."
    assert fields["owner"]["anyOf"] == [
        {"type": "string", "pattern": ADDRESS.pattern, "description": ADDRESS.text},
        {"type": "null"},
    ]
    assert fields["amount"] == {"type": "string", "pattern": DECIMAL_PATTERN, "x-unit": "sparks"}
    assert fields["count"] == {"type": "integer"}
    assert fields["ids"]["items"]["pattern"] == "^[0-9a-f]{64}$"
    assert fields["word"] == {"type": "string", "enum": ["a", "b"]}
    assert fields["status"]["enum"] == ["open", "decided", "kept", "aborted", "cancelled"]
    assert fields["left"]["description"] == "How many are left."
    assert fields["several"]["additionalProperties"]["items"]["pattern"] == "^[0-9a-f]{64}$"


def test_numbers_of_records_that_stand_for_words_say_which() -> None:
    builder = SchemaBuilder()
    builder.schema(Model)
    policy = builder.definitions["Model"]["properties"]["policy"]
    assert policy["enum"] == [0, 1, 2]
    assert "0 strict, 1 gated, 2 relative" in policy["description"]


def test_what_is_no_type_of_a_result_is_refused() -> None:
    class Twice(TypedDict):
        """One."""

        first: int

    one = Twice

    class Twice(TypedDict):  # type: ignore[no-redef]
        """Another one of this name."""

        second: int

    builder = SchemaBuilder()
    with pytest.raises(TypeError, match="no type of a result"):
        builder.schema(bytes)
    builder.schema(one)
    with pytest.raises(TypeError, match="two results are called Twice"):
        builder.schema(Twice)


GOOD = {"txid": "ab" * 32, "status": "failed", "code": "x", "height": 5}


@pytest.mark.parametrize(
    "change",
    [
        {"txid": "ab"},
        {"status": "lost"},
        {"code": None},
        {"height": "5"},
        {"more": 1},
    ],
)
def test_an_answer_of_another_shape_is_noticed(change: dict[str, Any]) -> None:
    check_shape("topic transactions", GOOD)
    with pytest.raises(AssertionError, match="otherwise than it says"):
        check_shape("topic transactions", {**GOOD, **change})
    for name in GOOD:
        with pytest.raises(AssertionError, match="otherwise than it says"):
            check_shape("topic transactions", {key: value for key, value in GOOD.items() if key != name})


def test_every_method_and_topic_is_held() -> None:
    assert {
        "node_info",
        "round_get",
        "model_predict",
        "account_history",
        "topic heads",
    } <= result_types().keys()
    assert all(told is not Any for told in result_types().values())
