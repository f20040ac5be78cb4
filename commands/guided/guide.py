"""Leads through the guided play: finds the step at which it stands, and does one after the other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from engram.commands.guided import acts
from engram.commands.guided.narrator import Narrator
from engram.commands.guided.playground import MARK_NAME, PASSPHRASE, Playground, prepare, running
from engram.commands.guided.steps import CHAPTERS, STEPS, Step


def lead(folder: Path, narrator: Narrator) -> None:
    """Plays from the step at which the folder stands to the end, or until the person stops.

    Raises `DirectoryNotEmpty`, `PlayStuck`, what keeps a node from starting, and what the steps raise.
    """
    _welcome(narrator, folder, is_new=not (folder / MARK_NAME).is_file())
    prepare(folder)
    ground = Playground(folder, narrator)
    with running(ground) as url:
        asyncio.run(acts.settle(ground))
        begin = asyncio.run(_next_step(ground))
        narrator.line(f"\nThe node answers at {url}; a browser shows its chain at {url}/explore/")
        if begin:
            narrator.say(f"\nSteps 1 to {begin} are done already.")
        for step in STEPS[begin:]:
            if not _walk(ground, step):
                narrator.line(f"\nStopped before this step. The same command goes on here: {_again(folder)}")
                return
    _farewell(narrator, folder)


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
        narrator.say(f"\nChapter {step.chapter}: {CHAPTERS[step.chapter]}", style="bold")
    narrator.heading(f"{number} of {len(STEPS)}: {step.title}")
    narrator.say(step.text)
    narrator.commands(step.commands)
    if not narrator.goes_on():
        return False
    narrator.say()
    facts = asyncio.run(_act(ground, step))
    if not narrator.as_json:
        step.show(ground, facts)
    narrator.event(_told(step, number, facts))
    return True


async def _act(ground: Playground, step: Step) -> acts.Facts:
    return await step.act(ground)


def _told(step: Step, number: int, facts: dict[str, Any]) -> dict[str, Any]:
    place = {"event": "step", "step": step.name, "number": number, "of": len(STEPS), "chapter": step.chapter}
    return {**place, "title": step.title, "commands": list(step.commands), "result": facts}


def _welcome(narrator: Narrator, folder: Path, *, is_new: bool) -> None:
    narrator.say("A round of Engram, step by step", style="bold")
    narrator.say(
        "You will see a neural network founded on a chain, trained by people who do not trust each other, and"
        " grown by a second owner. Everything happens on this machine, on a chain that belongs to you alone,"
        f" in the folder {folder}."
    )
    narrator.say(
        "\nNothing hurries you: blocks wait until you go on. Stop when you like, by Ctrl-C too; the same"
        " command goes on where you were."
        if is_new
        else "\nThis play was begun before, and goes on."
    )
    narrator.say(
        "\nWhile it runs, you can type the commands that it shows in a second terminal, after this one:"
    )
    narrator.line(f"  export ENGRAM_DATA_DIR={folder} ENGRAM_PASSPHRASE={PASSPHRASE}")


def _farewell(narrator: Narrator, folder: Path) -> None:
    narrator.event({"event": "result", "folder": str(folder), "steps": len(STEPS)})
    narrator.say("\nThat was a round, and a growth.", style="bold")
    narrator.line(
        f"  Everything is in {folder}: the chain, the keys, {acts.PROOF_NAME}, {acts.NETWORK_NAME}."
    )
    narrator.line("  Look at the chain:")
    narrator.line(f"    engram run --dev --data-dir {folder}")
    narrator.line(f"    engram explore --data-dir {folder}        (in a second terminal)")
    narrator.line(f"  Delete it:  rm -r {folder}")
    narrator.line("  Try next:   engram demo                     (a network, and four who cheat)")
    narrator.line("              engram data check FILE          (whether your own data can be taught)")
    narrator.line("              engram glossary witness         (what a word means)")


def _again(folder: Path) -> str:
    return f"engram play --dir {folder}"
