"""The story of a disputed lie at its full size: ten million weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.heavy_demo import play_and_check


@pytest.mark.timeout(1800)
def test_a_lie_about_ten_million_weights_is_found(tmp_path: Path) -> None:
    report = play_and_check(tmp_path / "report.json")
    assert report["weights"] >= 10**7
    assert report["macs_per_row"] >= 10**7
