"""The README's round by hand, run exactly as it is printed: one block in a shell, the other in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.printed import blocks, played
from tests.support.source_tree import ROOT

SECTION = "## Play a round by hand\n"


@pytest.mark.timeout(900)
def test_a_round_is_played_by_hand_as_printed(tmp_path: Path) -> None:
    section = (ROOT / "README.md").read_text("utf-8").partition(SECTION)[2].partition("\n## ")[0]
    scripts = blocks(section)
    assert len(scripts) == 2, "the node's terminal and the player's"
    printed, _ = played(scripts, tmp_path)
    fields = [line.split() for line in printed.splitlines()]
    assert ["epochs", "1:", "candidate_admitted"] in fields
    assert fields.count(["status", "decided"]) == 2, "dev and alice"
    assert ["frozen", "yes"] in fields
    assert ["accepted"] in fields
    assert "The file model.npz holds exactly the weights and biases of this version." in printed
