"""What a long command says: JSON lines, plain lines, or a live display in a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from engram.commands.support.progress import ProgressPrinter, by_tenths, by_thousands
from engram.participant.notices import Notice

COMMITTED = Notice("epoch 0: committed", "committed", epoch=0, bond=250_000_000)
PLAY = """
from engram.commands.support.progress import ProgressPrinter, by_tenths, by_thousands
from engram.participant.notices import Notice
with ProgressPrinter(as_json=False, player="bob") as printer:
    for step in range(1, 11):
        printer.training(step, 10, 1 / step)
    printer.notice(Notice("epoch [0]: committed", "committed", epoch=0, bond=250_000_000))
    printer.result({"status": "decided"}, [("status", "decided")])
"""


def train(printer: ProgressPrinter, steps: int) -> None:
    for step in range(1, steps + 1):
        printer.training(step, steps, 1 / step)


def test_people_read_plain_lines_and_money_in_coins(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressPrinter(as_json=False, player="bob") as printer:
        train(printer, 8)
        train(printer, 8)
        printer.notice(COMMITTED)
        printer.result({"status": "decided"}, [("status", "decided")])
    printed = capsys.readouterr()
    assert printed.out == "player  bob\nstatus  decided\n"
    lines = printed.err.splitlines()
    assert [line.rpartition(",")[0] for line in lines[:4]] == [
        f"bob: training, {step} of 8 steps" for step in (2, 4, 6, 8)
    ]
    assert lines[4:8] == lines[:4], "a second training is told as the first"
    assert lines[8:] == ["bob: epoch 0: committed (bond 2.5)"], "players in one terminal are told apart"


def test_machines_read_a_line_for_every_event_and_the_result_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ProgressPrinter(as_json=True, player="bob") as printer:
        train(printer, 4)
        printer.notice(COMMITTED)
        printer.result({"status": "decided"}, ())
    printed = capsys.readouterr()
    assert printed.err == ""
    events = [json.loads(line) for line in printed.out.splitlines()]
    assert [event["event"] for event in events] == ["training"] * 4 + ["committed", "result"]
    assert events[4] == {"event": "committed", "text": str(COMMITTED), "epoch": 0, "bond": 250_000_000}
    assert events[5] == {"event": "result", "status": "decided"}


def test_a_terminal_shows_progress_and_keeps_what_was_told() -> None:
    theirs, ours = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", PLAY], stderr=ours, stdout=subprocess.PIPE) as process:
        os.close(ours)
        shown = b""
        try:
            while chunk := os.read(theirs, 65_536):
                shown += chunk
        except OSError:
            pass  # the other end of the terminal is closed
        assert process.stdout is not None
        assert process.stdout.read() == b"player  bob\nstatus  decided\n"
    os.close(theirs)
    assert process.returncode == 0, shown
    assert b"bob: epoch [0]: committed (bond 2.5)" in shown
    assert b"training" in shown


def test_a_height_is_said_once_whatever_stands_still() -> None:
    said: list[str] = []
    progress = by_thousands(said.append)
    for height in (0, 0, 999, 1_000, 1_000, 1_002, 3_500, 3_000):
        progress(height)
    assert said == ["height 1000", "height 3000"]


def test_a_rebuild_is_told_by_what_it_has_read() -> None:
    """Its head may stand still for long, for instance before a block whose body comes late."""
    said: list[str] = []
    progress = by_tenths(said.append)
    for height, done in ((0, 0), (0, 5), (0, 30), (0, 30), (7, 100)):
        progress(height, done, 100)
    assert [line.partition(",")[0] for line in said] == [
        "0 % of the block files are read",
        "30 % of the block files are read",
        "100 % of the block files are read",
    ]
