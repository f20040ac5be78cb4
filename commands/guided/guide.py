"""Leads through the guided play: finds the step at which it stands, and does one after the other."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import Any

import click

from engram.commands.guided import acts
from engram.commands.guided.narrator import Narrator
from engram.commands.guided.playground import MARK_NAME, PASSPHRASE, Playground, prepare, running
from engram.commands.guided.steps import CHAPTERS, MODEL, STEPS, Step
from engram.commands.support.shell_path import missing_path
from engram.participant.finding import SHOWN_DIGITS


def lead(folder: Path, narrator: Narrator) -> None:
    """Plays from the step at which the folder stands to the end, or until the person stops.

    Raises `DirectoryNotEmpty`, `PlayStuck`, what keeps a node from starting, and what the steps raise.
    """
    _welcome(narrator, folder, is_new=not (folder / MARK_NAME).is_file())
    try:
        is_whole = _lead(folder, narrator)
    except (KeyboardInterrupt, click.Abort):
        narrator.line(f"\nThe same command goes on here: {_again(folder)}")
        raise
    if is_whole:
        _farewell(narrator, folder)
    else:
        narrator.line(f"\nStopped before this step. The same command goes on here: {_again(folder)}")


def _lead(folder: Path, narrator: Narrator) -> bool:
    """Starts the node and goes through the steps; whether the last one is done."""
    from engram.commands.explore import page_of

    narrator.say()
    narrator.say("Starting a node …")
    prepare(folder)
    ground = Playground(folder, narrator)
    with running(ground) as url:
        asyncio.run(acts.settle(ground))
        begin = asyncio.run(_next_step(ground))
        narrator.say("It answers. A browser on this machine shows its chain, at any time, under")
        narrator.line(f"  {page_of(url)}")
        if begin:
            narrator.say()
            narrator.say(f"Done already: {', '.join(step.title for step in STEPS[:begin])}.")
        is_whole = all(_walk(ground, step) for step in STEPS[begin:])
        if is_whole and narrator.waits:
            narrator.say()
            narrator.say(
                "The node runs on until you press Enter. Draw a digit now, and the grown model answers:"
            )
            narrator.line(f"  {page_of(url)}#/draw/{asyncio.run(_model(ground))}")
            narrator.pause("Enter ends the play and stops its node")
        return is_whole


async def _model(ground: Playground) -> str:
    """The id of the model."""
    async with await ground.chain() as chain:
        return (await chain.model()).id


async def _next_step(ground: Playground) -> int:
    """How many steps lie behind: those up to the last one of which the chain shows that it is done."""
    done = 0
    for number, step in enumerate(STEPS, 1):
        if step.is_done is None:
            continue
        if not await step.is_done(ground):
            break
        done = number
        ground.narrator.event({"event": "before", "step": step.name})
    return done


def _walk(ground: Playground, step: Step) -> bool:
    """Does a step; False if the person stops before it."""
    narrator, number = ground.narrator, STEPS.index(step) + 1
    if number == 1 or STEPS[number - 2].chapter != step.chapter:
        narrator.say()
        narrator.say(f"Chapter {step.chapter}: {CHAPTERS[step.chapter]}", style="bold")
    commands = asyncio.run(_commands(ground, step))
    narrator.heading(f"{number} of {len(STEPS)}: {step.title}")
    narrator.say(step.text)
    narrator.commands(commands)
    if not narrator.goes_on():
        return False
    narrator.say()
    facts = asyncio.run(_act(ground, step))
    if not narrator.as_json:
        step.show(ground, facts)
    narrator.event(_told(step, number, commands, facts))
    return True


async def _commands(ground: Playground, step: Step) -> list[str]:
    """The commands of a step, with the beginning of the model's id where they name it."""
    if not any(MODEL in command for command in step.commands):
        return list(step.commands)
    async with await ground.chain() as chain:
        model = (await chain.model()).id[:SHOWN_DIGITS]
    return [command.replace(MODEL, model) for command in step.commands]


async def _act(ground: Playground, step: Step) -> acts.Facts:
    return await step.act(ground)


def _told(step: Step, number: int, commands: list[str], facts: dict[str, Any]) -> dict[str, Any]:
    place = {"event": "step", "step": step.name, "number": number, "of": len(STEPS), "chapter": step.chapter}
    return {**place, "title": step.title, "commands": commands, "result": facts}


def _welcome(narrator: Narrator, folder: Path, *, is_new: bool) -> None:
    narrator.say("A round of Engram, step by step", style="bold")
    narrator.say(
        "You will see a neural network founded on a chain, trained by people who do not trust each other, and"
        " grown by a second owner. Everything happens on this machine, on a chain that belongs to you alone,"
        f" in the folder {folder}."
    )
    narrator.say()
    narrator.say(
        "Nothing hurries you: blocks wait until you go on. Stop when you like, by Ctrl-C too; the same"
        " command goes on where you were."
        if is_new
        else "This play was begun before, and goes on."
    )
    narrator.say()
    narrator.say(
        "To do a step yourself, type its commands in a second terminal, then press Enter here. To see what"
        " the options of a command mean, add --help, as in `engram round open --help`. Begin there with:"
    )
    if (path := missing_path()) is not None:
        narrator.line(f"  {path}")
    narrator.line(f"  export ENGRAM_DATA_DIR={_quoted(folder.absolute())} ENGRAM_PASSPHRASE={PASSPHRASE}")


def _farewell(narrator: Narrator, folder: Path) -> None:
    place = _quoted(folder)
    narrator.event({"event": "result", "folder": str(folder), "steps": len(STEPS)})
    narrator.say()
    narrator.say("That was a round, and a growth.", style="bold")
    narrator.line("  Where everything is, the chain, the keys, the proof and the model's integers:")
    narrator.line(f"    {folder}")
    narrator.line("  How to start its node again, and look at the chain from a second terminal:")
    narrator.line(f"    engram run --dev --data-dir {place}")
    narrator.line(f"    engram explore --data-dir {place}")
    narrator.line("  How to delete it:")
    narrator.line(f"    rm -r {place}")
    narrator.line("  What to try next:")
    narrator.line("    engram demo               a network of nodes, and four who cheat")
    narrator.line("    engram data check FILE    whether a model can be taught with your own data")
    narrator.line("    engram glossary witness   what a word means")


def _again(folder: Path) -> str:
    return f"engram play {_quoted(folder)}"


def _quoted(folder: Path) -> str:
    return shlex.quote(str(folder))
