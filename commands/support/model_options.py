"""The options of `engram round open` that fix the rules of a new model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from engram.commands.support.completion import complete_keys
from engram.commands.support.options import refuse_given
from engram.commands.support.param_types import LIMITS_OF_GROWTH, WIDTHS, FractionType

Function = TypeVar("Function", bound=Callable[..., Any])

LOSSES: Final = ("softmax_cross_entropy", "squared_error", "zero_one")
POLICIES: Final = ("strict", "gated", "relative")
"""Names of `LossKind` and `Policy`: written out, so that help needs no numpy."""
ACTIVATIONS: Final = ("relu", "square")
VERIFICATIONS: Final = ("everyone", "disputed")

_OPTIONS: Final = (
    click.option(
        "--classes",
        type=click.IntRange(1, 1024),
        help="Number of classes. Default: the highest label + 1.",
    ),
    click.option(
        "--hidden",
        type=WIDTHS,
        metavar="WIDTHS",
        default=(32,),
        help="Neurons of each hidden layer, such as 64,32, or none. Default: 32.",
    ),
    click.option(
        "--activation",
        type=click.Choice(ACTIVATIONS),
        default="relu",
        show_default=True,
        help="Activation function of the hidden neurons.",
    ),
    click.option(
        "--weight-bits",
        type=click.Choice(("8", "16")),
        default="8",
        show_default=True,
        help="Size of a weight, an integer of so many bits.",
    ),
    click.option(
        "--loss",
        type=click.Choice(LOSSES),
        default="softmax_cross_entropy",
        show_default=True,
        help="The loss that updates have to lower.",
    ),
    click.option(
        "--threshold",
        type=FractionType(1),
        metavar="NUMBER",
        default="0.2",
        show_default=True,
        help="The neurons freeze once the sealed loss is at most NUMBER * ln(classes) nats a row.",
    ),
    click.option(
        "--policy",
        type=click.Choice(POLICIES),
        default="strict",
        show_default=True,
        help="What growth by new classes may do to old logits. strict: nothing; gated: whatever loses "
        "little on old rows; relative: add one number a row to all of them.",
    ),
    click.option(
        "--member",
        "members",
        multiple=True,
        metavar="ACCOUNT",
        shell_complete=complete_keys,
        help="Who may open rounds that grow the model, beside you; may be repeated.",
    ),
    click.option(
        "--standing-witness",
        "standing_witnesses",
        multiple=True,
        metavar="ACCOUNT",
        shell_complete=complete_keys,
        help="A witness without whose sealed part no round takes place; may be repeated.",
    ),
    click.option(
        "--standing-old-witness",
        "standing_old_witnesses",
        multiple=True,
        metavar="ACCOUNT",
        shell_complete=complete_keys,
        help="As --standing-witness, for parts of old classes only.",
    ),
    click.option(
        "--epsilon",
        type=FractionType(1),
        metavar="NUMBER",
        help="Share of the old rows that one growth may lose, rounded down to whole rows. Default: the "
        "least, from 0.02 up, with which honest growths pass in rounds as large as this one; it is printed.",
    ),
    click.option(
        "--delta",
        type=FractionType(10),
        metavar="NUMBER",
        default="0.25",
        show_default=True,
        help="Share by which a growth may raise the loss on old rows. It counts from the loss of the "
        "version before, or from the freezing threshold if that is higher.",
    ),
    click.option(
        "--lost-cap",
        type=FractionType(1),
        metavar="NUMBER",
        default="0.2",
        show_default=True,
        help="Share of old rows that all growths together may lose before you raise it, in public.",
    ),
    click.option(
        "--growth-limits",
        type=LIMITS_OF_GROWTH,
        metavar="LIMIT=NUMBER,...",
        default={},
        help="The most that one growth may append, so that no member can fill the model up. Limits: "
        "segments (32), neurons (1024), components (256), classes (64), macs-per-row (2000000).",
    ),
    click.option(
        "--verification",
        type=click.Choice(VERIFICATIONS),
        default="everyone",
        show_default=True,
        help="Who computes the scores of updates. everyone: every node, all of them; disputed: authors claim "
        "them, row by row, and nodes compute only what somebody disputes and what an audit draws. Then one "
        "honest watcher (`engram watch`) and one honest miner are assumed.",
    ),
    click.option(
        "--dispute-window",
        type=click.IntRange(1, 2**32 - 1),
        metavar="TICKS",
        help="With --verification disputed: ticks in which a claim can be disputed. The phase score lasts "
        "three times as long, or longer. Default: as long as the phase commit, or the least that the chain "
        "allows.",
    ),
    click.option(
        "--audit-chunks",
        type=click.IntRange(1, 64),
        default=8,
        show_default=True,
        help="With --verification disputed: chunks of rows of each claim that every node recomputes.",
    ),
)


def with_model_options(function: Function) -> Function:
    """Adds the options, in the order in which they stand above."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def refuse_unused(verification: str) -> None:
    """Refuses options about disputes where every node computes every score. Raises `click.UsageError`."""
    if verification != "disputed":
        refuse_given(("dispute_window", "audit_chunks"), "is for --verification disputed")
