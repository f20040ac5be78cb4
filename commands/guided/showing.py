"""Shows a person what came of a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engram.commands.guided.acts import NETWORK_NAME, PROOF_NAME
from engram.commands.guided.playground import Playground

Show = Callable[[Playground, dict[str, Any]], None]


def keys(ground: Playground, facts: dict[str, Any]) -> None:
    """Names, each with its address."""
    for name, address in facts["addresses"].items():
        ground.narrator.line(f"  {name:<6} {address}")


def coins(ground: Playground, facts: dict[str, Any]) -> None:
    """What everybody has."""
    for name, balance in facts["balances"].items():
        ground.narrator.line(f"  {name:<6} has {balance} coins")


def opened(ground: Playground, facts: dict[str, Any]) -> None:
    """The round and the model."""
    ground.narrator.line(f"  round {facts['round'][:12]} is open, on the model {facts['model'][:12]}")
    ground.narrator.line(
        f"  {facts['parts']} parts of {facts['rows']} rows are committed to; nobody has seen one"
    )


def sealed(ground: Playground, facts: dict[str, Any]) -> None:
    """The fingerprint."""
    ground.narrator.line(f"  carol's part is sealed; its fingerprint is {facts['commitment'][:12]}")


def outcome(ground: Playground, facts: dict[str, Any]) -> None:
    """Who has won, and why."""
    ground.narrator.say()
    ground.narrator.say(f"{facts['winner']} wins the round.", style="bold")
    for update in facts["updates"]:
        for why in update["why"]:
            ground.narrator.say(f"  {update['author']}: {why}", indent="    ")
    if facts["old_rows"]:
        ground.narrator.say(
            f"  Of {facts['old_rows']} rows of old digits, the growth gets {facts['forgotten']} wrong that"
            " the model had right before.",
            indent="  ",
        )
    ground.narrator.say(
        "  What is left is the part of the baseline's loss that an update has not removed. This round has one"
        " epoch, so the least wins. `engram glossary baseline` says what the baseline is.",
        indent="  ",
    )


def versions(ground: Playground, facts: dict[str, Any]) -> None:
    """The versions of the model."""
    from engram.commands.support.output import Column, print_table

    columns = [
        Column("version", lambda row: row["version"], right=True),
        Column("author", lambda row: row["author"]),
        Column("classes", lambda row: row["classes"], right=True),
        Column("neurons", lambda row: row["neurons"], right=True),
        Column("right on unseen rows", lambda row: _percent(row["accuracy"]), right=True),
    ]
    print_table(columns, facts["versions"], "no version")
    if facts["frozen"]:
        ground.narrator.line("\n  its neurons are frozen")


def prediction(ground: Playground, facts: dict[str, Any]) -> None:
    """The picture, the likeliest classes, and whose neurons spoke for the answer."""
    from engram.commands.support.explaining import show_explained
    from engram.commands.support.predictions import RowsOfFile, chosen_rows

    chosen = chosen_rows((), RowsOfFile("digits"), facts["row"], 1)
    show_explained(ground.session, facts, chosen, None)


def proof(ground: Playground, facts: dict[str, Any]) -> None:
    """The verdict, what it means in three sentences, and where the files are."""
    ground.narrator.say("accepted" if facts["accepted"] else "not accepted", style="bold")
    ground.narrator.say(
        f"The file {PROOF_NAME} proves that version 1 was the current one at the block that you trust, who"
        f" made it, and with what loss it won. The integers in {NETWORK_NAME} are that version, to the last"
        " bit. `engram verify` says with the commands above what else is proved, and what is not."
    )
    ground.narrator.line(f"\n  {facts['proof']}\n  {facts['network']}")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
