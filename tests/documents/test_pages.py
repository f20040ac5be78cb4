"""Pages whose blocks need no node that runs beside them: all blocks, in their order, in one folder."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.printed import follow
from tests.support.source_tree import ROOT

ENGRAM = Path(sysconfig.get_path("scripts")) / "engram"


def audited(folder: Path, printed: str) -> None:
    conclusion = (folder / "conclusion.txt").read_text("utf-8")
    assert conclusion.startswith("accepted\n")
    assert "came from witnesses" in conclusion
    assert "So little work is no anchor" in printed, "on the chain with work"
    assert "The file model.npz holds exactly the weights and biases of this version." in conclusion
    lines = printed.splitlines()
    assert [line for line in lines if line in ("accepted", "consistent, not anchored")] == [
        "consistent, not anchored",
        "accepted",
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


def watched(folder: Path, printed: str) -> None:
    [group] = json.loads((folder / "watch/targets.json").read_text("utf-8"))
    assert len(set(group["targets"])) == 3
    assert all(f"http://{target} " in printed for target in group["targets"]), "the nodes answer there"
    assert (folder / "watch/alerts.yml").is_file()
    assert ["stopped", "3"] in [line.split() for line in printed.splitlines()]


PAGES: dict[str, Callable[[Path, str], None]] = {
    "docs/auditors.md": audited,
    "docs/data.md": converted,
    "docs/watch.md": watched,
}


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_the_page_works(page: str, tmp_path: Path) -> None:
    try:
        printed = follow((ROOT / page).read_text("utf-8"), tmp_path)
    finally:  # a page that fails half-way leaves no network behind
        if (tmp_path / "net").is_dir():
            subprocess.run([ENGRAM, "localnet", "down", "--dir", tmp_path / "net"], check=False)
    PAGES[page](tmp_path, printed)
