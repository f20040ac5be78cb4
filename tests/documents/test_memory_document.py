"""The commands of `docs/memory.md`, run as they are printed: one block in a shell, the others in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.printed import blocks, played
from tests.support.source_tree import ROOT


@pytest.mark.timeout(900)
def test_the_example_with_the_digits_works_as_printed(tmp_path: Path) -> None:
    printed, said = played(blocks((ROOT / "docs/memory.md").read_text("utf-8")), tmp_path)
    fields = [line.split() for line in printed.splitlines()]
    assert fields.count(["epochs", "1:", "candidate_admitted"]) == 2, "anna and bob"
    assert fields.count(["status", "decided"]) == 4, "both rounds, for opener and author"
    assert [line[1] for line in fields if line[:1] == ["classes"]] == ["3", "5"]
    assert ["frozen", "yes"] in fields
    assert "warning" not in said
    assert "the growth of version 2 names" in said
