"""The steps of the guided play, in their order: what is said, what is typed by hand, what is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from engram.commands.guided import acts, showing
from engram.commands.guided.acts import COINS, NETWORK_NAME, NEW_QUESTION, PLAYERS, PROOF_NAME, QUESTION
from engram.commands.guided.openings import FOUNDING, GROWTH
from engram.commands.guided.playground import Playground
from engram.commands.guided.showing import Show

Act = Callable[[Playground], Awaitable[acts.Facts]]
IsDone = Callable[[Playground], Awaitable[bool]]


@dataclass(frozen=True)
class Step:
    """One step."""

    name: str
    chapter: int
    title: str
    text: str
    """Two or three sentences for somebody who knows nothing of it."""
    commands: tuple[str, ...]
    """What does the same in a shell."""
    act: Act
    """Does it and returns what came of it. Begun again after a crash, it does what is missing."""
    show: Show
    """Shows to a person what came of it."""
    is_done: IsDone | None
    """Whether the chain, or the folder, shows that it is done; None for a step that only looks."""


MODEL: Final = "MODEL"
"""Stands in commands for the beginning of the model's id."""
CHAPTERS: Final = {1: "a model is founded", 2: "a second owner has it grow"}

STEPS: Final = (
    Step(
        "keys",
        1,
        "Keys",
        "Everybody on the chain is a key. dev has all coins of this chain and will found a model; alice and"
        " bob will train it; carol will keep watch. Each key is a file in the folder, locked by a passphrase,"
        " and what it signs is what its owner says.",
        tuple(f"engram key new {name}" for name in PLAYERS),
        acts.make_keys,
        showing.keys,
        acts.have_keys,
    ),
    Step(
        "coins",
        1,
        "Coins",
        "Who takes part in a round puts coins at stake, and loses them for breaking a rule. So dev sends"
        f" {COINS} coins to each of the others. On this chain a block comes as soon as a transaction waits.",
        tuple(f"engram tx send {name} {COINS} --key dev" for name in PLAYERS),
        acts.send_coins,
        showing.coins,
        acts.have_coins,
    ),
    Step(
        "open",
        1,
        "Founding a model",
        "dev opens a round for a new model that shall tell the handwritten digits 0 to 5 apart, and pays a"
        " bounty for it. dev's rows are cut into parts, and only a fingerprint of each goes to the chain, so"
        " nobody can train on them yet and dev cannot change them any more.",
        (f"{FOUNDING.command()} --member bob",),
        acts.found_model,
        showing.opened,
        acts.is_founded,
    ),
    Step(
        "seal",
        1,
        "A witness seals rows of her own",
        "If only dev's rows decided, dev could favour a friend. So carol, the witness, seals a part of her"
        " own rows. The updates will be judged by both, and none of their authors can know these rows.",
        (FOUNDING.seal_command(),),
        acts.seal_part,
        showing.sealed,
        acts.is_sealed,
    ),
    Step(
        "play",
        1,
        "The round",
        "Now all four play at once. The chain draws some of dev's parts and dev opens them; alice and bob"
        " train on rows of their own, commit to their updates, and reveal them; then carol and dev open what"
        " was sealed. Every node computes every loss again, to the last bit, and the update that leaves the"
        " least of it wins. Blocks wait for all four, so nobody misses a phase.",
        FOUNDING.play_commands(),
        acts.play_founding,
        showing.outcome,
        acts.is_founding_played,
    ),
    Step(
        "model",
        1,
        "The model",
        "The winner's update is version 1 of the model. If it is good enough, its neurons freeze: nobody can"
        " ever change one of their weights, and the model can only grow.",
        ("engram round show", "engram model show"),
        acts.show_model,
        showing.versions,
        None,
    ),
    Step(
        "predict",
        1,
        "A prediction, and whose it is",
        "Any node answers what a picture shows. Because the model is integers on the chain, it also says"
        " exactly how much the neurons of each author have added to the answer: how strongly they speak for"
        " it (logit), and how far that puts it ahead of the next one (lead). This row is one of carol's: no"
        " author has trained on it.",
        (f"engram model predict --data digits --first {QUESTION} --rows 1",),
        acts.ask_model,
        showing.prediction,
        None,
    ),
    Step(
        "prove",
        1,
        "A proof to take home",
        "A proof is a file that shows, without any node, which weights the chain holds and what was measured"
        " of them. It rests on one block that you trust: here, one that your own node has checked.",
        (
            "trusted=$(engram chain head | sed -n 's/^id *//p')",
            f"engram model pull -o {NETWORK_NAME}",
            f"engram model prove --checkpoint $trusted -o {PROOF_NAME}",
            f"engram verify {PROOF_NAME} --checkpoint $trusted --model {NETWORK_NAME}",
        ),
        acts.prove_model,
        showing.proof,
        acts.is_proved,
    ),
    Step(
        "grow",
        2,
        "A second owner opens a round",
        "The model knows six digits. bob owns rows of all ten and opens a round in which the model grows by"
        " four classes. He may do so because dev has made him a member of the model; now it is his bounty and"
        " his rows.",
        (GROWTH.command(MODEL),),
        acts.grow_model,
        showing.opened,
        acts.is_growing,
    ),
    Step(
        "play-growth",
        2,
        "The second round",
        "carol and dev train new neurons beside the frozen ones, and alice sits out: somebody else's neurons"
        " shall stand beside the first ones. The chain judges them on new digits and on old ones: a growth"
        " that forgets too much of what the model knew is refused.",
        GROWTH.play_commands(),
        acts.play_growth,
        showing.outcome,
        acts.is_growth_played,
    ),
    Step(
        "grown",
        2,
        "The grown model",
        "Version 2 holds every neuron of version 1 as it was, and new ones for the digits 6 to 9.",
        ("engram model show",),
        acts.show_model,
        showing.versions,
        None,
    ),
    Step(
        "predict-new",
        2,
        "A prediction by old and new neurons",
        "This picture shows a digit that the founders of the model never taught; it is one of alice's, who"
        " sat out. Old neurons contribute to it, too: the outputs of new classes read the neurons of both.",
        (f"engram model predict --data digits --first {NEW_QUESTION} --rows 1",),
        acts.ask_again,
        showing.prediction,
        None,
    ),
)
