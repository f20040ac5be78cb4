"""What an error carries to people, to RPC clients and across processes."""

import pickle

import pytest

from engram.primitives.errors import BadSignature, ChainError, Invalid, NotReady, OutOfRange, all_error_codes


def test_the_message_defaults_to_the_rule() -> None:
    assert str(BadSignature()) == "The signature is malformed or does not verify"


def test_the_text_holds_fact_and_numbers() -> None:
    assert str(OutOfRange("fee is out of range", expected="1..9", got=10)) == (
        "fee is out of range (expected 1..9, got 10)"
    )
    assert str(OutOfRange("fee", got=0)) == "fee (got 0)"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OutOfRange("6 parts take 1,360 rows, there are 202", expected=1360, got=202), None),
        (OutOfRange("there are 202", expected=1360, got=202), "there are 202 (expected 1360, got 202)"),
        (OutOfRange("it has 'oak' and 'elm tree'", got=["elm tree", "oak"]), None),
        (OutOfRange("it has 'oak'", got=["elm", "oak"]), "it has 'oak' (got elm, oak)"),
        (OutOfRange("in row 12.5 and 112", got=12), "in row 12.5 and 112 (got 12)"),
        (OutOfRange("within -12", got=12), "within -12 (got 12)"),
        (OutOfRange("none", got=[]), "none (got none)"),
    ],
)
def test_what_the_message_says_itself_does_not_follow_it(error: ChainError, text: str | None) -> None:
    assert str(error) == (error.message if text is None else text)
    assert error.to_json()["got"] == error.got, "programs get it in any case"


def test_long_bytes_are_cut_in_text_and_whole_in_json() -> None:
    error = BadSignature("bad", got=b"\xab" * 64)
    assert str(error) == f"bad (got {'ab' * 32}… (64 bytes))"
    assert error.to_json()["got"] == "ab" * 64


def test_json_holds_json_values_only() -> None:
    error = OutOfRange("x", expected=(b"\x01", [2, None]), got={"set"})
    assert error.to_json() == {
        "code": "out_of_range",
        "message": "x",
        "expected": ["01", [2, None]],
        "got": "{'set'}",
    }


def test_an_error_crosses_processes_whole() -> None:
    error = pickle.loads(pickle.dumps(OutOfRange("fee", expected=1, got=2)))
    assert type(error) is OutOfRange
    assert error.to_json() == OutOfRange("fee", expected=1, got=2).to_json()


def test_families_tell_the_peers_fault_from_nobodys() -> None:
    assert issubclass(BadSignature, Invalid)
    assert not issubclass(NotReady, Invalid)


def test_a_code_follows_from_the_name_unless_the_class_says_otherwise() -> None:
    class DoorIsClosed(NotReady):
        """Its code is its name."""

    class Renamed(DoorIsClosed):
        """Clients know it by an older name."""

        code = "door_closed"

    assert (DoorIsClosed.code, Renamed.code, DoorIsClosed().to_json()["code"]) == (
        "door_is_closed",
        "door_closed",
        "door_is_closed",
    )
    assert DoorIsClosed in all_error_codes()["door_is_closed"]


@pytest.mark.parametrize("error", [ChainError(), Invalid("why")])
def test_a_family_can_be_raised(error: ChainError) -> None:
    with pytest.raises(ChainError) as raised:
        raise error
    assert raised.value.to_json()["code"] == error.code
