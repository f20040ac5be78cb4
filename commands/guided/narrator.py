"""Tells a person what happens, step by step, and waits for them; or prints a line of JSON for each step."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

MOST_COLUMNS: Final = 80
STOP: Final = "q"


class Narrator:
    """Speaks to one person, or to a program."""

    def __init__(self, *, as_json: bool, waits: bool) -> None:
        """`waits`: whether the person is asked before each step."""
        self.as_json: Final = as_json
        self.waits: Final = waits
        self._bar: tuple[Progress, TaskID] | None = None
        self._warnings: set[str] = set()

    def say(self, text: str = "", *, style: str = "", indent: str = "") -> None:
        """A paragraph for the person, as wide as the terminal, and 80 columns at most.

        `indent` stands before each of its lines but the first.
        """
        if self.as_json:
            return
        from rich.text import Text

        console = self._console()
        lines = textwrap.wrap(text, console.width, subsequent_indent=indent, break_on_hyphens=False) or [""]
        for line in lines:
            console.print(Text(line, style=style), soft_wrap=True)

    def line(self, text: str) -> None:
        """A line for the person, which is not broken: it can be copied."""
        if not self.as_json:
            click.echo(text)

    def heading(self, text: str) -> None:
        """Begins a step."""
        if not self.as_json:
            self.line("")
            self._console().rule(text, align="left", style="dim")

    def commands(self, commands: Sequence[str]) -> None:
        """The commands that do the same by hand."""
        self.say()
        self.say("By hand:", style="bold")
        for command in commands:
            for line in folded(command):
                self.line(f"  {line}")

    def notice(self, who: str, text: str, *, is_warning: bool = False) -> None:
        """Something that one of the players did, or was warned of: then the same words are told once."""
        if self.as_json or (is_warning and text in self._warnings):
            return
        if is_warning:
            self._warnings.add(text)
        self.say(f"  {who}: {text}", indent="    ")

    def event(self, event: dict[str, Any]) -> None:
        """A line of JSON for a program."""
        if self.as_json:
            click.echo(json.dumps(event))

    def goes_on(self) -> bool:
        """Waits for the person; whether they want to go on."""
        if not self.waits:
            return True
        answer = click.prompt(
            f"\nEnter goes on, {STOP} stops here", default="", show_default=False, prompt_suffix=": "
        )
        return str(answer).strip().lower() != STOP

    def pause(self, text: str) -> None:
        """Waits for Enter, after saying what it does."""
        click.prompt(f"\n{text}", default="", show_default=False, prompt_suffix=": ")

    @contextmanager
    def round_bar(self) -> Iterator[None]:
        """While the block runs, `phase` moves a bar on a terminal; elsewhere it prints a line a phase."""
        if self.as_json or not sys.stdout.isatty():
            yield
            return
        from rich.progress import BarColumn, Progress, TextColumn

        columns = TextColumn("  the round"), BarColumn(24), TextColumn("{task.description}")
        with Progress(*columns, console=self._console(), transient=True) as progress:
            self._bar = progress, progress.add_task("")
            try:
                yield
            finally:
                self._bar = None

    def phase(self, words: str, done: int, blocks: int) -> None:
        """The round is in this phase, after `done` of `blocks` blocks."""
        if self._bar is not None:
            progress, task = self._bar
            progress.update(task, description=words, completed=done, total=blocks)

    def _console(self) -> Console:
        from rich.console import Console

        if self._bar is not None:
            return self._bar[0].console  # which prints above the bar
        width = Console(file=sys.stdout).width if sys.stdout.isatty() else MOST_COLUMNS
        return Console(file=sys.stdout, highlight=False, width=min(width, MOST_COLUMNS))


def folded(command: str) -> list[str]:
    """The lines of a command that stays one when it is pasted: broken before options, never inside of one."""
    lines: list[str] = [""]
    head, *options = command.split(" --")
    for piece in (head, *(f"--{option}" for option in options)):
        if lines[-1] and len(lines[-1]) + len(piece) > MOST_COLUMNS - 6:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" {piece}" if lines[-1] else piece
    return lines
