"""The report of the experiment: from rows to tables, plots and sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from engram.participant.experiments.paper import report_text as text
from engram.participant.experiments.plan import Rows, Scale
from engram.participant.experiments.summing import grouped

SPARKS: Final = 10**8
_COSTS: Final = (
    TableColumn("parameter_bytes", "Bytes of the network", ",", measured=True),
    TableColumn("macs_per_row", "MACs charged a row", ",", measured=True),
    TableColumn("old_before", "Digits 0-5 before the growth, %", ".1f", measured=True),
    TableColumn("old", "0-5 after it, %", ".1f", measured=True),
    TableColumn("new", "6-9, %", ".1f", measured=True),
    TableColumn("all", "All, %", ".1f", measured=True),
    TableColumn("transactions", "Transactions", ",", measured=True),
    TableColumn("bytes", "Bytes", ",", measured=True),
    TableColumn("macs", "MACs charged", ",", measured=True),
    TableColumn("coins", "Fees, coins", ".4f", measured=True),
    TableColumn("coins_each", "of a participant", ".4f", measured=True),
    TableColumn("node_seconds", "Seconds of a node", ".2f", measured=True),
)


def document(scale: Scale, rows: Rows) -> Document:
    """The whole report."""
    small = (Prose(text.QUICK),) if scale is Scale.QUICK else ()
    return Document(
        "The paper's experiment, which the paper does not have",
        (
            Prose(text.OPENING),
            *small,
            Heading("Loss and accuracy, epoch by epoch"),
            Prose(text.EPOCHS),
            _epochs(rows["epochs"]),
            _curve(rows["epochs"]),
            Heading("Versions"),
            Prose(text.VERSIONS),
            _versions(rows["versions"]),
            Heading("What the chain costs"),
            Prose(text.COSTS),
            _transactions(rows["transactions"]),
            _people(rows["people"]),
            _chain(rows["chain"]),
            Heading("Larger models"),
            Prose(text.SIZES),
            _swept("size", "hidden", "Hidden neurons", rows["size"]),
            _cost_plot("size", "hidden", "hidden neurons", rows["size"]),
            Heading("More participants"),
            Prose(text.PARTICIPANTS),
            _swept("participants", "participants", "Participants", rows["participants"]),
            _cost_plot("participants", "participants", "participants", rows["participants"]),
            Heading("With and without a dual memory"),
            Prose(text.DUAL),
            _dual(rows["dual"]),
            _dual_plot(rows["dual"]),
            Prose(text.LIMITS),
        ),
    )


def _number(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _epochs(rows: Sequence[Row]) -> Table:
    columns = (
        TableColumn("round", "Round"),
        TableColumn("epoch", "Epoch"),
        TableColumn("author", "Author"),
        TableColumn("validation", "Loss on the revealed part, nat a row", ".3f", measured=True),
        TableColumn("unseen", "on the unseen parts", ".3f", measured=True),
        TableColumn("accuracy", "Accuracy on the unseen parts, %", ".1f", measured=True),
        TableColumn("bytes", "Bytes of the update", ","),
        TableColumn("won", "Became the version", measured=True),
    )
    ordered = sorted(rows, key=lambda row: (row["round"] == "growth", row["epoch"], row["author"]))
    shown = [{**row, "won": "yes" if row["won"] else ""} for row in ordered]
    return Table("epochs", "Every candidate.", columns, shown)


def _curve(rows: Sequence[Row]) -> Plot:
    """The best loss and accuracy of each epoch, in the order of time."""
    best: dict[str, list[float]] = {"revealed part": [], "unseen parts": []}
    names = []
    by_epoch = grouped(rows, "round", "epoch")
    for name, epoch in sorted(by_epoch, key=lambda key: (key[0] == "growth", key[1])):
        each = by_epoch[name, epoch]
        best["revealed part"].append(min(_number(row["validation"]) for row in each))
        best["unseen parts"].append(min(_number(row["unseen"]) for row in each))
        names.append(f"{name}\nepoch {epoch}")
    series = tuple(
        Series(label, tuple(map(float, range(len(values)))), tuple(values)) for label, values in best.items()
    )
    caption = "The lowest loss among the candidates of each epoch."
    return Plot("epochs", caption, PlotKind.LINES, series, "", "nat a row", tuple(names))


def _versions(rows: Sequence[Row]) -> Table:
    columns = (
        TableColumn("version", "Version"),
        TableColumn("classes", "Classes"),
        TableColumn("hidden", "Hidden neurons"),
        TableColumn("added_bytes", "Bytes that it added", ","),
        TableColumn("macs_per_row", "MACs charged a row", ","),
        TableColumn("digits", "Test rows of digits"),
        TableColumn("rows", "Rows", ","),
        TableColumn("nats", "Loss, nat a row", ".3f", measured=True),
        TableColumn("accuracy", "Accuracy, %", ".2f", measured=True),
    )
    names = {"old": "0-5", "new": "6-9", "all": "0-9"}
    shown = [{**row, "digits": names[str(row["digits"])]} for row in rows]
    return Table("versions", "What nodes say of each version on test rows.", columns, shown)


def _transactions(rows: Sequence[Row]) -> Table:
    columns = (
        TableColumn("type", "Transaction"),
        TableColumn("transactions", "Number", ",", measured=True),
        TableColumn("bytes", "Bytes", ",.0f", measured=True),
        TableColumn("macs", "MACs charged", ",.0f", measured=True),
        TableColumn("coins", "Fee, coins", ".5f", measured=True),
        TableColumn("milliseconds", "Milliseconds of a node", ".2f", measured=True),
    )
    shown = [
        {
            **row,
            "coins": _number(row["fee"]) / SPARKS,
            "milliseconds": 1_000 * _number(row["seconds"]),
        }
        for row in rows
    ]
    return Table("transactions", "The mean over the transactions of each type.", columns, shown)


def _people(rows: Sequence[Row]) -> Table:
    columns = (
        TableColumn("actor", "Who"),
        TableColumn("transactions", "Transactions", ",", measured=True),
        TableColumn("bytes", "Bytes", ",", measured=True),
        TableColumn("coins", "Fees, coins", ".4f", measured=True),
    )
    shown = [{**row, "coins": _number(row["fees"]) / SPARKS} for row in rows]
    return Table("people", "What everybody has sent and paid in fees.", columns, shown)


def _chain(rows: Sequence[Row]) -> Table:
    columns = (
        TableColumn("nodes", "Mining nodes"),
        TableColumn("blocks", "Blocks", ",", measured=True),
        TableColumn("transactions", "Transactions", ",", measured=True),
        TableColumn("transaction_bytes", "Bytes of transactions", ",", measured=True),
        TableColumn("disk_bytes", "Bytes on the disk of a node", ",", measured=True),
        TableColumn("seconds", "Seconds from start to end", ".0f", measured=True),
        TableColumn("node_seconds", "Seconds to judge all transactions", ".2f", measured=True),
    )
    return Table("chain", "The whole chain, with the test rows.", columns, rows)


def _swept(name: str, key: str, heading: str, rows: Sequence[Row]) -> Table:
    shown = [
        {
            **row,
            "coins": _number(row["fees"]) / SPARKS,
            "coins_each": _number(row["fees_each"]) / SPARKS,
        }
        for row in rows
    ]
    caption = "Both rounds with one epoch each, on one node, without the test rows."
    return Table(name, caption, (TableColumn(key, heading), *_COSTS), shown)


def _cost_plot(name: str, key: str, label: str, rows: Sequence[Row]) -> Plot:
    def share(field: str) -> Callable[[Row], float]:
        whole = max(_number(row[field]) for row in rows)
        return lambda row: 100 * _number(row[field]) / whole

    fields: dict[str, Callable[[Row], float]] = {
        "bytes": share("bytes"),
        "MACs": share("macs"),
        "fees": share("fees"),
        "seconds of a node": share("node_seconds"),
        "accuracy": lambda row: _number(row["all"]),
    }
    places = tuple(_number(row[key]) for row in rows)
    series = tuple(
        Series(title, places, tuple(value(row) for row in rows)) for title, value in fields.items()
    )
    caption = "Costs in percent of the largest one, and the accuracy on all digits."
    return Plot(f"{name}-cost", caption, PlotKind.LINES, series, label, "%", y_range=(0.0, 105.0))


def _dual(rows: Sequence[Row]) -> Table:
    columns = (
        TableColumn("when", "When", measured=True),
        TableColumn("who", "Who answers"),
        TableColumn("examples", "Examples of each new digit"),
        TableColumn("old", "Digits 0-5, %", ".1f", measured=True),
        TableColumn("new", "Digits 6-9, %", ".1f", measured=True),
        TableColumn("all", "All, %", ".1f", measured=True),
        TableColumn("oracle", "All, if the right memory is asked, %", ".1f", measured=True),
        TableColumn("by", "Computed by"),
    )
    shown = [{**row, "who": "both memories" if row["examples"] else "the chain alone"} for row in rows]
    return Table("dual", "Answers to test rows of all ten digits.", columns, shown)


def _dual_plot(rows: Sequence[Row]) -> Plot:
    before = [row for row in rows if row["when"] == "before the growth"]
    names = tuple(str(row["examples"]) for row in before)
    places = tuple(map(float, range(len(before))))
    titles = {"old": "digits 0-5", "new": "digits 6-9", "all": "all"}
    series = tuple(
        Series(title, places, tuple(_number(row[field]) for row in before)) for field, title in titles.items()
    )
    caption = "Before the growth: accuracy as examples of new digits arrive; 0 is the chain alone."
    return Plot(
        "dual", caption, PlotKind.LINES, series, "examples of each new digit", "%", names, (0.0, 100.0)
    )
