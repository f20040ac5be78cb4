"""Pages whose blocks need no node that runs beside them: all blocks, in their order, in one folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.printed import follow
from tests.support.source_tree import ROOT


def audited(folder: Path, printed: str) -> None:
    conclusion = (folder / "conclusion.txt").read_text("utf-8")
    assert conclusion.startswith("accepted\n")
    assert "came from witnesses" in conclusion
    assert "The file model.npz holds exactly the weights and biases of this version." in conclusion
    lines = printed.splitlines()
    assert [line for line in lines if line in ("accepted", "consistent, not anchored")] == [
        "consistent, not anchored",
        "accepted",
        "accepted",
    ]
    assert lines[-1].startswith("proof_damaged - ")


def converted(folder: Path, printed: str) -> None:
    assert printed.count("not usable yet") == 1
    assert printed.count("would found") == 1
    assert "0 daisy, 1 poppy, 2 lupin" in printed
    assert (folder / "new-kind.mapping.json").is_file()


PAGES: dict[str, Callable[[Path, str], None]] = {"docs/auditors.md": audited, "docs/data.md": converted}


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_the_page_works(page: str, tmp_path: Path) -> None:
    PAGES[page](tmp_path, follow((ROOT / page).read_text("utf-8"), tmp_path))
