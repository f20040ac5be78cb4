"""Prints what happens during a long command: JSON lines, plain lines, or a live display in a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import click

from engram.commands.support import streams
from engram.commands.support.output import print_fields
from engram.library.names import Names
from engram.library.words import in_words
from engram.participant.coins import format_coins

if TYPE_CHECKING:
    from rich.progress import Progress

    from engram.participant.notices import Notice

THOUSAND: Final = 1_000
QUARTERS: Final = 4
"""How many times a training is reported where no live display shows it."""


class ProgressPrinter:
    """Prints the notices of one command and its result.

    The result goes to standard output, notices to standard error. With --json each of them is a line of JSON
    on standard output, the result last.
    """

    def __init__(self, *, as_json: bool, player: str, names: Names | None = None) -> None:
        """`player` is the key's name. It begins each line, so that several players can share a terminal.

        `names` are put in place of addresses.
        """
        self.player: Final = player
        self._as_json = as_json
        self._names = Names() if names is None else names
        self._display: Progress | None = None
        self._bar: Any = None
        self._quarter = 0

    def __enter__(self) -> Self:
        if not self._as_json and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._display = Progress(console=Console(stderr=True), transient=True)
            self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._display is not None:
            self._display.stop()

    def notice(self, notice: Notice) -> None:
        """Prints a notice at once. A training is over then, even if it took fewer steps than it could."""
        if self._display is not None and self._bar is not None:
            self._display.update(self._bar, visible=False)
        if self._as_json:
            self._event(notice.to_json())
            return
        bond = notice.facts.get("bond")
        at_stake = "" if bond is None else f" (bond {format_coins(bond)})"
        text = f"{self.player}: {self._names.for_people(str(notice))}{at_stake}"
        if self._display is not None:
            self._display.console.print(text, markup=False, highlight=False)
        else:
            click.echo(text, err=True)

    def training(self, step: int, steps: int, loss: float) -> None:
        """Shows how far a training is. `loss` is in nats a row. It is called in the training's thread."""
        if self._display is not None:
            if self._bar is None:
                self._bar = self._display.add_task("training", total=steps)
            text = f"{self.player}: training, loss {loss:.3f}"
            self._display.update(self._bar, completed=step, description=text, visible=step < steps)
            return
        quarter = step * QUARTERS // steps
        if quarter == self._quarter:
            return
        self._quarter = quarter % QUARTERS
        if self._as_json:
            self._event({"event": "training", "step": step, "steps": steps, "mean_loss": loss})
        else:
            click.echo(f"{self.player}: training, {step} of {steps} steps, loss {loss:.3f}", err=True)

    def _event(self, event: dict[str, Any]) -> None:
        """A line of JSON. If standard output takes none, the play goes on, because a bond may hang on it."""
        try:
            click.echo(json.dumps(self._names.for_programs(in_words(event))))
        except OSError as error:
            streams.drop_output()
            click.echo(f"engram: {error}; {self.player} plays on", err=True)

    def result(self, result: dict[str, Any], fields: Iterable[tuple[str, object]]) -> None:
        """Prints the command's result: `result` as JSON, or `fields` for people."""
        if self._as_json:
            click.echo(json.dumps({"event": "result", **self._names.for_programs(in_words(result))}))
        else:
            print_fields(
                [("player", self.player), *((name, self._names.for_people(value)) for name, value in fields)]
            )


def by_thousands(note: Callable[[str], None]) -> Callable[[int], None]:
    """What a long command calls with the height after each block; `note` is given each thousandth, once."""
    said = 0

    def progress(height: int) -> None:
        nonlocal said
        if height // THOUSAND > said:
            said = height // THOUSAND
            note(f"height {said * THOUSAND}")

    return progress


def by_tenths(note: Callable[[str], None]) -> Callable[[int, int, int], None]:
    """What a rebuild calls with the height of the new head, the bytes of block files that it has read, and
    all that there are; `note` is given the beginning and each tenth, once.
    """
    said = -1

    def progress(height: int, done: int, total: int) -> None:
        nonlocal said
        tenths = 10 * done // max(1, total)
        if tenths > said:
            said = tenths
            note(f"{10 * tenths} % of the block files are read, the new head is at height {height}")

    return progress
