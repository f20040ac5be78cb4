"""The tutorial, done as it is printed: a program writes data, one block starts a node, the others follow."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.printed import blocks, played
from tests.support.source_tree import ROOT


@pytest.mark.timeout(900)
def test_the_tutorial_works_as_printed(tmp_path: Path) -> None:
    text = (ROOT / "docs/tutorial.md").read_text("utf-8")
    [program] = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    printed, said = played(blocks(text), tmp_path)
    fields = [line.split() for line in printed.splitlines()]
    assert fields.count(["epochs", "1:", "candidate_admitted"]) == 2, "alice and bob"
    assert fields.count(["status", "decided"]) == 4, "both rounds, for opener and author"
    assert ["frozen", "yes"] in fields
    assert "warning" not in said, "a reader would wonder"
    assert ["accepted"] in fields
    assert "The file flowers.npz holds exactly the weights and biases of this version." in printed
    assert (tmp_path / "flowers.onnx").is_file()
