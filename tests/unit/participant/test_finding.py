"""Which model or round is meant: by the beginning of an id, or by what is alive and one's own."""

from __future__ import annotations

from typing import Any

import pytest

from engram.participant.errors import IdAmbiguous, IdNotFound
from engram.participant.finding import chosen, meant, takes_updates

OPEN, DECIDED = 0, 1
CALENDAR = {
    "open": [1, 4],
    "commit_0": [5, 9],
    "update_0": [10, 14],
    "commit_1": [15, 19],
    "closed": [20, None],
}


def a_round(name: str, **facts: Any) -> dict[str, Any]:
    given = {"status": OPEN, "due": None, "opened": 1, "tick": 7, "calendar": CALENDAR}
    return {"id": name * 32, **given, **facts}


def test_ids_by_their_beginning() -> None:
    items = [{"id": "ab" * 32}, {"id": "ac" * 32}]
    assert chosen("model", items, "ab") == "ab" * 32
    assert chosen("model", items[:1], None) == "ab" * 32
    with pytest.raises(IdAmbiguous):
        chosen("model", items, "a")
    with pytest.raises(IdAmbiguous):
        chosen("model", items, None)
    for none in ("b", "zz" * 32, "AB"):
        with pytest.raises(IdNotFound):
            chosen("model", items, none)
    with pytest.raises(IdNotFound):
        chosen("model", [], None)


def test_what_is_alive_is_meant_before_what_only_waits_to_be_settled() -> None:
    dead = a_round("01", due="unrevealed")
    alive = a_round("02", opened=2)
    late_witness = a_round("03", due="unopened")
    ended = a_round("04", status=DECIDED, opened=9)
    assert meant([dead, alive, ended]) == [alive]
    assert meant([dead, late_witness]) == [late_witness], "a witness who fails ends no round"
    assert meant([dead, ended]) == [dead]
    assert meant([ended, a_round("05", status=DECIDED, opened=3)]) == [ended]
    assert meant([]) == []


def test_among_rounds_that_are_alive_ones_own_comes_first() -> None:
    others, own, dead = a_round("01"), a_round("02"), a_round("03", due="withheld")
    assert meant([others, own], lambda item: item is own) == [own]
    assert meant([others, own]) == [others, own], "nothing tells them apart"
    assert meant([others, dead], lambda item: item is dead) == [others], (
        "one's own that is dead does not count"
    )
    assert meant([dead, a_round("04", due="withheld")], lambda item: item is dead) == [dead]


@pytest.mark.parametrize(("tick", "takes"), [(1, True), (19, True), (20, False)])
def test_a_round_takes_updates_until_its_last_commits(tick: int, takes: bool) -> None:
    assert takes_updates(a_round("01", tick=tick)) is takes
    assert not takes_updates(a_round("01", tick=tick, due="no_candidate"))
