"""Shows a recorded example of a method in a few lines: long texts and lists are cut, and say so by `…`."""

from __future__ import annotations

import json
from typing import Any, Final

WIDTH: Final = 110
LONGEST: Final = 72
"""Letters of a text; an id is shorter."""
MOST_LINES: Final = 36
_MOST_ITEMS: Final = (2, 1)
"""So many items of each list are shown: the first of these that gives not too many lines. What is
still longer is shown all the same: a reader needs the whole form.
"""


def shown(example: dict[str, Any]) -> list[str]:
    """The request's params, if it has any, and the result, as lines of a code block."""
    params = shown_value(example["params"]) if example["params"] else []
    return [*(["    params"] if params else []), *params, "    result", *shown_value(example["result"])]


def shown_value(value: Any) -> list[str]:
    """A JSON value as lines of a code block, to its last field."""
    for items in _MOST_ITEMS:
        lines = _lines(_cut(value, items), 4)
        if len(lines) <= MOST_LINES:
            break
    return lines


def _cut(value: Any, items: int) -> Any:
    match value:
        case str() if len(value) > LONGEST:
            return f"{value[:LONGEST]}…"
        case dict():
            return {name: _cut(item, items) for name, item in value.items()}
        case list() if len(value) > items and any(isinstance(item, dict | list | str) for item in value):
            return [*(_cut(item, items) for item in value[:items]), "…"]
        case list():
            return [_cut(item, items) for item in value]
        case _:
            return value


def _lines(value: Any, indent: int, before: str = "", after: str = "") -> list[str]:
    """A JSON value on one line if it fits, else its parts on lines of their own, as many on each as fit."""
    margin = " " * indent
    flat = f"{margin}{before}{json.dumps(value, ensure_ascii=False)}{after}"
    if len(flat) <= WIDTH or not isinstance(value, dict | list) or not value:
        return [flat]
    parts = list(value.items()) if isinstance(value, dict) else [("", item) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    lines, is_open = [f"{margin}{before}{opening}"], False
    for number, (name, item) in enumerate(parts, 1):
        told = f"{json.dumps(name)}: " if name else ""
        made = _lines(item, indent + 2, told, "," if number < len(parts) else "")
        if is_open and len(made) == 1 and len(lines[-1]) + len(made[0].strip()) < WIDTH:
            lines[-1] = f"{lines[-1]} {made[0].strip()}"
        else:
            lines += made
        is_open = len(made) == 1
    return [*lines, f"{margin}{closing}{after}"]
