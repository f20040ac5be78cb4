"""What evaluations look like: of one version with its confusions, of all versions on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.output import Column, print_fields, print_table
from engram.commands.support.units import accuracy

if TYPE_CHECKING:
    from engram.library.evaluation import Evaluation
    from engram.library.network import Network
    from engram.nn.loss import LossKind
    from engram.participant.datasets import Dataset

MOST_COLUMNS = 20
"""A confusion matrix of more classes is printed with --json only."""


def steps_of(found: Evaluation, class_steps: Sequence[range]) -> list[dict[str, Any]]:
    """How well the classes are recognised that each addition has brought."""
    return [
        {
            "step": "founded" if number == 0 else f"growth {number}",
            "first_class": classes.start,
            "classes": len(classes),
            "rows": sum(found.support[label] for label in classes),
            "accuracy": found.accuracy_of(classes),
        }
        for number, classes in enumerate(class_steps)
        if classes
    ]


def evaluated(network: Network, data: Dataset, kind: LossKind, engine: str) -> dict[str, Any]:
    """What a version makes of the rows whose classes it knows; without such rows, it has no accuracy."""
    known = data.labels < network.classes
    found: dict[str, Any] = {
        "version": network.version.number if network.version else None,
        "classes": network.classes,
        "rows": int(known.sum()),
        "left_out": len(known) - int(known.sum()),
    }
    if not found["rows"]:
        return {**found, "correct": 0, "accuracy": None, "mean_loss": None, "steps": []}
    made = network.evaluate(data.features[known], data.labels[known], kind, engine=engine)
    measured = {"correct": made.correct, "accuracy": made.accuracy, "mean_loss": made.loss}
    return {**found, **measured, "steps": steps_of(made, network.class_steps)}


def _nats(loss: float | None) -> str | None:
    return None if loss is None else f"{loss:.4f}"


def show_versions(versions: Sequence[dict[str, Any]]) -> None:
    """Prints a line for each version, with a column for the classes of each addition."""
    steps = sorted({(step["first_class"], step["classes"]) for each in versions for step in each["steps"]})
    columns = [
        Column("version", lambda each: each["version"], right=True),
        Column("rows", lambda each: each["rows"], right=True),
        Column(
            "loss", lambda each: None if each["mean_loss"] is None else f"{each['mean_loss']:.4f}", right=True
        ),
        Column("accuracy", lambda each: _share(each["accuracy"]), right=True),
        *[_of_step(step) for step in steps if len(steps) > 1],
    ]
    print_table(columns, versions, "no versions")
    if left := max(each["left_out"] for each in versions):
        click.echo(f"up to {left} rows are of classes that a version did not know yet, and were left out")


def show_evaluation(network: Network, found: Evaluation, steps: Sequence[dict[str, Any]]) -> None:
    """Prints accuracy and loss, old classes against new ones, and the recall and confusions of each class."""
    on_chain = network.version
    print_fields(
        [
            ("model", on_chain.model.hex() if on_chain else None),
            ("version", on_chain.number if on_chain else None),
            ("rows", found.rows),
            ("accuracy", accuracy(found.correct, found.rows)),
            ("loss", f"{found.loss:.4f} nats a row ({found.loss_kind.name.lower()})"),
        ]
    )
    if len(steps) > 1:
        click.echo()
        print_table(
            [
                Column("classes", lambda step: _interval(step["first_class"], step["classes"])),
                Column("since", lambda step: step["step"]),
                Column("rows", lambda step: step["rows"], right=True),
                Column("accuracy", lambda step: _share(step["accuracy"]), right=True),
            ],
            steps,
            "no classes",
        )
    click.echo()
    recall = found.recall
    shown = [label for label, rows in enumerate(found.support) if rows]
    columns = [
        Column("class", found.name, right=True),
        Column("rows", lambda label: found.support[label], right=True),
        Column("recall", lambda label: _share(recall[label]), right=True),
    ]
    if len(recall) <= MOST_COLUMNS:
        columns += [_taken(found, other) for other in range(len(recall))]
    print_table(columns, shown, "no rows")
    if len(recall) <= MOST_COLUMNS:
        click.echo("→ N: how many rows of the class were taken for class N")


def _taken(found: Evaluation, other: int) -> Column:
    """The column of the confusion matrix that counts rows taken for one class."""
    return Column(
        f"→ {found.name(other)}", lambda label: int(found.confusion[label, other]) or None, right=True
    )


def _of_step(step: tuple[int, int]) -> Column:
    def value(version: dict[str, Any]) -> str:
        shares = [
            each["accuracy"] for each in version["steps"] if (each["first_class"], each["classes"]) == step
        ]
        return _share(shares[0]) if shares else "-"

    return Column(f"classes {_interval(*step)}", value, right=True)


def _interval(first: int, count: int) -> str:
    return str(first) if count == 1 else f"{first}-{first + count - 1}"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"
