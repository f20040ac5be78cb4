"""Which head wins, and the steps from one branch to another."""

from dataclasses import dataclass

import pytest

from engram.consensus.forkchoice import ReorgPlan, better, plan_reorg


@dataclass(frozen=True)
class Entry:
    name: str
    height: int
    total_work: int = 0


PARENTS = {"a1": "g", "a2": "a1", "a3": "a2", "b2": "a1", "b3": "b2", "b4": "b3"}
HEIGHTS = {"g": 0, "a1": 1, "a2": 2, "a3": 3, "b2": 2, "b3": 3, "b4": 4}


def entry(name: str) -> Entry:
    return Entry(name, HEIGHTS[name])


def parent_of(child: Entry) -> Entry:
    return entry(PARENTS[child.name])


def names(entries: tuple[Entry, ...]) -> str:
    return " ".join(each.name for each in entries)


def test_more_work_wins_and_the_first_seen_stays() -> None:
    assert better(Entry("x", 1, 101), Entry("y", 9, 100))
    assert not better(Entry("x", 9, 100), Entry("y", 1, 100))
    assert not better(Entry("x", 9, 99), Entry("y", 1, 100))


@pytest.mark.parametrize(
    ("old", "new", "disconnect", "connect"),
    [
        ("a3", "b4", "a3 a2", "b2 b3 b4"),
        ("b4", "a3", "b4 b3 b2", "a2 a3"),
        ("a3", "b2", "a3 a2", "b2"),
        ("a1", "a3", "", "a2 a3"),
        ("a3", "a1", "a3 a2", ""),
        ("a3", "a3", "", ""),
        ("g", "b4", "", "a1 b2 b3 b4"),
    ],
)
def test_plan(old: str, new: str, disconnect: str, connect: str) -> None:
    plan: ReorgPlan[Entry] = plan_reorg(entry(old), entry(new), parent_of)
    assert (names(plan.disconnect), names(plan.connect)) == (disconnect, connect)
