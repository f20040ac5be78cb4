"""Reads the glossary, docs/glossary.md, which ships with the package: words and what they mean.

A word is a heading of level three. Its text begins with one sentence that stands by itself, and a last
paragraph "Also: WORD, WORD." names other forms under which it is found. Headings of level two are sections.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).parents[2] / "docs" / "glossary.md"
TECHNICAL: Final = (
    *("anchor", "audit", "author", "badge", "bank", "baseline", "bond", "candidate", "carried"),
    *("claimable", "commit", "component", "contribution", "draw", "drawn", "due", "entry", "epoch"),
    *("epsilon", "exponent", "frozen", "gate", "growth", "independent", "lead", "lineage", "logit"),
    *("macs", "maturing", "member", "nonce", "opener", "part", "policy", "pot", "reputation", "retention"),
    *("root", "rung", "sealed", "segment", "standing witness", "sums", "tensor", "tick", "tip"),
    *("unseen", "validation", "witness", "z squared"),
)
"""Words of the glossary that mean something else in everyday English, or nothing."""
_ALSO: Final = re.compile(r"^Also: (.+)\.$")
_SENTENCE: Final = re.compile(r".+?[.](?= |$)")
_LINK: Final = re.compile(r"\[([^]]+)\]\(([^)]+)\)")


@dataclass(frozen=True)
class Term:
    """A word of the glossary."""

    name: str
    section: str
    text: str
    """One paragraph without line breaks, with back-quotes around what is typed."""
    others: tuple[str, ...]
    """Other forms under which the word is found, without the name itself."""

    @property
    def sentence(self) -> str:
        """The first sentence of the text."""
        found = _SENTENCE.match(self.text)
        return self.text if found is None else found[0]


def load_terms() -> tuple[Term, ...]:
    """All words in the order of the page."""
    return parse(FILE.read_text("utf-8"))


def parse(page: str) -> tuple[Term, ...]:
    """The words of a page of this form."""
    terms = []
    for section in page.split("\n## ")[1:]:
        title, *entries = section.split("\n### ")
        for entry in entries:
            name, _, body = entry.partition("\n")
            paragraphs = [" ".join(lines.split()) for lines in body.strip().split("\n\n")]
            also = _ALSO.match(paragraphs[-1])
            others = tuple(also[1].split(", ")) if also else ()
            text = " ".join(paragraphs[:-1] if also else paragraphs)
            terms.append(Term(name.strip(), title.strip(), _LINK.sub(r"\1", text), others))
    return tuple(terms)


def find_term(terms: tuple[Term, ...], word: str) -> Term | None:
    """The word of this name or other form, whatever its case and whether or not it is in the plural."""
    wanted = _plain(word)
    for form in (wanted, wanted.removesuffix("s")):
        for term in terms:
            if form in map(_plain, (term.name, *term.others)):
                return term
    return None


def near_words(terms: tuple[Term, ...], word: str) -> list[str]:
    """Names of words that are spelt alike, or whose text uses it; at most five."""
    from difflib import get_close_matches

    forms = {_plain(form): term.name for term in terms for form in (term.name, *term.others)}
    alike = [forms[form] for form in get_close_matches(_plain(word), forms, n=5)]
    using = [term.name for term in terms if re.search(rf"\b{re.escape(word)}", term.text, re.IGNORECASE)]
    return list(dict.fromkeys([*alike, *using]))[:5]


def technical_words(text: str) -> list[str]:
    """Those of `TECHNICAL` that a text uses, also in the plural."""
    plain = f" {' '.join(re.findall(r'[a-z]+', text.lower()))} "
    return [word for word in TECHNICAL if f" {word} " in plain or f" {word}s " in plain]


def _plain(word: str) -> str:
    return word.strip().lower().replace("_", " ").replace("-", " ")
