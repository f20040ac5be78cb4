"""The normative text: PROTOCOL.md and the chapters under docs/protocol, by section, by table."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.source_tree import ROOT

FOLDER = ROOT / "docs" / "protocol"
DOCUMENTS = (ROOT / "PROTOCOL.md", *sorted((ROOT / "docs").rglob("*.md")))

_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


def chapter(name: str) -> str:
    """The text of docs/protocol/<name>.md."""
    return (FOLDER / f"{name}.md").read_text("utf-8")


def section(name: str, heading: str) -> str:
    """What stands in a chapter from this heading to the next one of its level or above."""
    text = chapter(name)
    (start,) = (match for match in _HEADING.finditer(text) if match[2] == heading)
    later = _HEADING.finditer(text, start.end())
    ends = (match.start() for match in later if len(match[1]) <= len(start[1]))
    return text[start.end() : next(ends, len(text))]


def rows(text: str) -> list[list[str]]:
    """Cells of every row of the tables in a text, without heads and rules."""
    lines = text.splitlines()
    heads = {at - 1 for at, line in enumerate(lines) if line.startswith("|--")}
    tables = [line for at, line in enumerate(lines) if line.startswith("| ") and at not in heads]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in tables]


def anchors(path: Path) -> set[str]:
    """What `#…` a link to a document may end with, as GitHub makes them of its headings."""
    titles = (match[2].lower() for match in _HEADING.finditer(path.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}
