"""The repository as data for architecture tests: its files, their syntax trees, what they import."""

import ast
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PURE_CORE = ("primitives", "nn", "statemachine", "consensus")
NOT_SHIPPED = frozenset({"benchmarks", "build", "deploy", "dist", "docs", "requirements", "scripts", "tests"})


@dataclass(frozen=True)
class SourceFile:
    """One Python file, named by its path from the repository root."""

    path: str

    @cached_property
    def text(self) -> str:
        return (ROOT / self.path).read_text(encoding="utf-8")

    @property
    def tree(self) -> ast.Module:
        """The syntax tree, parsed again each time: the trees of all files are a million objects, and
        every test that collects garbage would have to look through them.
        """
        return ast.parse(self.text, filename=self.path)

    @cached_property
    def imported(self) -> frozenset[str]:
        """See `imported_modules`."""
        return frozenset(imported_modules(self.tree))

    @cached_property
    def libraries(self) -> frozenset[str]:
        """Top-level names that it imports and that are neither Engram's nor the standard library's."""
        return third_party(self.imported)

    @cached_property
    def begins_with(self) -> frozenset[str]:
        """The libraries that it imports as it is imported itself, and not first in a function of it."""
        nodes: list[ast.stmt] = [
            node for node in self.tree.body if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        return third_party(imported_modules(ast.Module(nodes, [])))


@cache
def source_file(path: str) -> SourceFile:
    """The file at a path from the root, read once for all tests."""
    return SourceFile(path)


def project() -> dict[str, Any]:
    """pyproject.toml, parsed."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def declared_packages() -> list[str]:
    """The `packages` list of pyproject.toml."""
    packages: list[str] = project()["tool"]["setuptools"]["packages"]
    return packages


def package_folder(package: str) -> Path:
    """Where a package of the list lives: `engram.nn.layers` is the folder nn/layers."""
    return ROOT.joinpath(*package.split(".")[1:])


def root_folders() -> list[Path]:
    """Folders at the root that could ship: neither hidden nor a cache nor a build by-product."""
    return sorted(
        entry
        for entry in ROOT.iterdir()
        if entry.is_dir() and not entry.name.startswith((".", "__")) and not entry.name.endswith(".egg-info")
    )


def files_under(*folders: str) -> Iterator[SourceFile]:
    """Every Python file under the given root folders, in path order."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield source_file(path.relative_to(ROOT).as_posix())


def shipped_files() -> Iterator[SourceFile]:
    """Every Python file of the package `engram`, those at the root included."""
    for path in sorted(ROOT.glob("*.py")):
        yield source_file(path.name)
    yield from files_under(*(folder.name for folder in root_folders() if folder.name not in NOT_SHIPPED))


def imported_modules(tree: ast.AST) -> set[str]:
    """Dotted names a module imports anywhere in it; `from a import b` counts as `a.b`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def third_party(modules: Iterable[str]) -> frozenset[str]:
    """The top-level names among these that are neither Engram's nor the standard library's."""
    return frozenset({name.partition(".")[0] for name in modules} - sys.stdlib_module_names - {"engram"})


def needs_torch(file: SourceFile) -> bool:
    """Whether a module begins by importing PyTorch, which only `make test-torch` installs."""
    return "torch" in file.begins_with


def module_name(file: SourceFile) -> str:
    """The name under which a shipped file is imported."""
    dotted = file.path.removesuffix(".py").removesuffix("__init__").strip("/").replace("/", ".")
    return f"engram.{dotted}".rstrip(".")
