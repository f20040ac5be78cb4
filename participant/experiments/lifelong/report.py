"""Makes the report of `lifelong` from its rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import mean, pstdev
from typing import Final

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
from engram.participant.experiments.lifelong import report_text as text
from engram.participant.experiments.lifelong.figures import Figures
from engram.participant.experiments.lifelong.report_published import PUBLISHED
from engram.participant.experiments.lifelong.streams import STREAMS, Stream
from engram.participant.experiments.plan import Rows, Scale
from engram.participant.experiments.summing import number

Cells = Mapping[tuple[int, int], Figures]
"""The figures of one line, by order and seed."""
JOINT: Final = "joint"
SHOWN: Final = ("gate", "experts", "naive")
"""The lines whose matrices are drawn."""
SPARKS: Final = 10**8
PERCENT: Final = 100.0

_MAIN_COLUMNS: Final = (
    TableColumn("line", "engine"),
    TableColumn("cells", "runs"),
    TableColumn("final", "final, %", ".2f"),
    TableColumn("spread", "±", ".2f"),
    TableColumn("average", "average, %", ".2f"),
    TableColumn("forgetting", "forgetting", ".2f"),
    TableColumn("bwt", "BWT", ".2f"),
    TableColumn("omega_base", "Ω base", ".3f"),
    TableColumn("omega_new", "Ω new", ".3f"),
    TableColumn("omega_all", "Ω all", ".3f"),
    TableColumn("nats", "nats a row", ".3f"),
)
_COST_COLUMNS: Final = (
    TableColumn("line", "engine"),
    TableColumn("neurons", "neurons", ","),
    TableColumn("learned_numbers", "stored numbers", ","),
    TableColumn("drawn_numbers", "drawn from seeds", ","),
    TableColumn("macs_per_row", "charge a row, M MACs", ".2f"),
    TableColumn("bytes", "largest growth, bytes", ","),
    TableColumn("author_fees", "author's fees a growth, coins", ".3f"),
    TableColumn("opener_fees", "opener's, coins", ".3f"),
    TableColumn("rounds", "rounds a group", ".2f"),
    TableColumn("author_s", "author, s a growth", ".1f", measured=True),
    TableColumn("others_s", "node and others, s a round", ".1f", measured=True),
)
_GROWTH_MEANS: Final = ("bytes", "part_bytes", "author_fees", "opener_fees", "rounds", "author_s", "others_s")
_GROWTH_COLUMNS: Final = (
    TableColumn("line", "engine"),
    TableColumn("group", "group"),
    TableColumn("bytes", "bytes of the growth", ",.0f"),
    TableColumn("part_bytes", "bytes of opened parts", ",.0f"),
    TableColumn("author_fees", "author's fees, coins", ".3f"),
    TableColumn("opener_fees", "opener's, coins", ".3f"),
    TableColumn("rounds", "rounds", ".2f"),
    TableColumn("author_s", "author, s", ".1f", measured=True),
    TableColumn("others_s", "node and others, s", ".1f", measured=True),
)
_PUBLISHED_COLUMNS: Final = (
    TableColumn("method", "method"),
    TableColumn("keeps", "keeps of old classes"),
    TableColumn("percent", "final, %", ".2f"),
    TableColumn("setting", "setting"),
    TableColumn("source", "source"),
)


def document_of(title: str, scale: Scale, rows: Rows) -> Document:
    """The report."""
    parts: list[Part] = [Prose(text.WHAT[scale]), Prose(text.HOW), Prose(text.FIGURES)]
    for name, stream in STREAMS.items():
        own = [row for row in rows["accuracies"] if row["stream"] == name]
        if own:
            growths = [row for row in rows["growths"] if row["stream"] == name]
            parts += _stream(stream, own, growths)
    parts += [Heading("What this shows, and what it does not"), Prose(text.LIMITS)]
    return Document(title, tuple(parts))


def _stream(stream: Stream, accuracies: Sequence[Row], growths: Sequence[Row]) -> list[Part]:
    figures = figures_of(accuracies)
    main = [_main_row(line, cells, figures, accuracies) for line, cells in figures.items()]
    costs = [_cost_row(line, growths) for line in figures]
    parts: list[Part] = [
        Heading(stream.title),
        Table(f"{stream.name}-accuracy", f"{stream.title}: accuracy on test rows", _MAIN_COLUMNS, main),
        _curves(stream, figures),
    ]
    if published := PUBLISHED.get(stream.name):
        beside: list[Row] = [
            {
                "method": f"Engram, {row['line']}",
                "keeps": text.KEEPS[str(row["line"])],
                "percent": row["final"],
                "setting": f"integers on the chain, {row['cells']} runs",
                "source": "this report",
            }
            for row in main
        ]
        beside += [dict(vars(each)) for each in published]
        caption = f"{stream.title}: beside published figures, none of which was run here"
        parts.append(Table(f"{stream.name}-published", caption, _PUBLISHED_COLUMNS, beside))
    parts.append(Table(f"{stream.name}-cost", f"{stream.title}: what it costs", _COST_COLUMNS, costs))
    caption = f"{stream.title}: each growth, the founding first; means over the runs"
    parts.append(Table(f"{stream.name}-growths", caption, _GROWTH_COLUMNS, _growth_rows(figures, growths)))
    parts += [_matrix_table(stream, figures)]
    parts += [_matrix(stream, line, figures[line]) for line in SHOWN if line in figures]
    return parts


def figures_of(accuracies: Sequence[Row]) -> dict[str, dict[tuple[int, int], Figures]]:
    """The figures of each line, by order and seed."""
    grouped: dict[tuple[str, int, int], list[Row]] = defaultdict(list)
    for row in accuracies:
        grouped[str(row["line"]), _whole(row["order"]), _whole(row["seed"])].append(row)
    found: dict[str, dict[tuple[int, int], Figures]] = defaultdict(dict)
    for (line, order, seed), own in grouped.items():
        found[line][order, seed] = Figures.of(own)
    return dict(found)


def _main_row(
    line: str, cells: Cells, figures: Mapping[str, Cells], accuracies: Sequence[Row]
) -> dict[str, str | int | float | None]:
    given = list(cells.values())
    finals = [PERCENT * each.final for each in given]
    last = max(_whole(row["after"]) for row in accuracies)
    ended = [row for row in accuracies if row["line"] == line and row["after"] == last]
    loss = sum(number(row["nats"]) * _whole(row["rows"]) for row in ended)
    row: dict[str, str | int | float | None] = {
        "line": line,
        "cells": len(given),
        "final": mean(finals),
        "spread": pstdev(finals) if len(finals) > 1 else None,
        "nats": loss / sum(_whole(each["rows"]) for each in ended),
    }
    if line == JOINT:
        return row
    omegas = _omegas(cells, figures.get(JOINT, {}))
    return {
        **row,
        "average": mean(PERCENT * each.average for each in given),
        "forgetting": mean(PERCENT * each.forgetting for each in given),
        "bwt": mean(PERCENT * each.backward_transfer for each in given),
        **dict(zip(("omega_base", "omega_new", "omega_all"), omegas or (None, None, None), strict=True)),
    }


def _omegas(cells: Cells, joint: Cells) -> tuple[float, float, float] | None:
    """Ω, each run against the joint bound of its own order."""
    bounds = {order: bound for (order, _), bound in joint.items()}
    found = [
        own.omegas(bounds[order].matrix[-1], bounds[order].final)
        for (order, _), own in cells.items()
        if order in bounds
    ]
    if not found:
        return None
    base, new, whole = (mean(values) for values in zip(*found, strict=True))
    return base, new, whole


def _cost_row(line: str, growths: Sequence[Row]) -> dict[str, str | int | float]:
    own = [row for row in growths if row["line"] == line]
    last = max(_whole(row["group"]) for row in own)
    ended = [row for row in own if row["group"] == last]
    played = [row for row in own if _whole(row["rounds"])]
    grown = [row for row in played if _whole(row["group"])] or played
    return {
        "line": line,
        **{
            name: round(mean(number(row[name]) for row in ended))
            for name in ("neurons", "learned_numbers", "drawn_numbers")
        },
        "macs_per_row": mean(number(row["macs_per_row"]) for row in ended) / 1e6,
        "bytes": max(_whole(row["bytes"]) for row in grown),
        "author_fees": mean(number(row["author_fees"]) for row in grown) / SPARKS,
        "opener_fees": mean(number(row["opener_fees"]) for row in grown) / SPARKS,
        "rounds": mean(number(row["rounds"]) for row in played),
        "author_s": mean(number(row["author_s"]) for row in grown),
        "others_s": mean(number(row["others_s"]) / number(row["rounds"]) for row in grown),
    }


def _growth_rows(figures: Mapping[str, Cells], growths: Sequence[Row]) -> list[Row]:
    """The means over the runs, for each line and each group that had a round of its own."""
    grouped: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in growths:
        if _whole(row["rounds"]):
            grouped[str(row["line"]), _whole(row["group"])].append(row)
    rows: list[Row] = []
    for line in figures:
        for (_, group), own in sorted(each for each in grouped.items() if each[0][0] == line):
            means = {name: mean(number(row[name]) for row in own) for name in _GROWTH_MEANS}
            coins = {name: means[name] / SPARKS for name in ("author_fees", "opener_fees")}
            rows.append({"line": line, "group": group + 1, **means, **coins})
    return rows


def _curves(stream: Stream, figures: Mapping[str, Cells]) -> Plot:
    """The accuracy on all classes so far, against their number; the joint bound is one point."""
    series = []
    for line, cells in figures.items():
        given = list(cells.values())
        ends = stream.ends[-1:] if line == JOINT else stream.ends
        by_stage = list(zip(*(each.seen for each in given), strict=True))
        spread = tuple(PERCENT * pstdev(values) for values in by_stage) if len(given) > 1 else ()
        means = tuple(PERCENT * mean(values) for values in by_stage)
        series.append(Series(line, tuple(map(float, ends)), means, spread))
    return Plot(
        f"{stream.name}-curves",
        f"{stream.title}: accuracy on the test rows of all classes so far",
        PlotKind.LINES,
        tuple(series),
        "classes learned",
        "accuracy, %",
    )


def _matrix_table(stream: Stream, figures: Mapping[str, Cells]) -> Table:
    """R[t][j], averaged over orders and seeds: group j means the j-th to arrive, whatever its labels are."""
    groups = range(len(stream.sizes))
    rows: list[Row] = []
    for line, cells in figures.items():
        for t in groups if line != JOINT else groups[-1:]:
            at = -1 if line == JOINT else t
            row: dict[str, str | int | float | None] = {"line": line, "after": t + 1}
            for j in range(t + 1):
                row[f"group{j + 1}"] = mean(PERCENT * each.matrix[at][j] for each in cells.values())
            rows.append(row)
    columns = [TableColumn("line", "engine"), TableColumn("after", "after group")]
    columns += [TableColumn(f"group{j + 1}", f"{j + 1}", ".1f") for j in groups]
    return Table(f"{stream.name}-matrix", f"{stream.title}: R[t, j] in %", tuple(columns), rows)


def _matrix(stream: Stream, line: str, cells: Cells) -> Plot:
    groups = range(len(stream.sizes))
    series = []
    for t in groups:
        known = tuple(mean(PERCENT * each.matrix[t][j] for each in cells.values()) for j in range(t + 1))
        unknown = (float("nan"),) * (len(groups) - t - 1)
        series.append(Series(f"after {t + 1}", tuple(map(float, groups)), (*known, *unknown)))
    return Plot(
        f"{stream.name}-{line}",
        f"{stream.title}, engine {line}: accuracy in % on each group, after each group",
        PlotKind.MATRIX,
        tuple(series),
        "group, in the order of arrival",
        x_names=tuple(str(j + 1) for j in groups),
        format=".1f" if len(groups) <= 10 else ".0f",
    )


def _whole(value: object) -> int:
    assert isinstance(value, int), "the experiment has put a whole number there"
    return value
