"""Names of keys in place of addresses: for people with the address cut short, for programs beside it."""

from engram.library.names import Names, People, name_in
from engram.node.errors import RemoteError
from engram.primitives.keys import parse_address
from tests.support.cli import Shell
from tests.support.dev_node import HRP, address_of

ALICE, BOB = address_of("alice"), address_of("bob")
NAMES = Names(lambda: {ALICE: "alice"})


def test_people_read_the_name_and_the_beginning_of_the_address() -> None:
    told = f"alice ({ALICE[:12]}…)"
    assert NAMES.for_people(f"won by {ALICE}, not by {BOB}") == f"won by {told}, not by {BOB}"
    assert NAMES.for_people({"who": [ALICE, 3, None]}) == {"who": [told, 3, None]}


def test_a_cell_of_a_table_has_the_name_alone() -> None:
    assert [NAMES.in_table(cell, cut=True) for cell in (ALICE, BOB, 7)] == ["alice", f"{BOB[:12]}…", 7]
    assert NAMES.in_table(BOB, cut=False) == BOB


def test_tables_call_everybody_something() -> None:
    assert [NAMES.called(who) for who in (ALICE, BOB, None)] == ["alice", f"{BOB[:12]}…", "nobody"]


def test_programs_get_both() -> None:
    row = {"author": ALICE, "other": BOB, "loss": 3, "parts": [{"owner": ALICE}]}
    assert NAMES.for_programs(row) == {
        "author": ALICE,
        "author_name": "alice",
        "other": BOB,
        "loss": 3,
        "parts": [{"owner": ALICE, "owner_name": "alice"}],
    }
    sent = {"payload": {"target": ALICE}}
    assert NAMES.for_programs(sent) == sent, "it can be given to `engram tx sign`"
    named = {"name": "alice", "address": ALICE}
    assert NAMES.for_programs([named]) == [named]


def test_accounts_of_an_error_are_read_as_addresses_and_stay_bytes_for_programs() -> None:
    """Seen: `opening_restricted … (expected ['f80c…'], got 80d3…)`, where all else shows addresses."""
    alice, bob = (parse_address(text, HRP) for text in (ALICE, BOB))
    error = RemoteError("only members", code="opening_restricted", expected=[alice.hex()], got=bob.hex())
    name_in(ExceptionGroup("several", [error]), People(HRP, {ALICE: "alice"}))
    assert str(error) == f"only members (expected alice ({ALICE[:12]}…), got {BOB})"
    assert error.to_json()["expected"] == [alice.hex()]
    local = RemoteError("only members", code="opening_restricted", got=bob)
    name_in(local, People(HRP, {BOB: "bob"}))
    assert str(local) == f"only members (got bob ({BOB[:12]}…))"
    other = RemoteError("no such", code="id_not_found", got="ab" * 32)
    name_in(other, People(HRP))
    assert str(other) == f"no such (got {'ab' * 32})", "an id is no account"


def test_keys_are_looked_for_only_if_there_is_an_address() -> None:
    def find() -> dict[str, str]:
        raise AssertionError("nobody needs the keys")

    assert Names(find).for_people("leng1short") == "leng1short"
    assert Names(find).for_programs({"text": "no address"}) == {"text": "no address"}


def test_the_address_of_a_key_is_printed_whole(keyed: Shell) -> None:
    assert ALICE in keyed.text("key", "show", "alice")
    assert ALICE in keyed.text("key", "list")
