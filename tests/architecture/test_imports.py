"""Imports go one way: between modules, between the wings of a package, and between packages."""

import ast
from collections import defaultdict

import pytest

from tests.support.import_graph import Graph, collapsed, cycle, modules
from tests.support.source_tree import declared_packages, shipped_files

PACKAGES = sorted(package.removeprefix("engram.") for package in declared_packages() if "." in package)


def wing(module: str) -> str:
    """The folder that holds a module, if it is a folder within a package; else the module itself."""
    package = module if module in PACKAGES else module.rpartition(".")[0]
    return package if "." in package else module


def within(package: str) -> Graph:
    """The modules directly in a package or wing, and their imports of each other."""
    own = {name for name in modules() if name.rpartition(".")[0] == package}
    return {name: modules()[name] & own for name in own}


def test_no_two_modules_import_each_other() -> None:
    assert cycle(modules()) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_within_a_package_go_one_way(package: str) -> None:
    assert cycle(within(package)) == []


def test_imports_between_wings_go_one_way() -> None:
    """A package's flat modules count each as itself, its folders as one."""
    graph = {name: imported for name, imported in modules().items() if name not in PACKAGES}
    assert cycle(collapsed(graph, wing)) == []


def test_a_cycle_is_found_and_named() -> None:
    graph = {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"b"}), "d": frozenset()}
    assert cycle(graph) == ["b", "c", "b"]
    assert cycle({**graph, "c": frozenset({"d"})}) == []
    assert cycle(collapsed({"x.a": frozenset({"y.a"}), "y.b": frozenset({"x.b"})}, lambda n: n[0])) == [
        "x",
        "y",
        "x",
    ]


def test_no_public_class_name_stands_for_two_things() -> None:
    places: dict[str, set[str]] = defaultdict(set)
    for file in shipped_files():
        for node in file.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].add(file.path)
    assert {name: files for name, files in places.items() if len(files) > 1} == {}
