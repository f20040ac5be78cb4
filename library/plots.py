"""What is worth drawing of a model: how well it recognises rows, and how it became what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any, Final

from engram.library.evaluation import Evaluation
from engram.participant.experiments.document import Plot, PlotKind, Series

MOST_CLASSES: Final = 40
"""The confusions of more classes are not drawn: their squares could not be told apart."""
MOST_TICKS: Final = 25
"""Of so many versions, each has its number below the axis."""
_PERCENT: Final = (0.0, 102.0)


def evaluation_plots(found: Evaluation) -> tuple[Plot, ...]:
    """The recall of each class that has rows, and which classes are confused, in percent of its rows."""
    names = [found.name(label) for label in range(len(found.support))]
    shown = [label for label, rows in enumerate(found.support) if rows]
    recall = tuple(100 * (found.recall[label] or 0.0) for label in shown)
    places = tuple(float(place) for place in range(len(shown)))
    bars = Plot(
        "recall",
        "Recall of each class",
        PlotKind.BARS,
        (Series("", places, recall),),
        x_label="class",
        y_label="% of its rows",
        x_names=tuple(names[label] for label in shown),
        y_range=_PERCENT,
    )
    if len(names) > MOST_CLASSES:
        return (bars,)
    columns = tuple(float(place) for place in range(len(names)))
    rows = tuple(Series(names[label], columns, _shares(found, label)) for label in shown)
    matrix = Plot(
        "confusion",
        "What the rows of each class are taken for, in %",
        PlotKind.MATRIX,
        rows,
        x_label="predicted class",
        y_label="class",
        x_names=tuple(names),
        format=".0f",
    )
    return bars, matrix


def retention_plots(versions: Sequence[Mapping[str, Any]]) -> tuple[Plot, ...]:
    """Accuracy by version on the classes of each addition; `versions` are as `model evaluate` has them."""
    whole = Series(
        "all classes",
        tuple(float(each["version"]) for each in versions),
        tuple(100 * each["accuracy"] for each in versions),
    )
    steps = sorted({(step["first_class"], step["classes"]) for each in versions for step in each["steps"]})
    lines = [whole] if len(steps) != 1 else []
    for first, count in steps:
        points = [
            (float(each["version"]), 100 * step["accuracy"])
            for each in versions
            for step in each["steps"]
            if (step["first_class"], step["classes"]) == (first, count) and step["accuracy"] is not None
        ]
        if points:
            label = f"class {first}" if count == 1 else f"classes {first}-{first + count - 1}"
            lines.append(Series(label, *zip(*points, strict=True)))
    losses = Series("", whole.x, tuple(float(each["loss"]) for each in versions))
    return (
        _by_version("accuracy", "Accuracy on these rows", lines, "% of rows", _PERCENT),
        _by_version("loss", "Loss on these rows", [losses], "nats a row"),
    )


def history_plots(versions: Sequence[Mapping[str, Any]]) -> tuple[Plot, ...]:
    """The learning curve by version, with classes and bytes; `versions` are as `model history` has them."""
    numbers = tuple(float(each["version"]) for each in versions)

    def line(name: str, label: str = "", factor: float = 1.0) -> Series:
        values = (each[name] for each in versions)
        return Series(label, numbers, tuple(nan if value is None else factor * value for value in values))

    shares = [line("sealed_accuracy", factor=100)]
    losses = [line("sealed_loss", "sealed rows"), line("validation_loss", "rows revealed before")]
    sizes = [line("classes", "classes"), line("neurons", "neurons")]
    return (
        _by_version("accuracy", "Accuracy on sealed rows", shares, "% of rows", _PERCENT),
        _by_version("loss", "Loss", losses, "nats a row"),
        _by_version("size", "Classes and neurons", sizes, "number"),
        _by_version("bytes", "Weights and biases", [line("parameter_bytes")], "bytes"),
    )


def _by_version(
    name: str,
    caption: str,
    lines: Sequence[Series],
    y_label: str,
    y_range: tuple[float, float] | None = None,
) -> Plot:
    """Lines over versions; unless a range is given, from 0 to a little above the highest value."""
    top = max((value for each in lines for value in each.y if value == value), default=1.0)
    last = max((int(number) for each in lines for number in each.x), default=0)
    ticks = tuple(map(str, range(last + 1))) if last < MOST_TICKS else ()
    axis = (0.0, 1.05 * top or 1.0) if y_range is None else y_range
    return Plot(name, caption, PlotKind.LINES, tuple(lines), "version", y_label, ticks, axis)


def _shares(found: Evaluation, label: int) -> tuple[float, ...]:
    return tuple(100 * count / found.support[label] for count in found.confusion[label].tolist())
