"""Writes a report: `report.md`, `index.html`, `tables/*.csv`, `plots/*.svg` and `results.json`.

`index.html` holds its plots inside, so it can be sent alone. Files are replaced one by one, each in one step.
"""

from __future__ import annotations

import csv
import html
import io
import json
from pathlib import Path
from typing import Any, Final

from engram.node.files import write_public
from engram.participant.experiments.document import (
    Document,
    Heading,
    Part,
    Plot,
    Prose,
    Row,
    Table,
    TableColumn,
)
from engram.participant.experiments.plotting import svg_of

MEASURED: Final = "\\*"
"""Follows the heading of a column whose values differ between runs."""
_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; font-size: 14px; display: block; overflow-x: auto }}
th, td {{ padding: .25rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top }}
figure {{ margin: 1rem 0 }} figure svg {{ max-width: 100%; height: auto }}
code {{ background: #f3f3f3; padding: 0 .2rem }}
</style>
<body>
{body}</body>
</html>
"""


def write_report(out: Path, document: Document, results: dict[str, Any]) -> None:
    """Writes all files of a report into the folder `out`; `results` becomes `results.json`."""
    drawn = {plot.name: svg_of(plot) for plot in document.plots}
    for table in document.tables:
        _write(out / "tables" / f"{table.name}.csv", csv_of(table))
    for name, svg in drawn.items():
        _write(out / "plots" / f"{name}.svg", svg)
    _write(out / "results.json", json.dumps(results, indent=1, allow_nan=False) + "\n")
    _write(out / "report.md", markdown_of(document))
    _write(out / "index.html", html_of(document, drawn))


def _write(path: Path, text: str) -> None:
    write_public(path, text.encode())


def markdown_of(document: Document) -> str:
    """The report as Markdown; plots are links to their files."""
    parts = (markdown_of_part(part) for part in document.parts)
    return "\n\n".join([f"# {document.title}", *parts]) + "\n"


def html_of(document: Document, drawn: dict[str, str]) -> str:
    """The report as a page that needs no other file; `drawn` holds the SVG of each plot."""
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    body = [f"<h1>{html.escape(document.title)}</h1>\n"]
    for part in document.parts:
        if isinstance(part, Plot):
            picture = drawn[part.name]
            body.append(
                f"<figure>\n{picture[picture.index('<svg') :]}<figcaption>{html.escape(part.caption)}"
                "</figcaption>\n</figure>\n"
            )
        else:
            body.append(markdown.render(markdown_of_part(part)))
    return _PAGE.format(title=html.escape(document.title), body="".join(body))


def csv_of(table: Table) -> str:
    """All fields of all rows, with a line of names; the shown columns come first."""
    shown = [column.name for column in table.columns]
    others = dict.fromkeys(name for row in table.rows for name in row if name not in shown)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*shown, *others], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.rows)
    return stream.getvalue()


def markdown_of_part(part: Part) -> str:
    """One part of a report as Markdown."""
    match part:
        case Heading():
            return f"{'#' * part.level} {part.text}"
        case Prose():
            return part.text.strip()
        case Plot():
            return f"![{part.caption}](plots/{part.name}.svg)"
        case Table():
            return _table(part)


def _table(table: Table) -> str:
    headings = [column.heading + (MEASURED if column.measured else "") for column in table.columns]
    numeric = [_is_numeric(column, table) for column in table.columns]
    lines = [_line(headings), _line(["---:" if right else "---" for right in numeric])]
    lines += [_line([_cell(column, row) for column in table.columns]) for row in table.rows]
    note = f" {MEASURED} measured: differs between runs." if any(c.measured for c in table.columns) else ""
    return f"**{table.caption}**{note}\n\n" + "\n".join(lines)


def _is_numeric(column: TableColumn, table: Table) -> bool:
    values = [row.get(column.name) for row in table.rows]
    given = [value for value in values if value is not None]
    return bool(given) and all(isinstance(value, int | float) for value in given)


def _cell(column: TableColumn, row: Row) -> str:
    value = row.get(column.name)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return format(value, column.format)
    return str(value).replace("|", "\\|")


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
