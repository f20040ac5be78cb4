"""The repository root is the package: what ships is listed, and nothing ships by accident."""

import ast
from pathlib import Path

import engram
from engram.node.explorer.serving import STATIC
from tests.support.source_tree import (
    NOT_SHIPPED,
    ROOT,
    SourceFile,
    declared_packages,
    files_under,
    package_folder,
    root_folders,
    shipped_files,
)

MAX_LINES = 400


def own_files() -> list[SourceFile]:
    return [*shipped_files(), *files_under("tests", "benchmarks")]


def test_the_packages_list_is_the_folders() -> None:
    shipped = [folder for folder in root_folders() if folder.name not in NOT_SHIPPED]
    folders = [ROOT, *shipped, *(sub for top in shipped for sub in top.rglob("*") if sub.is_dir())]
    with_code = {folder for folder in folders if folder.name != "__pycache__" and not _is_data(folder)}
    assert {package_folder(package) for package in declared_packages()} == with_code
    assert [folder for folder in with_code if not (folder / "__init__.py").is_file()] == []


def _is_data(folder: Path) -> bool:
    """Whether it belongs to a package's data, which pyproject.toml lists, and holds no code."""
    return "static" in folder.relative_to(ROOT).parts


def test_folders_of_data_hold_no_code() -> None:
    assert STATIC.is_dir()
    assert list(STATIC.rglob("*.py")) == []


def test_no_stray_module_at_the_root() -> None:
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "cli.py"}


def test_the_package_is_the_checkout() -> None:
    assert engram.__file__ is not None
    assert ROOT.joinpath("__init__.py").samefile(engram.__file__)


def test_type_checkers_find_the_package_by_its_name() -> None:
    link = ROOT / ".typing" / "engram"
    assert link.is_symlink()
    assert link.readlink().as_posix() == ".."


def test_no_file_is_too_long() -> None:
    lengths = {file.path: file.text.count("\n") for file in own_files()}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


def test_no_file_of_a_page_is_too_long() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in STATIC.rglob("*") if path.is_file()}
    assert {path.name for path, text in texts.items() if text.count("\n") > MAX_LINES} == set()
    lines = {(path.name, line) for path, text in texts.items() for line in text.splitlines()}
    assert {(name, line) for name, line in lines if len(line) > 110} == set()


def test_every_file_opens_with_its_border() -> None:
    assert [file.path for file in own_files() if not ast.get_docstring(file.tree)] == []


def test_no_grab_bag_names() -> None:
    grab_bags = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [
        file.path for file in own_files() if grab_bags & set(file.path.removesuffix(".py").split("/"))
    ] == []
