"""Every phase of a round, and every way in which one ends, has words in terminals and in the explorer."""

import re

from engram.commands.support.phases import PHASES
from engram.node.explorer.serving import STATIC
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import RoundStatus

NAMES = [phase.name.lower() for phase in Phase]
EXPLORER = (STATIC / "roundwords.js").read_text("utf-8")


def test_people_are_told_what_happens_in_each_phase() -> None:
    assert list(PHASES) == NAMES
    assert all(PHASES.values())


def test_the_explorer_knows_the_same_phases_and_ends() -> None:
    table = EXPLORER.partition("const PHASES = {")[2].partition("\n};")[0]
    assert re.findall(r"^  (\w+): \[", table, flags=re.MULTILINE) == NAMES
    ends = re.findall(r'"(\w+)"', EXPLORER.partition("const STATUS = [")[2].partition("]")[0])
    assert ends == [status.name.lower() for status in sorted(RoundStatus)]
