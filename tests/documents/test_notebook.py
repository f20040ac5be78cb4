"""The notebook, executed as Jupyter does it: cell by cell in one namespace, in a running event loop."""

from __future__ import annotations

import ast
import inspect
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.source_tree import ROOT

NOTEBOOK = ROOT / "docs/notebook.ipynb"


def cells() -> list[dict[str, Any]]:
    content = json.loads(NOTEBOOK.read_text("utf-8"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    found: list[dict[str, Any]] = content["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


async def test_the_notebook_runs_from_the_top(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names: dict[str, Any] = {}
    try:
        for number, cell in enumerate(cells()):
            source = "".join(cell["source"])
            code = compile(source, f"cell {number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            answer = eval(code, names)
            if inspect.isawaitable(answer):
                await answer
    finally:
        names.get("running", ExitStack()).close()
    printed = capsys.readouterr().out
    assert "accepted\n" in printed
    assert len(names["why"].groups) == 2, "bob and carol"


def test_the_notebook_is_kept_without_what_it_printed() -> None:
    kept = [cell for cell in cells() if cell["outputs"] or cell["execution_count"] is not None]
    assert kept == []
