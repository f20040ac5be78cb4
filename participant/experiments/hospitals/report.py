"""The report of the experiment: from rows to tables, plots and sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from engram.participant.experiments.document import (
    Document,
    Heading,
    Plot,
    PlotKind,
    Prose,
    Row,
    Series,
    Table,
    TableColumn,
    Value,
)
from engram.participant.experiments.hospitals import report_text as text
from engram.participant.experiments.hospitals.records import GROUPS, OWNERS
from engram.participant.experiments.plan import Rows
from engram.participant.experiments.summing import average, deviation, grouped

METHODS: Final = {
    "sums": "six owners, sums of at least 20 rows",
    "everything": "six owners, sums of however few rows",
    "own": "own rounds, each owner from own rows alone (runs differ)",
    "joint ridge": "all rows in one place",
    **{f"{owner} alone": f"{owner} alone" for owner in OWNERS},
    "majority class": "always the most frequent answer",
}
ON_CHAIN: Final = ("sums", "everything", "own")
"""Methods whose models stand on a chain, where nodes have computed every number."""


def document(rows: Rows) -> Document:
    """The whole report."""
    return Document(
        "Six hospitals, one model, no shared rows",
        (
            Prose(text.OPENING),
            Heading("How well it answers"),
            Prose(text.ACCURACY),
            _accuracy(rows),
            _bars(rows),
            Heading("What each owner gets"),
            Prose(text.OWNERS),
            _owners(rows),
            Heading("Diagnoses that arrive over time"),
            Prose(text.ROUNDS),
            _rounds(rows),
            _matrix(rows),
            Heading("Who has too few rows to hide"),
            Prose(text.HIDING),
            _handed(rows),
            Heading("What is public at the end"),
            Prose(text.PUBLIC),
            _opened(rows),
            _public(rows),
            Prose(text.LIMITS),
        ),
    )


def _accuracy(rows: Rows) -> Table:
    by_method = grouped(rows["accuracy"], "method")
    made = [
        {
            "method": name,
            "by": "nodes" if method in ON_CHAIN else "without a chain",
            "balanced": average(given, "balanced"),
            "deviation": deviation(given, "balanced"),
            "accuracy": average(given, "accuracy"),
            "divisions": len(given),
        }
        for method, name in METHODS.items()
        if (given := by_method.get((method,)))
    ]
    columns = (
        TableColumn("method", "Who teaches, from what"),
        TableColumn("by", "Computed by"),
        TableColumn("balanced", "Balanced accuracy, %", ".1f"),
        TableColumn("deviation", "Standard deviation", ".1f"),
        TableColumn("accuracy", "Accuracy, %", ".1f"),
        TableColumn("divisions", "Divisions"),
    )
    return Table("accuracy", "All test rows, seven classes.", columns, made)


def _bars(rows: Rows) -> Plot:
    by_method = grouped(rows["accuracy"], "method")
    shown = [method for method in METHODS if (method,) in by_method]
    places = tuple(float(number) for number in range(len(shown)))
    bars = Series(
        "",
        places,
        tuple(average(by_method[method,], "balanced") for method in shown),
        tuple(deviation(by_method[method,], "balanced") for method in shown),
    )
    names = tuple(method.replace(" ", "\n") for method in shown)
    caption = "Balanced accuracy on all test rows, with its standard deviation over divisions."
    return Plot("accuracy", caption, PlotKind.BARS, (bars,), "", "%", names, (0.0, 100.0))


def _owners(rows: Rows) -> Table:
    by_owner = grouped(rows["owners"], "owner", "method")
    methods = (*ON_CHAIN, "alone", "joint ridge")
    made = []
    for owner in OWNERS:
        given = {method: by_owner.get((owner, method), []) for method in methods}
        if not any(given.values()):
            continue
        one = next(each for each in given.values() if each)
        made.append(
            {
                "owner": owner,
                "rows": average(one, "rows"),
                "classes": average(one, "classes"),
                **{method: average(each, "balanced") if each else None for method, each in given.items()},
            }
        )
    every = (
        TableColumn("owner", "Owner"),
        TableColumn("rows", "Own test rows", ".0f"),
        TableColumn("classes", "Classes among them", ".1f"),
        TableColumn("alone", "Alone, %", ".1f"),
        TableColumn("sums", "Six owners, sums, %", ".1f"),
        TableColumn("everything", "Sums of few rows too, %", ".1f"),
        TableColumn("own", "Own rounds, %", ".1f", measured=True),
        TableColumn("joint ridge", "All rows in one place, %", ".1f"),
    )
    columns = tuple(column for column in every if any(row[column.name] is not None for row in made))
    return Table("owners", "Balanced accuracy on the test rows of each owner.", columns, made)


def _rounds(rows: Rows) -> Table:
    columns = (
        TableColumn("method", "Growths from"),
        TableColumn("seed", "Division"),
        TableColumn("round", "Round"),
        TableColumn("arrives", "Arrives"),
        TableColumn("opener", "Opener"),
        TableColumn("witness", "Witness"),
        TableColumn("authors", "Authors", "", measured=True),
        TableColumn("winner", "Winner", "", measured=True),
        TableColumn("bytes", "Bytes added", ",", measured=True),
        TableColumn("nats", "Loss, nat a row", ".2f", measured=True),
        TableColumn("losable", "Old rows it knew", "", measured=True),
        TableColumn("lost", "of these lost", "", measured=True),
    )
    return Table("rounds", "Every round.", columns, rows["rounds"])


def _matrix(rows: Rows) -> Plot:
    by_class = grouped((row for row in rows["classes"] if row["method"] == "sums"), "version", "class")
    names = [name for name, _ in GROUPS]
    versions = sorted({int(version or 0) for version, _ in by_class})
    series = [
        Series(
            f"version {version}",
            tuple(float(number) for number in range(len(names))),
            tuple(
                average(by_class[version, name], "recall") if (version, name) in by_class else float("nan")
                for name in names
            ),
        )
        for version in versions
    ]
    caption = (
        "Growths from sums: the share of each class's test rows that each version answers rightly among "
        "all classes that it knows, in percent."
    )
    short = tuple(name.replace(" ", "\n") for name in names)
    return Plot("classes", caption, PlotKind.MATRIX, tuple(series), "", "", short, format=".0f")


def _handed(rows: Rows) -> Table:
    given = [row for row in rows["handed"] if row["method"] == "sums"]
    made = []
    for (owner,), own in grouped(given, "owner").items():
        kept = [row for row in own if not row["handed_over"]]
        made.append(
            {
                "owner": owner,
                "rows": _per_seed(own, lambda row: int(row["rows"] or 0)),
                "handed": _per_seed(own, lambda row: int(row["rows"] or 0) * bool(row["handed_over"])),
                "kept": ", ".join(dict.fromkeys(str(row["class"]) for row in kept)) or "nothing",
                "bytes": _per_seed(own, lambda row: int(row["bytes"] or 0)),
            }
        )
    columns = (
        TableColumn("owner", "Owner"),
        TableColumn("rows", "Rows that could be learned from", ",.0f"),
        TableColumn("handed", "Rows whose sums are handed over", ",.0f"),
        TableColumn("kept", "Too few rows to hide in (in some division)"),
        TableColumn("bytes", "Bytes of its files", ",.0f"),
    )
    return Table("handed", "What the rule of 20 rows a class lets through.", columns, made)


def _opened(rows: Rows) -> Table:
    given = [row for row in rows["opened"] if row["method"] == "sums"]
    made = [
        {
            "owner": owner,
            **{name: _per_seed(own, _field(name)) for name in ("training", "opened", "test")},
        }
        for (owner,), own in grouped(given, "owner").items()
    ]
    columns = (
        TableColumn("owner", "Owner"),
        TableColumn("training", "Rows that stayed private", ",.0f"),
        TableColumn("opened", "Rows opened in rounds", ",.0f"),
        TableColumn("test", "Test rows, published for this report", ",.0f"),
    )
    return Table("opened", "Rows that everybody can read at the end.", columns, made)


def _public(rows: Rows) -> Table:
    given = [row for row in rows["public"] if row["method"] == "sums"]
    made = []
    for (name, sender), each in grouped(given, "type", "sender").items():
        what = text.TYPES.get(str(name), "deadlines, bonds and scores")
        made.append(
            {
                "what": what,
                "sender": sender,
                "transactions": _per_seed(each, _field("transactions")),
                "bytes": _per_seed(each, _field("bytes")),
            }
        )
    merged = [
        {
            "what": what,
            "sender": sender,
            **{name: sum(float(row[name] or 0) for row in each) for name in ("transactions", "bytes")},
        }
        for (what, sender), each in grouped(made, "what", "sender").items()
    ]
    columns = (
        TableColumn("what", "Bytes on the chain"),
        TableColumn("sender", "Sent by"),
        TableColumn("transactions", "Transactions", ",.0f", measured=True),
        TableColumn("bytes", "Bytes", ",.0f", measured=True),
    )
    caption = "Everything that stands in the blocks of one model, by what it is and who sent it."
    return Table("public", caption, columns, sorted(merged, key=lambda row: str(row["what"])))


def _field(name: str) -> Callable[[Row], int]:
    return lambda row: int(row[name] or 0)


def _per_seed(rows: Sequence[Mapping[str, Value]], value: Callable[[Row], int]) -> float:
    """A sum over rows, as a mean over divisions."""
    return sum(value(row) for row in rows) / len({row["seed"] for row in rows})
