"""`engram data`: checks data files, and makes of any of them rows that a model can take."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support.files import check_free, output_option
from engram.commands.support.options import Group, json_flag, refuse_given
from engram.commands.support.param_types import RealNumber
from engram.commands.support.reading import layout_of, mapping_option, with_layout
from engram.commands.support.selecting import selection_of, with_selection
from engram.commands.support.session import CommandSession

if TYPE_CHECKING:
    from engram.participant.tables.examining import DataReport, DataWarning
    from engram.participant.tables.mapping import DataMapping
    from engram.participant.tables.raw import RawTable, ReadOptions

SHOWN: Final = 20
"""How many labels are printed; --json has all of them."""
FILE = click.argument("file", type=click.Path(path_type=Path))
HOW: Final = {
    "asked": "as you say",
    "named": "by its title",
    "words": "it holds words",
    "values": "by its values",
    "format": "by the format",
    "guessed": "a guess",
}
SCALES: Final = ("auto", "columns", "all", "none")
MISSING: Final = ("refuse", "drop", "mean")
"""As in `tables/mapping.py`: written out, so that help needs no numpy."""
NOT_SHOWN: Final = ("warnings", "channels", "reveals", "repeats_dropped")
REPEATED: Final = ("keep", "drop")


@click.group(
    "data",
    cls=Group,
    example="engram data check mine.csv\nengram data convert mine.csv -o mine.npz",
)
def command() -> None:
    """Check data files, and make of any of them rows that a model can take.

    A model takes rows of whole numbers from 0 to 255 and labels 0, 1, … A file can be CSV (any delimiter,
    with titles or without), .npz, .npy, parquet, a pair of idx files or a folder of these, or a folder that
    holds a folder of pictures for each class. What holds other numbers, or words as labels, is converted; the
    mapping that says how is kept beside the new file, so that later files of the same kind are read in the
    same way.
    """


@command.command(
    "check",
    example="engram data check mine.csv\n"
    "engram data check mine.csv --label first --json\n"
    "engram data check more.csv --mapping mine.mapping.json",
)
@FILE
@with_layout
@mapping_option
@json_flag
def check(file: Path, mapping: Path | None, as_json: bool, **options: Any) -> None:
    """Say what a data file holds, what is doubtful in it, and what a model founded on it would be.

    The command names the rows and inputs, where it has found the labels, how many rows each of them has, the
    range of the values, what is missing or repeated, and whether the file can be used as it is. It changes
    nothing. Commands that found on data with warnings ask before, or need --yes.
    """
    from engram.participant.tables.examining import examine
    from engram.participant.tables.mapping import load_mapping

    known = None if mapping is None else load_mapping(mapping)
    layout = layout_of(options, as_json=as_json)
    table = _read(file, layout if known is None else known.options(layout))
    report = examine(table, known)
    session = CommandSession(as_json=as_json)
    session.show(report.to_json(), _fields(report).items())
    _warn(session, report.warnings)


@command.command(
    "convert",
    example="engram data convert mine.csv -o mine.npz\n"
    "engram data convert mine.csv --label first --missing drop --repeated drop -o mine.npz\n"
    "engram data convert more.csv --mapping mine.mapping.json --extend -o more.npz",
    sections={
        "How the file is read": (
            *("label", "header", "delimiter", "decimal"),
            *("size", "grey", "channels", "drop", "test_rows"),
        ),
        "How rows are made": ("mapping", "extend", "scale", "margin", "missing", "repeated"),
        "Output": ("output", "force", "as_json", "help"),
    },
)
@FILE
@output_option("data.npz")
@with_layout
@mapping_option
@click.option(
    "--extend", is_flag=True, help="With --mapping: give labels that it does not know further classes."
)
@click.option(
    "--scale",
    type=click.Choice(SCALES),
    default="auto",
    show_default=True,
    help="Which range becomes 0 to 255. columns: that of each column; all: that of all values; none: "
    "values stay. auto: none for whole numbers from 0 to 255, all for pictures, else columns.",
)
@click.option(
    "--margin",
    type=RealNumber(0, 100),
    default=0.0,
    metavar="SHARE",
    help="Leave room for values of later files: 0.5 widens each range by half its width on both sides. "
    "Default: none.",
)
@click.option(
    "--missing",
    type=click.Choice(MISSING),
    default="refuse",
    show_default=True,
    help="What becomes of rows that lack values. drop: they are left out; mean: the mean of the column "
    "stands for the value. A row without a label is left out in both cases.",
)
@click.option(
    "--repeated",
    type=click.Choice(REPEATED),
    default="keep",
    show_default=True,
    help="What becomes of rows that equal an earlier one, label and all, once they are converted. drop: they "
    "are left out.",
)
@json_flag
def convert(
    file: Path,
    output: Path,
    force: bool,
    mapping: Path | None,
    extend: bool,
    scale: str,
    margin: float,
    missing: str,
    repeated: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Write the rows of a data file as bytes and classes, and the mapping that says how beside them.

    Values are scaled to 0 to 255, labels numbered from 0 on in their order. The mapping is written beside
    the new file (data.npz: data.mapping.json). Give it to --mapping for every later file of the same model:
    then the same label gets the same class, and the same value the same byte. With --extend, new labels get
    the next classes, as a growth needs them; if the mapping itself stands beside the new file, it is replaced
    by the longer one.

    Rows without labels (--label none, or a file without the mapping's label column) are converted by a
    mapping alone, for predictions.

    A mapping holds the range of each column's values, and their means with --missing mean. That is personal
    data if the rows are: docs/data.md says how to share a mapping with rounded ranges.
    """
    from engram.participant.tables.applying import mapping_path
    from engram.participant.tables.converting import converted, revealed, save_rows
    from engram.participant.tables.mapping import load_mapping

    context = click.get_current_context()
    if extend and mapping is None:
        raise click.UsageError("--extend goes with --mapping only", context)
    if mapping is not None:
        refuse_given(("scale", "margin"), "is fixed by the mapping")
    elif scale == "none":
        refuse_given(("margin",), "widens a range, and --scale none has none")
    beside = mapping_path(output)
    check_free(output, force=force)
    if mapping is None or mapping.resolve() != beside.resolve():
        check_free(beside, force=force)
    known = None if mapping is None else load_mapping(mapping)
    layout = layout_of(options, as_json=as_json)
    table = _read(file, layout if known is None else known.options(layout))
    done = converted(
        table, known, scale=scale, missing=missing, margin=margin, extend=extend, repeated=repeated
    )
    save_rows(output, done.rows)
    done.mapping.save(beside)
    session = CommandSession(as_json=as_json)
    facts = revealed(done.mapping)
    result = {"file": str(output), "mapping": str(beside), "reveals": facts, **done.to_json()}
    shown = {name: value for name, value in result.items() if name not in NOT_SHOWN}
    if repeated == "drop":
        shown["repeats dropped"] = result["repeats_dropped"]
    words = {**_classes(done.mapping), **_channels(result["channels"], done.mapping.channels)}
    session.show(result, {**shown, **words}.items())
    if facts:
        session.note(
            f"{beside.name} holds {facts}: if the rows are personal data, so is this file. docs/data.md says "
            "how to round the numbers before you share it."
        )
    if not done.labelled:
        session.note("the rows have no labels: a model can be asked about them, and a round cannot use them")
    _warn(session, done.warnings)


