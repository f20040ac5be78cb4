"""How the demonstration is shown: a live display in a terminal, plain lines elsewhere, what came of it at the
end.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from engram.commands.support.demo_pictures import CAUGHT, network, round_bar, scoreboard, sentences
from engram.commands.support.output import console_for, short
from engram.commands.support.pictures import svg
from engram.commands.support.shell_path import missing_path
from engram.participant.coins import format_coins
from engram.participant.demo.report import DemoReport, ScoreRow, VersionRow
from engram.participant.demo.stage import RoundNow, Stage

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


def show_report(
    report: DemoReport, *, to_stderr: bool, details: bool = False, picture: Path | None = None
) -> None:
    """Prints what came of the demonstration: scoreboard, network, three sentences, how to check the proof.

    The tables of all numbers stand before the sentences with `details`, and always where no terminal
    is. `picture`: an SVG file that gets what people see first.
    """
    console = _console(to_stderr)
    console.print()
    _print(console, _pictures(report))
    if details or not console.is_terminal:
        for table in (_versions(report), _groups(report), _attacks(report)):
            console.print()
            _print(console, table)
        console.print()
        for line in _LEGEND:
            console.print(Text(line), soft_wrap=not console.is_terminal)
    _print(console, _told(report))
    console.print()
    for line in _facts(report):
        console.print(Text(line), soft_wrap=True)  # unbroken, so that a command that is copied stays one
    if picture is not None:
        picture.write_text(svg(summary(report), "engram demo"), "utf-8")


def summary(report: DemoReport) -> Group:
    """The scoreboard, the network before and after the growth, and three sentences."""
    return Group(_pictures(report), _told(report))


def _pictures(report: DemoReport) -> Group:
    return Group(scoreboard(report.scores), Text(), network(report))


def _told(report: DemoReport) -> Group:
    return Group(*(Padding(Text(sentence), (1, 0, 0, 0)) for sentence in sentences(report)))


def _print(console: Console, shown: RenderableType) -> None:
    """Prints it; where no terminal is, without the blanks that fill each line to the console's width."""
    if console.is_terminal:
        console.print(shown)
        return
    for line in console.render_lines(shown, pad=False):
        text = "".join(segment.text for segment in line)
        console.print(Text(text.rstrip()), soft_wrap=True)


class _Lines:
    """Prints a line for each event with the seconds since the start; heads, the round and scores are not
    printed.
    """

    def __init__(self, console: Console) -> None:
        self.console: Final = console
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def act(self, title: str) -> None:
        self.console.print(Text(f"\n{self.seconds:6.1f}  {title}", style="bold"))

    def say(self, who: str, line: str) -> None:
        style = CAUGHT if who in _CHEATS else "cyan"
        self.console.print(Text(f"{self.seconds:6.1f}  ").append(f"{who:<8}", style).append(f"  {line}"))

    def head(self, node: str, height: int, block_id: str) -> None:
        pass

    def round(self, now: RoundNow | None) -> None:
        pass

    def score(self, row: ScoreRow) -> None:
        pass


class _Screen(_Lines):
    """Prints the lines of `_Lines` above a live display: a bar for each round, the scoreboard, the heads."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._heads: dict[str, tuple[int, str]] = {}
        self._rounds: dict[int, RoundNow] = {}
        self._is_open = False
        self._scores: dict[tuple[int, str, int], ScoreRow] = {}
        self.live: Final = Live(
            console=console, get_renderable=self._render, refresh_per_second=8, transient=True
        )

    def head(self, node: str, height: int, block_id: str) -> None:
        self._heads[node] = height, block_id

    def round(self, now: RoundNow | None) -> None:
        self._is_open = now is not None
        if now is not None:
            self._rounds[now.number] = now

    def score(self, row: ScoreRow) -> None:
        self._scores[row.round, row.author, row.epoch] = row

    def _render(self) -> Group:
        last = max(self._rounds, default=0)
        bars = [
            round_bar(now, is_over=number < last or not self._is_open) for number, now in self._rounds.items()
        ]
        scores = [row for row in self._scores.values() if row.round == last]
        board = [scoreboard(scores)] if scores else []
        heads = "   ".join(
            f"{node} {height} {short(block_id)}" for node, (height, block_id) in sorted(self._heads.items())
        )
        return Group(Rule(f"{self.seconds:.0f} s", align="left"), *bars, *board, Text(heads, style="dim"))


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
    "bytes sent": lambda row: f"{row.sent_tensor_bytes:,}",
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


_LEGEND: Final = (
    "D_k: the parts revealed before training. Losses are mean nats per row.",
    "share: what is left of the baseline's loss. On each side, a gain must be 3 times its scatter.",
)


def _facts(report: DemoReport) -> Iterator[str]:
    logits = "unchanged" if report.old_logits_unchanged else "CHANGED"
    height = report.nodes[0].height
    yield f"old logits {logits}; {report.rounds} rounds; {len(report.nodes)} nodes at height {height}"
    if report.test is not None:
        correct, rows = report.test.correct, report.test.rows
        yield f"test: {correct:,} of {rows:,} rows classified correctly ({report.test.accuracy:.2%})"
    if report.proof is not None:
        proof = report.proof
        yield f"proof: {proof.path}"
        if (path := missing_path()) is not None:
            yield path
        yield f"engram verify {proof.path} --chain {proof.chain} --checkpoint {proof.checkpoint}"
    yield f"it took {report.seconds} s"


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    return table
