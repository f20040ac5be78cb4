"""Pictures of the demonstration in characters: bars of rounds, the scoreboard, the network, three sentences.

They are made from the demonstration's events and its report, and printed by `demo_screen`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from engram.commands.support.phases import PHASES
from engram.node.epochs import told_epoch
from engram.participant.coins import SPARKS_PER_COIN
from engram.participant.demo.report import DemoReport, ScoreRow, VersionRow
from engram.participant.demo.stage import RoundNow

CAUGHT: Final = "magenta"
"""The colour of cheats that were caught: that is a success, so it is not the colour of errors."""
WON: Final = "bold green"
FROZEN: Final = "cyan"
NEW: Final = "green"
BAR_CELLS: Final = 24
BLOCK_CELLS: Final = 32
"""Cells of the largest network's neurons."""
CHEATS: Final = MappingProxyType(
    {
        "loss_mismatch": "a false loss",
        "commit_missing": "sent another's update",
        "gain_not_proved": "knew rows by heart",
        "base_mismatch": "changed frozen weights",
        "growth_overlap": "overwrote frozen ones",
    }
)
"""What each cheat did, by the code with which the chain refused it."""
WHO: Final = MappingProxyType(
    {
        "loss_mismatch": "the liar claimed a loss that is not true",
        "commit_missing": "the copycat sent somebody else's update",
        "gain_not_proved": "the leaker knew the revealed rows by heart and nothing else",
        "base_mismatch": "the forger changed what is frozen",
    }
)
TOO_SMALL: Final = "gain_too_small"
"""The code of an update that is better than the leader of an earlier epoch, but not by enough."""
_LEGEND: Final = (
    "revealed: loss a row, in nats, where authors could look. left: how much of the loss to beat is left on"
    " unseen rows; that loss is a guess's in the first round, and the version before's in a growth. right:"
    " unseen rows answered rightly. The update of an epoch that leaves the least takes the lead, but in a"
    " later epoch only if it leaves at least an eighth less than the leader before."
)


def round_bar(now: RoundNow, *, is_over: bool) -> RenderableType:
    """How far a round is, in which phase, and how long this phase lasts if nobody has to be waited for."""
    grid = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=now.total, completed=now.total if is_over else now.done, width=BAR_CELLS)
    title = Text(f"round {now.number}, {now.kind}", style="bold")
    if is_over:
        grid.add_row(title, bar, Text("decided", style=WON))
        return grid
    epoch = f", epoch {told_epoch(now.epoch)} of {now.epochs}" if now.phase in ("commit", "update") else ""
    blocks = "1 block" if now.left == 1 else f"{now.left} blocks"
    grid.add_row(title, bar, Text(f"{now.phase}{epoch}: {blocks}, {now.left_s:.1f} s"))
    return Group(grid, Text(f"  phase {now.step} of {now.steps}: {PHASES[now.phase]}", style="dim"))


def scoreboard(rows: Iterable[ScoreRow]) -> Group:
    """The updates of each round, the best one of an honest author; of a cheat, the name is struck out."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("round")
    table.add_column("author")
    for title in ("epoch", "revealed", "left", "right"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("result", overflow="fold")
    shown = None
    for row in _best(rows):
        caught = row.outcome == "caught"
        first = "" if row.round == shown else str(row.round)
        shown = row.round
        table.add_row(
            first,
            Text().append(row.author, f"strike {CAUGHT}" if caught else ""),
            str(told_epoch(row.epoch)),
            "-" if row.loss is None else f"{row.loss:.4f}",
            _percent(row.share),
            _percent(row.accuracy),
            _result(row),
        )
    return Group(table, Text(_LEGEND, style="dim"))


def _best(rows: Iterable[ScoreRow]) -> Iterator[ScoreRow]:
    """Without the further updates of an author, and the repetitions of a cheat; winners first."""
    seen: set[tuple[int, str, str]] = set()
    for row in sorted(rows, key=lambda row: (row.round, row.outcome != "won")):
        key = row.round, row.author, row.code if row.outcome == "caught" else ""
        if key not in seen:
            seen.add(key)
            yield row


def network(report: DemoReport) -> Group:
    """The neurons of the model before and after its growth as blocks, with who made them."""
    trained, grown = report.versions[-2:]
    scale = BLOCK_CELLS / grown.neurons
    return Group(
        Text("before the growth", style="bold"),
        _neurons(trained, trained.neurons, range(trained.classes), scale, frozen=True),
        Text("after the growth", style="bold"),
        _neurons(trained, trained.neurons, range(trained.classes), scale, frozen=True),
        _neurons(
            grown, grown.neurons - trained.neurons, range(trained.classes, grown.classes), scale, frozen=False
        ),
    )


def sentences(report: DemoReport) -> Iterator[str]:
    """What was learned, who cheated, and what to try next."""
    classes = report.versions[-1].classes
    assert report.test is not None, "a demonstration that ends well has scored its test rows"
    yield (
        f"Learned: the model tells {classes} digits apart and is right on {report.test.accuracy:.1%} of"
        f" {report.test.rows:,} rows that nobody trained on; the growth changed no bit of what it computes"
        " for the old digits."
    )
    told = {WHO[row.code]: None for row in report.attacks if row.code in WHO}
    lost = sum(row.balance_before - row.balance_after for row in report.attacks)
    yield (
        f"Caught: {', '.join(told)}. Every node found it out by itself; together they lost"
        f" {lost / SPARKS_PER_COIN:.1f} coins."
    )
    yield (
        "Try next: the commands below. `engram verify` checks the proof with no node running, and `engram"
        " play` leads you through a round of your own, step by step."
    )


def _neurons(made: VersionRow, count: int, classes: range, scale: float, *, frozen: bool) -> Text:
    cells = max(1, round(count * scale))
    text = Text("  ")
    text.append(("▓" if frozen else "█") * cells, FROZEN if frozen else NEW)
    text.append(" " * (BLOCK_CELLS - cells + 1))
    state = "frozen" if frozen else "new"
    return text.append(f" {count} neurons by {made.author}, {state}: {classes.start}-{classes.stop - 1}")


def _result(row: ScoreRow) -> Text:
    match row.outcome:
        case "won":
            return Text("won", style=WON)
        case "caught":
            code = row.code.split(", ")[0]
            return Text(f"caught: {CHEATS.get(code, code)}", style=CAUGHT)
        case "beaten" if row.code == TOO_SMALL:
            return Text("beaten: did not beat the earlier leader by an eighth")
        case outcome:
            return Text(outcome)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
