"""What the documents say about the source is there: every file, and every name within a file."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PACKAGES = "primitives|nn|statemachine|consensus|p2p|node|participant|commands|tests|benchmarks|scripts"
REFERENCE = re.compile(rf"`((?:{PACKAGES})/[\w/]+\.py|cli\.py)(?::([\w.]+))?`")
MOST_WIDTH = 160


@cache
def names_of(path: Path) -> frozenset[str]:
    """Top-level names of a module, and the members of its classes as `Class.member`."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        if isinstance(node, ast.ClassDef):
            members = (n for n in node.body if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)))
            found |= {f"{node.name}.{member.name}" for member in members}
    return frozenset(found)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_and_name_that_a_document_gives_exists(document: Path) -> None:
    wrong = []
    for file, name in REFERENCE.findall(document.read_text()):
        path = ROOT / file
        if not path.is_file():
            wrong.append(file)
        elif name and name not in names_of(path):
            wrong.append(f"{file}:{name}")
    assert wrong == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_link_between_documents_is_broken(document: Path) -> None:
    targets = re.findall(r"\]\(([\w./-]+)(?:#[\w-]*)?\)", document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_the_tour_names_what_it_follows() -> None:
    assert len(REFERENCE.findall((ROOT / "docs/tour.md").read_text())) > 40


@pytest.mark.parametrize(
    "document", sorted({*ROOT.glob("docs/**/*.md"), ROOT / "PROTOCOL.md"}), ids=lambda path: path.name
)
def test_no_line_of_the_documents_is_too_long(document: Path) -> None:
    """But for rows of tables that a script writes: they cannot be broken."""
    by_script = (ROOT / "docs/results.md", ROOT / "docs/rpc/reference.md")
    written = "| " if document in by_script else ()
    lines = enumerate(document.read_text().splitlines(), 1)
    long = [n for n, line in lines if len(line) > MOST_WIDTH and not line.startswith(written)]
    assert long == []


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("paper", "papers"), "there is no experiment papers, only lifelong"),
        (("paper", "hospitals"), "paper, hospitals is not finished in"),
        ((), "lifelong, paper, hospitals, adversaries is not finished in"),
    ],
)
def test_results_are_not_written_from_what_is_not_there(
    names: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    page = ROOT / "docs/results.md"
    before = page.read_bytes()
    command = [sys.executable, str(ROOT / "scripts/results"), str(tmp_path), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert page.read_bytes() == before


def test_the_counted_table_is_not_stale() -> None:
    counted = subprocess.run(
        [sys.executable, ROOT / "scripts/architecture", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (counted.returncode, counted.stdout) == (0, "")
