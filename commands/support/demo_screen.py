"""How the demonstration is shown: a live display in a terminal, plain lines elsewhere, tables at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from engram.commands.support.output import console_for, short
from engram.participant.coins import format_coins
from engram.participant.demo.report import DemoReport, VersionRow
from engram.participant.demo.stage import Stage

_CHEATS: Final = frozenset({"liar", "copycat", "leaker", "forger"})


@contextmanager
def screen(*, plain: bool, to_stderr: bool) -> Iterator[Stage]:
    """Gives the stage that prints the demonstration's events.

    `to_stderr`: print to standard error, because standard output carries the report. The live display is used
    only in a terminal and unless `plain`.
    """
    console = _console(to_stderr)
    if plain or not console.is_terminal:
        yield _Lines(console)
        return
    stage = _Screen(console)
    with stage.live:
        yield stage


def show_report(report: DemoReport, *, to_stderr: bool) -> None:
    """Prints the tables of versions and attacks, and the other results in a few lines."""
    console = _console(to_stderr)
    console.print()
    console.print(_versions(report))
    console.print()
    console.print(_groups(report))
    console.print()
    console.print(_attacks(report))
    console.print()
    for line in _facts(report):
        console.print(Text(line))


class _Lines:
    """Prints a line for each event with the seconds since the start; heads and phases are not printed."""

    def __init__(self, console: Console) -> None:
        self.console: Final = console
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def act(self, title: str) -> None:
        self.console.print(Text(f"\n{self.seconds:6.1f}  {title}", style="bold"))

    def say(self, who: str, line: str) -> None:
        style = "red" if who in _CHEATS else "cyan"
        self.console.print(Text(f"{self.seconds:6.1f}  ").append(f"{who:<8}", style).append(f"  {line}"))

    def head(self, node: str, height: int, block_id: str) -> None:
        pass

    def phase(self, name: str, epoch: int) -> None:
        pass


class _Screen(_Lines):
    """Prints the lines of `_Lines` above a live table of the nodes' heads and the round's phase."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._heads: dict[str, tuple[int, str]] = {}
        self._phase = ""
        self.live: Final = Live(
            console=console, get_renderable=self._render, refresh_per_second=8, transient=True
        )

    def head(self, node: str, height: int, block_id: str) -> None:
        self._heads[node] = height, block_id

    def phase(self, name: str, epoch: int) -> None:
        epochs = f", epoch {epoch}" if name in ("commit", "update") else ""
        self._phase = f"round: {name}{epochs}" if name else "no round is open"

    def _render(self) -> Group:
        table = Table.grid(padding=(0, 3))
        for node, (height, block_id) in sorted(self._heads.items()):
            table.add_row(node, f"height {height}", short(block_id))
        return Group(Rule(f"{self.seconds:.0f} s   {self._phase}", align="left"), table)


def _console(to_stderr: bool) -> Console:
    return console_for(sys.stderr if to_stderr else sys.stdout)


_FACTS: Final[dict[str, Callable[[VersionRow], str]]] = {
    "kind": lambda row: row.kind,
    "author": lambda row: row.author,
    "classes": lambda row: f"{row.classes}",
    "neurons": lambda row: f"{row.neurons}",
    "loss on D_k": lambda row: f"{row.loss:.4f}",
    "sealed loss": lambda row: f"{row.sealed_loss:.4f}",
    "sealed accuracy": lambda row: f"{row.sealed_accuracy:.1%}",
    "bytes sent": lambda row: f"{row.bytes:,}",
    "MACs": lambda row: f"{row.macs:,}",
    "fee": lambda row: format_coins(row.fee),
    "badges": lambda row: "\n".join(row.badges) or "-",
}


def _versions(report: DemoReport) -> Table:
    """The table of versions with a column for each, because a row for each would not fit a terminal."""
    table = _table("version")
    for row in report.versions:
        table.add_column(str(row.version), justify="right")
    for name, show in _FACTS.items():
        table.add_row(name, *map(show, report.versions))
    return table


def _groups(report: DemoReport) -> Table:
    """What the winners have shown on the rows of the founder and of the witness."""
    table = _table("version", "rows of")
    for title in ("rows", "loss", "baseline", "share", "gain / scatter"):
        table.add_column(title, justify="right")
    for row in report.groups:
        numbers = f"{row.loss:.4f}", f"{row.baseline:.4f}", f"{row.share:.1%}", f"{row.scatters:.1f}"
        table.add_row(str(row.version), row.side, str(row.rows), *numbers)
    return table


def _attacks(report: DemoReport) -> Table:
    table = _table("adversary", "outcome", "code")
    table.add_column("coins lost", justify="right")
    for row in report.attacks:
        lost = format_coins(row.balance_before - row.balance_after)
        table.add_row(row.name, row.outcome, row.code, lost)
    return table


def _facts(report: DemoReport) -> Iterator[str]:
    logits = "unchanged" if report.old_logits_unchanged else "CHANGED"
    height = report.nodes[0].height
    yield "D_k: the parts revealed before training. Losses are mean nats per row."
    yield "share: what is left of the baseline's loss. On each side, a gain must be 3 times its scatter."
    yield f"old logits {logits}; {report.rounds} rounds; {len(report.nodes)} nodes at height {height}"
    if report.test is not None:
        correct, rows = report.test.correct, report.test.rows
        yield f"test: {correct:,} of {rows:,} rows classified correctly ({report.test.accuracy:.2%})"
    if report.proof is not None:
        proof = report.proof
        yield f"proof: {proof.path}"
        yield f"engram verify {proof.path} --chain {proof.chain} --checkpoint {proof.checkpoint}"
    yield f"it took {report.seconds} s"


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    return table
