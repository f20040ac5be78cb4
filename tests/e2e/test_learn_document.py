"""The commands of `docs/learn.md`, run as they are printed: one block in a shell, the others in a second."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.e2e.test_readme import WAIT_S, shell
from tests.support.source_tree import ROOT


@pytest.mark.timeout(900)
def test_the_example_with_the_digits_works_as_printed(tmp_path: Path) -> None:
    text = (ROOT / "docs/learn.md").read_text("utf-8")
    first, *later = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    with (
        (tmp_path / "node.log").open("w") as log,
        (tmp_path / "notes.log").open("w") as notes,
        shell(first, tmp_path, log) as node,
    ):
        assert node.stdout is not None
        assert "node answers at" in node.stdout.readline(), (tmp_path / "node.log").read_text()
        with shell("".join(later), tmp_path, notes) as player:
            printed, _ = player.communicate(timeout=WAIT_S)
        said = printed + (tmp_path / "notes.log").read_text()
        assert player.returncode == 0, said
        os.killpg(node.pid, signal.SIGINT)
        assert node.wait(timeout=WAIT_S) in (0, 128 + signal.SIGINT, -signal.SIGINT)
    fields = [line.split() for line in printed.splitlines()]
    assert ["classes", "5"] in fields
    assert "examples are forgotten" in said
    assert ["action", "wait"] in fields, "before there are enough examples"
    memories = [[word for word in line if word in ("fast", "slow")] for line in fields]
    assert ["fast"] in memories, "the digit 3, before it was consolidated"
    assert memories[-20:].count(["fast"]) == 0, "none afterwards"
    assert "Traceback" not in said
