"""The commands of `docs/learn.md`, run as they are printed: one block in a shell, the others in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.printed import blocks, played
from tests.support.source_tree import ROOT


@pytest.mark.timeout(900)
def test_the_example_with_the_digits_works_as_printed(tmp_path: Path) -> None:
    printed, said = played(blocks((ROOT / "docs/learn.md").read_text("utf-8")), tmp_path)
    fields = [line.split() for line in printed.splitlines()]
    assert ["classes", "5"] in fields
    assert "examples are forgotten" in said
    assert ["action", "wait"] in fields, "before there are enough examples"
    memories = [[word for word in line if word in ("fast", "slow")] for line in fields]
    assert ["fast"] in memories, "the digit 3, before it was consolidated"
    assert memories[-20:].count(["fast"]) == 0, "none afterwards"
