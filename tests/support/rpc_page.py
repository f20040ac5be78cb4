"""Turns the RPC reference into one static HTML page, which needs no network and no script.

It knows the Markdown that `rpc_reference` writes: headings, paragraphs, tables, indented blocks, code, links
and emphasis.
"""

from __future__ import annotations

import html
import re
from itertools import groupby
from typing import Final

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; display: flex; }
nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; flex: 0 0 16rem; padding: 1rem; }
nav ul { list-style: none; margin: 0 0 1rem; padding-left: 1rem; }
main { max-width: 52rem; padding: 1rem 2rem 4rem; }
h3 { margin-top: 2.5rem; border-top: 1px solid #8884; padding-top: 1rem; }
code { font-family: ui-monospace, monospace; background: #8882; padding: 0 .2em; }
pre { font-family: ui-monospace, monospace; background: #8882; padding: .5em 1em; overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border: 1px solid #8886; padding: .3rem .6rem; text-align: left; vertical-align: top; }
@media (max-width: 50rem) { body { display: block; } nav { position: static; height: auto; } }
"""
_HEADING: Final = re.compile(r"(#{1,3}) (.*)")
_ROW: Final = re.compile(r"\|(.*)\|")
_RULE: Final = re.compile(r"\|[-|]+\|")


def page(reference: str) -> str:
    """The HTML page of a reference in Markdown."""
    body, contents = [], []
    for kind, lines in groupby(reference.splitlines(), _kind):
        match kind:
            case "heading":
                for line in lines:
                    level, text = _heading(line)
                    body.append(f'<h{level} id="{_anchor(text)}">{_inline(text)}</h{level}>')
                    contents.append((level, text))
            case "row":
                body.append(_table([line for line in lines if not _RULE.fullmatch(line)]))
            case "code":
                text = "\n".join(line.removeprefix("    ") for line in lines)
                body.append(f"<pre>{html.escape(text)}</pre>")
            case "text":
                text = "\n".join(lines)
                body.append(f"<p>{_inline(text)}</p>")
    title = _inline(contents[0][1])
    places = {slug(text): _anchor(text) for _, text in contents}
    content = re.sub(r'href="#([^"]*)"', lambda link: f'href="#{places[link[1]]}"', "\n".join(body))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<nav>\n{_navigation(contents[1:])}\n</nav>\n<main>\n"
        + content
        + "\n</main>\n</body>\n</html>\n"
    )


def _kind(line: str) -> str:
    if not line:
        return "blank"
    if line.startswith("    "):
        return "code"
    return "heading" if _HEADING.fullmatch(line) else "row" if _ROW.fullmatch(line) else "text"


def _heading(line: str) -> tuple[int, str]:
    """Level and text of a heading."""
    marks, _, text = line.partition(" ")
    return len(marks), text


def _table(lines: list[str]) -> str:
    head, *rows = ([cell.strip() for cell in line[1:-1].split("|")] for line in lines)
    titles = "".join(f"<th>{_inline(cell)}</th>" for cell in head)
    cells = ("".join(f"<td>{_inline(cell)}</td>" for cell in row) for row in rows)
    return f"<table>\n<tr>{titles}</tr>\n" + "\n".join(f"<tr>{row}</tr>" for row in cells) + "\n</table>"


def _navigation(headings: list[tuple[int, str]]) -> str:
    """Each group with its methods as a list."""
    lines = ["<ul>"]
    for level, text in headings:
        link = f'<a href="#{_anchor(text)}">{_inline(text)}</a>'
        lines.append(f"<li>{link}</li>" if level > 2 else f"</ul>\n<strong>{link}</strong>\n<ul>")
    return "\n".join([*lines, "</ul>"])


def _anchor(text: str) -> str:
    name = re.sub(r" \*.*", "", text)
    return re.sub(r"[^\w.]+", "-", name)


def slug(text: str) -> str:
    """Where a link to a heading leads in Markdown, as GitHub and MkDocs make it."""
    return re.sub(r"[^\w\- ]", "", text).strip().lower().replace(" ", "-")


def _inline(text: str) -> str:
    """Code, emphasis and links within a line. A link to another page is its text: this page stands alone."""
    escaped = re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text, quote=False))
    escaped = re.sub(r"\[([^\]]+)\]\((#[^)]+)\)", r'<a href="\2">\1</a>', escaped)
    escaped = re.sub(r"\[([^\]]+)\]\([^)#]+\)", r"\1", escaped)
    return re.sub(r"\*([^*]+)\*", r"<em>\1</em>", escaped)
