"""The options that choose rows of a data set, for commands that bring data to a round."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support.completion import complete_data
from engram.commands.support.param_types import LABELS, SHARE
from engram.commands.support.reading import label_option, mapping_option

if TYPE_CHECKING:
    from engram.participant.selection import Selection

SELECTION: Final = ("data", "label", "mapping", "share", "take_classes", "relabel", "first_class")
"""The parameters that `with_selection` adds."""


def with_selection(*, required: bool = True) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Adds --data, --label, --mapping, --share, --take-classes, --relabel and --first-class."""
    options = (
        click.option(
            "--data",
            metavar="DATA",
            required=required,
            shell_complete=complete_data,
            help="A data set: digits, or a file or folder that `engram data check` can read.",
        ),
        label_option,
        mapping_option,
        click.option(
            "--share",
            type=SHARE,
            metavar="I/N",
            default=(1, 1),
            help="Use only share I of N, such as 2/4: rows are sorted by class and dealt in turn, equal ones "
            "to one share, so shares of the same N have no row in common. `engram data rows` names them.",
        ),
        click.option(
            "--take-classes",
            "take_classes",
            type=LABELS,
            metavar="LABELS",
            default=(),
            help="Use only rows with these labels, such as 0-5,8; with a mapping also its words, such as "
            "birch,oak.",
        ),
        click.option(
            "--relabel",
            is_flag=True,
            help="Replace the labels of --take-classes by 0, 1, … in the order given.",
        ),
        click.option(
            "--first-class",
            type=click.IntRange(0, 1023),
            metavar="N",
            help="Number the classes from N on: the labels of --take-classes become N, N + 1, … in the order "
            "given; without --take-classes, N is added to every label.",
        ),
    )

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def memory_option(
    text: str, *, required: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Adds --memory FOLDER; `text` says what for."""
    return click.option(
        "--memory",
        "memory",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="FOLDER",
        required=required,
        help=text,
    )


def selection_of(options: dict[str, Any], rows: int | None = None) -> Selection:
    """The selection that the options name; takes them out of `options`, which must hold a --data.

    `rows`: how many rows to keep; None keeps all.
    """
    from engram.participant.selection import Selection

    source, share, first = options.pop("data"), options.pop("share"), options.pop("first_class")
    relabel = options.pop("relabel") or first is not None
    label, mapping = options.pop("label"), options.pop("mapping")
    classes = _numbers(options.pop("take_classes"), source, mapping)
    return Selection(source, share, classes, relabel, rows, first or 0, label, mapping)


def _numbers(labels: tuple[int | str, ...], source: str, mapping: Path | None) -> tuple[int, ...]:
    """The numbers of the classes that --take-classes names; words are those of the mapping.

    Raises `click.UsageError` for a word without a mapping and for a class that is named twice, `LabelUnknown`
    for a word that the mapping does not have, and what `load_mapping` raises.
    """
    words = [label for label in labels if isinstance(label, str)]
    if not words:
        return tuple(int(label) for label in labels)
    from engram.participant.tables.applying import mapped_labels, mapping_beside
    from engram.participant.tables.mapping import load_mapping

    context = click.get_current_context()
    found = mapping or mapping_beside(source)
    if found is None:
        raise click.UsageError(
            f"--take-classes names {words[0]!r}: labels are numbers, such as 0-5,8, unless --mapping names "
            "the file that tells which word is which class",
            context,
        )
    known = dict(zip(words, mapped_labels(words, load_mapping(found)).tolist(), strict=True))
    numbers = tuple(known[label] if isinstance(label, str) else label for label in labels)
    if len(set(numbers)) != len(numbers):
        raise click.UsageError("--take-classes names a class twice", context)
    return numbers
