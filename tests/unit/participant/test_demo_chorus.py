"""Equal lines of several authors become one with all names, and none is lost or told in another order."""

from __future__ import annotations

import pytest

from engram.participant.demo.chorus import Chorus
from engram.participant.demo.report import ScoreRow
from engram.participant.demo.stage import RoundNow


class Told:
    """A stage that notes what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.others: list[object] = []

    def act(self, title: str) -> None:
        self.lines.append(("act", title))

    def say(self, who: str, line: str) -> None:
        self.lines.append((who, line))

    def head(self, node: str, height: int, block_id: str) -> None:
        self.others.append(height)

    def round(self, now: RoundNow | None) -> None:
        self.others.append(now)

    def score(self, row: ScoreRow) -> None:
        self.others.append(row)


@pytest.fixture
def told() -> Told:
    return Told()


def test_what_all_say_is_told_once_when_the_last_has_said_it(told: Told) -> None:
    chorus = Chorus(told)
    for who in ("bob", "carol"):
        chorus.together(who, "committed", 2)
    assert told.lines == []
    chorus.together("alice", "committed", 2)
    assert told.lines == [("authors", "committed (alice, bob, carol)")]


def test_what_one_says_stays_their_own_and_in_its_place(told: Told) -> None:
    chorus = Chorus(told)
    chorus.together("bob", "a candidate", 2)
    chorus.together("alice", "a candidate", 2)
    chorus.together("liar", "refused", 2)
    chorus.together("carol", "a candidate", 2)
    chorus.say("copycat", "refused, too")
    chorus.act("the end")
    assert told.lines == [
        ("authors", "a candidate (alice, bob)"),
        ("liar", "refused"),
        ("carol", "a candidate"),
        ("copycat", "refused, too"),
        ("act", "the end"),
    ]


def test_nobody_is_waited_for_longer_than_two_blocks(told: Told) -> None:
    chorus = Chorus(told)
    chorus.head("node0", 7, "ab")
    chorus.together("bob", "committed", 2)
    chorus.head("node1", 8, "ab")
    chorus.head("node0", 8, "ab")
    assert told.lines == []
    chorus.head("node0", 9, "ab")
    assert told.lines == [("bob", "committed")]
    chorus.together("alice", "committed", 2)
    chorus.together("alice", "committed", 2)
    assert told.lines[1:] == [("alice", "committed")], "twice by one author is two lines"


def test_the_rest_goes_through(told: Told) -> None:
    chorus = Chorus(told)
    now = RoundNow(1, "TRAIN", "commit", 0, 2, 14, 70, 5, 1.75, 4, 10)
    row = ScoreRow(1, "bob", 0, 1.0, None, None, None, "standing")
    chorus.round(now)
    chorus.round(None)
    chorus.score(row)
    assert told.others == [now, None, row]
