"""What documents print is done by a test, and every command that they name is there, with its options."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path

import click
import pytest

from engram.cli import main
from tests.support.source_tree import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
DONE = {
    "README.md": "test_readme.py, test_library_document.py",
    "docs/auditors.md": "test_pages.py",
    "docs/by-hand.md": "test_by_hand_document.py",
    "docs/data.md": "test_pages.py",
    "docs/learn.md": "test_learn_document.py",
    "docs/library.md": "test_library_document.py",
    "docs/memory.md": "test_memory_document.py",
    "docs/operate.md": "test_operate_document.py",
    "docs/testing.md": "test_testing_document.py",
    "docs/tutorial.md": "test_tutorial_document.py",
    "docs/watch.md": "test_pages.py",
}
"""Which tests of tests/documents do what a document prints."""
EXAMPLES = {"docs/results.md": "takes hours"}
"""Documents whose blocks no test does, and why."""
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^ {4}\S.*\n)+", re.MULTILINE)
INLINE = re.compile(r"`((?:engram|make) [^`]+)`")
ENDS = {"|", "||", "&", "&&", ";", ")", "<", ">", ">>", "2>", "\\"}


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


def lines_of(text: str) -> list[str]:
    """Every command line of a document, with those that are continued joined."""
    scripts = [script for language, script in BLOCK.findall(text) if language == "sh"]
    joined = "\n".join((*scripts, *INDENTED.findall(text), *INLINE.findall(text)))
    return joined.replace("\\\n", " ").splitlines()


def words_after(line: str, program: str) -> list[list[str]]:
    """The arguments of each call of a program in a line."""
    found = []
    for start in re.finditer(rf"(?:^|[\s(;/]){program} (?=[\w<-])", line):
        rest = line[start.end() :].replace("$(", " ( ")
        lexer = shlex.shlex(rest, posix=True, punctuation_chars="()|&;")
        lexer.whitespace_split = True
        words: list[str] = []
        try:
            for word in lexer:
                if word in ENDS or word == "(":
                    break
                words.append(word)
        except ValueError:  # a quotation that goes on in the next line
            pass
        found.append(words)
    return found


def calls_of_make(line: str) -> list[list[str]]:
    """The targets of a line that begins with `make`; elsewhere it is an ordinary word."""
    return words_after(line, "make") if line.lstrip().startswith("make ") else []


def wrong_with(words: list[str]) -> str | None:
    """What is wrong with the arguments of `engram`; None if the command and its options are there."""
    command: click.Command = main
    options = {"--help", "--version"}
    for before, word in zip(("", *words), words, strict=False):
        context = click.Context(command)
        if isinstance(command, click.Group) and not word.startswith("-"):
            found = command.get_command(context, word)
            if found is None:
                if before.startswith("-"):
                    continue
                if not re.fullmatch(r"[a-z][a-z-]+", word):  # a name that stands for any command
                    return None
                return f"no command {' '.join(words)}"
            command = found
            options = {"--help"} | {
                name for each in command.params for name in (*each.opts, *each.secondary_opts)
            }
        elif word.startswith("--") and (name := word.partition("=")[0]) != "--" and name not in options:
            return f"no option {name} of engram {' '.join(words)}"
    return None


@cache
def targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_block_is_done_by_a_test(document: Path) -> None:
    has = bool(BLOCK.search(document.read_text("utf-8")))
    named = name_of(document) in DONE | EXAMPLES
    assert has == named, "name the test that does the blocks of this document, or take the document out"
    for test in DONE.get(name_of(document), "").split(", "):
        assert not test or (ROOT / "tests/documents" / test).is_file()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_that_a_document_names_is_there(document: Path) -> None:
    wrong: list[str | None] = []
    for line in lines_of(document.read_text("utf-8")):
        wrong += [wrong_with(words) for words in words_after(line, "engram")]
        wrong += [f"no target {words[0]}" for words in calls_of_make(line) if words[0] not in targets()]
    assert [each for each in wrong if each is not None] == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("engram round open --data digits --no-such 1", "no option --no-such"),
        ("engram model frobnicate", "no command model frobnicate"),
        ("x=$(engram chain head --jsn | cat)", "no option --jsn"),
        ("engram round open MODEL --data=digits && echo --no-such", None),
    ],
)
def test_a_wrong_command_is_found(line: str, said: str | None) -> None:
    [words] = words_after(line, "engram")
    found = wrong_with(words)
    assert (found is None) if said is None else (found is not None and found.startswith(said))
