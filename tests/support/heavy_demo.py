"""`engram demo --heavy` as a user runs it, and what every report of it must show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.played_demo import play

BOND = 100 * 10**8
"""Twice the bounty of the story."""


def play_and_check(path: Path, *arguments: str) -> dict[str, Any]:
    """The report of a story that succeeds. The command itself has asserted that the lie is found."""
    report, said = play(path, "--heavy", *arguments)
    assert (report["bond"], report["reward"]) == (BOND, BOND // 2)
    assert report["rows"] == 600
    assert report["chunks"] == 75
    assert report["disputed_rows"] == 8
    assert 75 * report["dispute_macs"] == report["claim_macs"], "a dispute computes one chunk of 75"
    assert report["dispute_macs"] < report["charged_macs"], "loading the networks is charged, too"
    assert 0 < report["dispute_fee"] < report["reward"]
    assert report["accuracy"] > 0.5
    assert "FALSE in chunk 12 of 25 of part 1" in said
    assert "8 of 600 rows" in said
    return report
