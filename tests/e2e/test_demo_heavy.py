"""The story of a disputed lie on a small network; `make test-experiments` plays the large one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.heavy_demo import play_and_check
from tests.support.played_demo import DEMO


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_lie_in_one_row_is_found_and_costs_the_bond(tmp_path: Path) -> None:
    report = play_and_check(tmp_path / "report.json", "--neurons", "400", "--nodes", "3", "--seed", "5")
    assert (report["nodes"], report["seed"]) == (3, 5)
    assert report["weights"] == 400 * (784 + 10)


@pytest.mark.parametrize(
    "words", [("--neurons", "64"), ("--heavy", "--details"), ("--heavy", "--data", "digits")]
)
def test_options_of_the_other_story_are_refused(words: tuple[str, ...]) -> None:
    done = subprocess.run([*DEMO, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 64, done.stderr