@command.command(
    "rows",
    example="engram data rows --data digits --share 2/3\n"
    "engram data rows --data mine.npz --share 1/2 --take-classes 0-2 --json",
)
@with_selection()
@json_flag
def rows(as_json: bool, **options: Any) -> None:
    """Say which rows of a data set a share holds, by their numbers.

    Rows count from 0 in the order of the file, as for `engram model predict --first`. The options are those
    of `engram round open` and `engram participate`, which take these rows: so one sees whether a row may have
    taught a model.
    """
    selection = selection_of(options)
    asked = selection.asked(0)
    name = selection.class_names()
    held = Counter(label for label in asked.labels if label is not None)
    session = CommandSession(as_json=as_json)
    labels = {name(label): held[label] for label in sorted(held)}
    result = {"data": selection.source, "count": len(asked.rows), "labels": labels, "rows": list(asked.rows)}
    fields = {
        "data": selection.source,
        "count": len(asked.rows),
        "labels": ", ".join(f"{label}: {count}" for label, count in list(labels.items())[:SHOWN]),
        "rows": " ".join(map(str, asked.rows)),
    }
    session.show(result, fields.items())


def _read(file: Path, layout: ReadOptions) -> RawTable:
    """The rows of the file. Raises `click.UsageError` for --channels where pictures have none."""
    from engram.participant.tables.reading import read

    table = read(file, layout)
    if layout.channels is not None and table.channels is None:
        raise click.UsageError(
            f"--channels is for arrays of pictures with several channels, and {file.name} holds "
            "none: leave it out",
            click.get_current_context(),
        )
    return table


def _channels(found: dict[str, str] | None, kept: str | None = None) -> dict[str, str]:
    """The line that says where the channels of pictures are; `kept`: where the converted rows have them."""
    if found is None:
        return {}
    turned = "" if kept in (None, found["axis"]) else f", turned to {kept} as the mapping has them"
    guessed = "; --channels says otherwise" if found["found"] == "guessed" else ""
    return {"channels": f"{found['axis']} ({HOW[found['found']]}{guessed}){turned}"}


def _classes(mapping: DataMapping) -> dict[str, object]:
    names = mapping.classes
    more = [f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return {"classes": ", ".join([f"{number} {name}" for number, name in enumerate(names[:SHOWN])] + more)}


def _warn(session: CommandSession, warnings: tuple[DataWarning, ...]) -> None:
    for warning in warnings:
        session.note(f"warning: {warning.message} [{warning.code}]\n  {warning.remedy}")


def _fields(report: DataReport) -> dict[str, object]:
    facts = report.facts
    labels = [f"{name}: {count}" for name, count in list(facts["labels"].items())[:SHOWN]]
    more = [f"and {len(facts['labels']) - SHOWN} more"] if len(facts["labels"]) > SHOWN else []
    shape = " x ".join(map(str, facts["shape"]))
    founds = facts["founds"]
    fields = {
        "file": facts["file"],
        "format": facts["format"] + (", with titles" if facts["header"] else ""),
        "rows": facts["rows"],
        "inputs": facts["inputs"] if len(facts["shape"]) == 1 else f"{facts['inputs']} ({shape})",
        **_channels(facts["channels"]),
        "label": f"{facts['label']['column']} ({HOW[facts['label']['found']]})",
        "labels": ", ".join(labels + more),
        "values": f"{_number(facts['lowest'])} to {_number(facts['highest'])}",
        "missing": f"{facts['missing_values']} values in {facts['missing_rows']} rows, "
        f"{facts['missing_labels']} labels",
        "repeated": f"{facts['repeated_rows']} rows, and {facts['contradicting_rows']} with another label",
        "constant": f"{facts['constant_inputs']} inputs",
    }
    if founds is not None:
        fields["would found"] = (
            f"{founds['inputs']} inputs, {founds['classes']} classes, {founds['rows']} rows"
        )
    else:
        fields["not usable yet"] = str(report.problem)
    return fields


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
