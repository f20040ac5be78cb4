"""Tables as the simulation makes them: a title, heads of columns, and cells that are text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Cells = list[tuple[str, ...]]
Table = tuple[str, tuple[str, ...], Cells]


def printed(title: str, heads: Sequence[str], cells: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table in Markdown."""
    yield f"### {title}"
    yield ""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    yield from (f"| {' | '.join(row)} |" for row in cells)
    yield ""
