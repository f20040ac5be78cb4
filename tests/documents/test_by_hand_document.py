"""The round of docs/by-hand.md, run exactly as it is printed: one block in a shell, the other in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.printed import blocks, played
from tests.support.source_tree import ROOT


@pytest.mark.timeout(900)
def test_a_round_with_all_parties_is_played_as_printed(tmp_path: Path) -> None:
    scripts = blocks((ROOT / "docs/by-hand.md").read_text("utf-8"))
    assert len(scripts) == 2, "the node's terminal and the player's"
    printed, _ = played(scripts, tmp_path)
    fields = [line.split() for line in printed.splitlines()]
    assert ["epochs", "1:", "candidate_admitted"] in fields
    assert fields.count(["epochs", "1:", "candidate_admitted"]) == 2, "alice and bob"
    assert fields.count(["status", "decided"]) == 4, "three who played, and `round show`"
    assert any("others than the opener have opened parts" in line for line in printed.splitlines()), "carol's"
    assert ["frozen", "yes"] in fields
    assert ["accepted"] in fields
    assert "The file model.npz holds exactly the weights and biases of this version." in printed
    assert "rows came from witnesses" in printed
    assert (tmp_path / "model.npz.intoto.json").is_file()
