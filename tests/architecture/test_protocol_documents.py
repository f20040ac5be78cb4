"""The documents of the protocol: links that lead somewhere, one way in, plain words."""

from __future__ import annotations

import re

from tests.support.protocol_text import DOCUMENTS, FOLDER, anchors
from tests.support.source_tree import ROOT

WITH_LINKS = (*DOCUMENTS, ROOT / "README.md", ROOT / "ARCHITECTURE.md")


def test_links_lead_somewhere() -> None:
    broken = []
    for path in WITH_LINKS:
        prose = re.sub(r"`[^`\n]*`", "", path.read_text("utf-8"))
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose):
            name, _, anchor = target.partition("#")
            found = (path.parent / name).resolve() if name else path
            if not found.exists() or (anchor and anchor not in anchors(found)):
                broken.append((path.name, target))
    assert broken == []


def test_the_way_in_names_every_chapter() -> None:
    named = re.findall(r"\]\(docs/protocol/([\w-]+)\.md\)", (ROOT / "PROTOCOL.md").read_text("utf-8"))
    assert sorted(set(named)) == sorted(path.stem for path in FOLDER.glob("*.md"))


def test_nobody_of_a_round_is_a_man_or_a_woman() -> None:
    gendered = re.compile(r"\b(he|his|him|himself|she|hers|herself)\b", re.IGNORECASE)
    texts = {path.name: path.read_text("utf-8") for path in DOCUMENTS}
    assert {name: gendered.findall(text) for name, text in texts.items() if gendered.search(text)} == {}
