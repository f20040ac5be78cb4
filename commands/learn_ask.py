"""`engram learn ask`, `teach`, `status`: what people ask of the daemon that runs on a memory folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support.completion import complete_models
from engram.commands.support.founding import selected_rows
from engram.commands.support.options import Command, with_offline_session
from engram.commands.support.selecting import selection_of, with_selection
from engram.commands.support.session import CommandSession

if TYPE_CHECKING:
    from engram.participant.learn.endpoint import LearnClient

OWN: Final = "learn"
"""In a memory folder: the files of the daemon."""


def with_memory(function: Any) -> Any:
    """Adds --model and --memory."""
    function = click.option(
        "--memory",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="FOLDER",
        help="The memory folder. Default: that of the model in the data directory.",
    )(function)
    return click.option(
        "--model", metavar="ID", shell_complete=complete_models, help="The model. Default: the only one."
    )(function)


def client_of(session: CommandSession, model: str | None, memory: Path | None) -> LearnClient:
    """A client of the daemon that runs on the chosen memory folder, or on the only one with a daemon."""
    from engram.participant.learn.endpoint import LearnClient
    from engram.participant.memory.folder import MEMORY_DIRECTORY

    if memory is not None:
        return LearnClient.of_folder(memory / OWN)
    folders = session.data_dir / MEMORY_DIRECTORY
    found = [path for path in sorted(folders.glob("*/" + OWN)) if (path / "run.json").exists()]
    if model is not None:
        found = [path for path in found if path.parent.name.startswith(model)]
    if len(found) > 1:
        raise click.UsageError("several daemons run: choose one with --model or --memory")
    return LearnClient.of_folder(found[0] if found else folders / (model or "model") / OWN)


@click.command(
    "ask",
    cls=Command,
    example="engram learn ask --data questions.csv --label none\n"
    "engram learn ask --data digits --share 4/4 --rows 5 --json",
)
@with_selection()
@click.option("--rows", type=click.IntRange(1, 10_000), help="Ask about so many rows only.")
@with_memory
@with_offline_session
def ask(
    session: CommandSession, rows: int | None, model: str | None, memory: Path | None, **options: Any
) -> None:
    """Ask the running daemon about rows, and print what it answers. They need no labels; none are sent.

    Each answer names the class, which memory has answered, the version of the chain's model, and how long ago
    that version was proven. "row" is the number of the row in the data, counted from 0. Of rows that have a
    label, the last line says how many were answered with it.
    """
    import asyncio

    from engram.commands.support.output import Column
    from engram.commands.support.predictions import say_mapping
    from engram.participant.learn.endpoint import MAX_ROWS

    selection = selection_of(options, rows)
    asked = selection.asked(0)
    if selection.mapping is None and asked.mapping is not None:
        say_mapping(asked.mapping)

    async def main() -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = []
        async with client_of(session, model, memory) as client:
            for begin in range(0, len(asked.features), MAX_ROWS):
                chunk = asked.features[begin : begin + MAX_ROWS].tolist()
                answers += (await client.post("/answer", {"rows": chunk}))["answers"]
        return answers

    given: list[dict[str, Any]] = [
        {"row": row, "given": label, **answer}
        for row, label, answer in zip(asked.rows, asked.labels, asyncio.run(main()), strict=True)
    ]
    columns = [
        Column("row", lambda item: item["row"], right=True),
        Column("label", lambda item: "-" if item["label"] is None else item["label"], right=True),
        Column("class", lambda item: "-" if item["class"] is None else item["class"], right=True),
        Column("name", lambda item: item["name"]),
        Column("memory", lambda item: item["memory"]),
        Column("version", lambda item: item["version"], right=True),
        Column("proven", lambda item: f"{item['age_ms'] // 1000} s ago"),
    ]
    session.show_rows(given, columns, "there are no rows")
    labelled = [item for item in given if item["given"] is not None]
    if labelled:
        right = sum(item["label"] == item["given"] for item in labelled)
        session.note(f"{right} of {len(labelled)} answers are the labels of the data")


@click.command(
    "teach",
    cls=Command,
    example="engram learn teach --data mine.csv\nengram learn teach --data mine.npz --name 7=zebra",
)
@with_selection()
@click.option("--name", "names", multiple=True, metavar="LABEL=NAME", help="Name a label. May be repeated.")
@with_memory
@with_offline_session
def teach(
    session: CommandSession,
    names: tuple[str, ...],
    model: str | None,
    memory: Path | None,
    **options: Any,
) -> None:
    """Teach the running daemon labelled rows. They are on its disk when the command ends."""
    import asyncio

    from engram.participant.learn.endpoint import MAX_ROWS

    given = dict(name.partition("=")[::2] for name in names)
    if foreign := [label for label in given if not label.isdigit() or not given[label]]:
        raise click.BadParameter(f"{foreign[0]!r} is no LABEL=NAME", param_hint="--name")
    data = selected_rows(session, selection_of(options), 0)

    async def main() -> dict[str, Any]:
        kept = 0
        async with client_of(session, model, memory) as client:
            for begin in range(0, data.rows, MAX_ROWS):
                chunk = slice(begin, begin + MAX_ROWS)
                rows, labels = data.features[chunk].tolist(), data.labels[chunk].tolist()
                content = {"rows": rows, "labels": labels, "names": given}
                kept += (await client.post("/learn", content))["kept"]
        return {"rows": data.rows, "kept": kept}

    result = asyncio.run(main())
    session.show(result, result.items())


@click.command("status", cls=Command, example="engram learn status\nengram learn status --json")
@with_memory
@with_offline_session
def status(session: CommandSession, model: str | None, memory: Path | None) -> None:
    """Show what the running daemon knows, and what it is doing."""
    import asyncio

    async def main() -> dict[str, Any]:
        async with client_of(session, model, memory) as client:
            return await client.get("/status")

    result = asyncio.run(main())
    shown = dict(result)
    for name in ("unknown", "known"):
        shown[name] = ", ".join(_class_words(item) for item in result[name]) or "none"
    session.show(result, shown.items())


def _class_words(item: dict[str, Any]) -> str:
    name = f" ({item['name']})" if item["name"] else ""
    what = f"{item['examples']} examples" if "examples" in item else f"class {item['class']}"
    return f"{item['label']}{name}: {what}"
