"""What a terminal shows, as an SVG picture that loads nothing from anywhere."""

from __future__ import annotations

import io
from typing import Final

from rich.console import Console, RenderableType

WIDTH: Final = 80
"""Columns of the pictured terminal."""
_ID: Final = "engram"
"""Rich would number the picture by its content and Python's seed; a picture in a document is alone."""
_FORMAT: Final = """<svg class="{unique_id}" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def svg(picture: RenderableType, title: str) -> str:
    """The SVG text of what a terminal of `WIDTH` columns shows."""
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(picture)
    return console.export_svg(title=title, code_format=_FORMAT, unique_id=_ID)
