"""An assertion ends the process, so no bytes of a stranger may reach one: each says why it holds."""

import ast

from tests.support.source_tree import shipped_files

LEAST_WORDS = 5
"""Fewer do not make a reason."""


def reason(node: ast.expr | None, names: dict[str, str]) -> str:
    """The text of a message; what an f-string inserts counts as one word."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(reason(part, names) or "VALUE" for part in node.values)
    return names.get(node.id, "") if isinstance(node, ast.Name) else ""


def without_reason(tree: ast.Module) -> list[int]:
    """Lines of the assertions, raised ones too, whose message does not say why they hold."""
    names = {
        target.id: reason(node.value, {})
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = []
    for node in ast.walk(tree):
        message: ast.expr | None
        if isinstance(node, ast.Assert):
            message = node.msg
        elif isinstance(node, ast.Raise) and "AssertionError" in ast.unparse(node):
            message = node.exc.args[0] if isinstance(node.exc, ast.Call) and node.exc.args else None
        else:
            continue
        if len(reason(message, names).split()) < LEAST_WORDS:
            found.append(node.lineno)
    return sorted(found)


def test_every_assertion_says_why_it_holds() -> None:
    """Whoever adds one says why no peer, client or file reaches it; what they can reach is a typed error."""
    found = {file.path: lines for file in shipped_files() if (lines := without_reason(file.tree))}
    assert found == {}


def test_an_assertion_without_a_reason_is_found() -> None:
    source = (
        "assert a\nassert b, 'short'\nassert c, f'{c} is what the caller has checked'\nraise AssertionError"
    )
    assert without_reason(ast.parse(source)) == [1, 2, 4]


def test_nothing_catches_an_assertion() -> None:
    """A caught one would hide a bug, and could become a rule that nobody wrote down."""
    catching = [
        file.path
        for file in shipped_files()
        for node in ast.walk(file.tree)
        if isinstance(node, ast.ExceptHandler)
        and node.type is not None
        and "AssertionError" in ast.unparse(node.type)
    ]
    assert catching == []
