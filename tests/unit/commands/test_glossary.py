"""The glossary: one page from which the command reads, whole sentences, and no word that it cannot find."""

import re

import pytest

from engram.commands.support.glossary import find_term, load_terms, near_words
from tests.support.cli import Shell
from tests.support.source_tree import ROOT

TERMS = load_terms()
PAGE = (ROOT / "docs/glossary.md").read_text()


def test_every_heading_of_the_page_is_a_word_with_a_sentence() -> None:
    assert [term.name for term in TERMS] == re.findall(r"^### (.+)$", PAGE, re.MULTILINE)
    assert [term.name for term in TERMS if not re.match(r"[A-Z].{20,200}\.$", term.sentence)] == []
    assert [term.name for term in TERMS if "Also:" in term.text or "](" in term.text] == []


def test_no_form_names_two_words() -> None:
    forms = [form.lower() for term in TERMS for form in (term.name, *term.others)]
    assert sorted(forms) == sorted(set(forms))


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("witness", "witness"),
        ("WITNESSES", "witness"),
        ("z_squared", "z squared"),
        ("max fee", "maximum fee"),
        ("revealed", "validation"),
    ],
)
def test_a_word_is_found_in_other_forms(word: str, name: str) -> None:
    found = find_term(TERMS, word)
    assert found is not None
    assert found.name == name


WORDS = ["gate", "macs", "claimable", "independent", "sealed", "epoch", "window", "state", "self-graded"]


@pytest.mark.parametrize("word", WORDS)
def test_words_of_outputs_are_explained(word: str) -> None:
    assert find_term(TERMS, word) is not None


def test_the_command_prints_what_the_page_says(fresh: Shell) -> None:
    printed = fresh.text("glossary", "z", "squared")
    term = find_term(TERMS, "z squared")
    assert term is not None
    assert " ".join(printed.split()).startswith(f"z squared {term.text}")
    assert max(map(len, printed.splitlines())) <= 80
    assert fresh.json("glossary", "z", "squared")["words"][0]["text"] == term.text


def test_without_a_word_all_are_listed(fresh: Shell) -> None:
    printed = fresh.text("glossary")
    assert [term.name for term in TERMS if f"\n  {term.name}\n" not in printed] == []
    assert [each["word"] for each in fresh.json("glossary")["words"]] == [term.name for term in TERMS]


def test_an_unknown_word_is_refused_with_those_that_are_near(fresh: Shell) -> None:
    assert fresh.error("glossary", "witnes") == (64, "usage")
    assert near_words(TERMS, "witnes")[0] == "witness"
    assert "witness" in fresh.run("glossary", "witnes").stderr
    assert "lists all words" in fresh.run("glossary", "qqqq").stderr
