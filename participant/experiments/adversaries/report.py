"""The report of the experiment: from rows to tables, plots and sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from engram.participant.experiments.adversaries import report_text as text
from engram.participant.experiments.document import (
    Document,
    Heading,
    Part,
    Plot,
    PlotKind,
    Prose,
    Row,
    Series,
    Table,
    TableColumn,
)
from engram.participant.experiments.plan import Rows, Scale
from engram.participant.experiments.summing import average, grouped

COIN: Final = 10**8
BASELINE: Final = "nobody"
DECIDED: Final = "decided"


def document(scale: Scale, rows: Rows) -> Document:
    """The whole report."""
    fights = rows["fights"]
    baseline = [row for row in fights if row["attack"] == BASELINE]
    small = (Prose(text.QUICK),) if scale is Scale.QUICK else ()
    parts: list[Part] = [
        Prose(text.OPENING),
        *small,
        Heading("In short"),
        Prose(text.SHORT),
        _overview(fights),
        _line_plot("accuracy", "accuracy", "Accuracy of the model after the round, in percent.", "%", fights),
        _gain_plot(fights),
        Heading("Attack by attack"),
        Prose(text.READING),
    ]
    for (name,), each in grouped(fights, "attack").items():
        if name != BASELINE:
            parts += [
                Heading(str(name), 3),
                Prose(text.ATTACKS[str(name)]),
                _table(str(name), baseline, each),
            ]
    return Document("What dishonest participants can do", (*parts, Prose(text.LIMITS)))


def _summed(rows: Sequence[Row]) -> Row:
    """One line for the cells of one attack and share."""
    foes = average(rows, "attackers")
    honest = average(rows, "honest_authors")
    winners = Counter(str(row["winner"]) for row in rows)
    return {
        "attack": rows[0]["attack"],
        "title": rows[0]["title"],
        "share": rows[0]["share"],
        "attackers": foes,
        "rounds": len(rows),
        "failed": sum(row["status"] != DECIDED for row in rows),
        "winners": ", ".join(f"{name} {count}" for name, count in sorted(winners.items())),
        "won": winners["attackers"],
        "accuracy": average(rows, "accuracy"),
        "marked": average(rows, "marked"),
        "attacker_gain": average(rows, "attackers_gain") / COIN / foes if foes else None,
        "honest_gain": average(rows, "honest_gain") / COIN / honest if honest else None,
        "opener_gain": average(rows, "opener_gain") / COIN,
        "codes": "; ".join(dict.fromkeys(str(row["codes"]) for row in rows if row["codes"])),
        "macs": average(rows, "macs") / 10**9,
    }


_COLUMNS: Final = (
    TableColumn("share", "Share who attack, %"),
    TableColumn("attackers", "Attackers", ".0f"),
    TableColumn("rounds", "Rounds"),
    TableColumn("failed", "Rounds without a version", measured=True),
    TableColumn("winners", "Who wins", measured=True),
    TableColumn("accuracy", "Accuracy after it, %", ".1f", measured=True),
    TableColumn("marked", "Marked rows that do as told, %", ".1f", measured=True),
    TableColumn("attacker_gain", "An attacker gains, coins", ".2f", measured=True),
    TableColumn("honest_gain", "An honest author gains, coins", ".2f", measured=True),
    TableColumn("opener_gain", "The opener gains, coins", ".2f", measured=True),
    TableColumn("codes", "How attackers were answered", measured=True),
    TableColumn("macs", "Billion MACs to judge updates", ".1f", measured=True),
)


def _table(name: str, baseline: Sequence[Row], rows: Sequence[Row]) -> Table:
    growth = name == "forgers"
    first = [] if growth or not baseline else [_summed(baseline)]
    shown = [*first, *(_summed(each) for each in grouped(rows, "share").values())]
    return Table(name, str(rows[0]["title"]) + ".", _COLUMNS, shown)


def _overview(rows: Sequence[Row]) -> Table:
    made = []
    for (name,), each in grouped(rows, "attack").items():
        by_share = [_summed(part) for part in grouped(each, "share").values()]
        gains = [float(row["attacker_gain"] or 0) for row in by_share]
        made.append(
            {
                **_summed(each),
                "worst": min(float(row["accuracy"] or 0) for row in by_share),
                "best_gain": None if name == BASELINE else max(gains),
            }
        )
    columns = (
        TableColumn("attack", "Attack"),
        TableColumn("title", "What attackers do"),
        TableColumn("rounds", "Rounds"),
        TableColumn("won", "won by attackers", measured=True),
        TableColumn("failed", "without a version", measured=True),
        TableColumn("worst", "Lowest accuracy after it, %", ".1f", measured=True),
        TableColumn("marked", "Marked rows that do as told, %", ".1f", measured=True),
        TableColumn("best_gain", "Most that an attacker gains, coins", ".2f", measured=True),
    )
    return Table("overview", "All shares of attackers together.", columns, made)


def _by_share(rows: Sequence[Row], field: str) -> tuple[Series, ...]:
    found = []
    for (name,), each in grouped(rows, "attack").items():
        lines = [_summed(part) for part in grouped(each, "share").values()]
        if name == BASELINE or len(lines) < 2:
            continue
        places = tuple(float(row["share"] or 0) for row in lines)
        found.append(Series(str(name), places, tuple(float(row[field] or 0) for row in lines)))
    return tuple(found)


def _line_plot(name: str, field: str, caption: str, unit: str, rows: Sequence[Row]) -> Plot:
    series = _by_share(rows, field) or _points(rows, field)
    return Plot(name, caption, PlotKind.LINES, series, "share who attack, %", unit)


def _points(rows: Sequence[Row], field: str) -> tuple[Series, ...]:
    """One point for each attack, where each was played with one share only."""
    lines = [_summed(each) for _, each in grouped(rows, "attack").items()]
    return tuple(
        Series(str(row["attack"]), (float(row["share"] or 0),), (float(row[field] or 0),)) for row in lines
    )


def _gain_plot(rows: Sequence[Row]) -> Plot:
    return _line_plot("gain", "attacker_gain", "What one attacker gains or loses, in coins.", "coins", rows)
