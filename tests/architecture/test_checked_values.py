"""What says that something was checked is made only where it is checked."""

import ast

import pytest

from tests.support.source_tree import shipped_files

MAKERS = {"CheckedHeader": ["take", "extend"], "CheckedBlock": ["check_block"]}
"""`take` gives back headers that `extend` has made and that were kept in a smaller form."""


@pytest.mark.parametrize(("name", "makers"), MAKERS.items())
def test_only_the_check_makes_the_checked_value(name: str, makers: list[str]) -> None:
    made = []
    for file in shipped_files():
        for function in ast.walk(file.tree):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
                made += [
                    (file.path, function.name)
                    for call in calls
                    if isinstance(call.func, ast.Name) and call.func.id == name
                ]
    assert made == [("node/chain/headers.py", maker) for maker in makers]
