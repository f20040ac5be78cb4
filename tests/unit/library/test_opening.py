"""The options of opening a round and of playing: what is written about their defaults is what holds."""

from __future__ import annotations

import ast
import re
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from engram.commands.participate import command as participate
from engram.commands.round_open import open_round
from engram.library import nodes
from engram.library.opening import (
    FoundingOptions,
    GrowthOptions,
    OpeningOptions,
    model_plan,
    round_plan,
)
from engram.library.rounds import PlayingOptions
from engram.participant.datasets import Dataset
from engram.participant.round_plan import MOST_ROWS
from engram.statemachine.rounds.judging import PPM

DATA = Dataset(np.zeros((2, 2), np.uint8), np.zeros(2, np.uint16))
OWN = {
    name
    for name in OpeningOptions.__annotations__
    if name not in FoundingOptions.__annotations__ and name not in GrowthOptions.__annotations__
}
COMPUTED = (
    *("classes", "epsilon", "old_rows", "opener_bond", "author_bond", "parts", "rows", "validation"),
    *("sealed", "z_squared", "dispute_window"),
)
"""Options of which the plan leaves the value to the chain's rules and the data, where nobody names one."""


def told(*kinds: Any) -> dict[str, str]:
    """What the docstrings of these classes say is the default of each option."""
    found: dict[str, str] = {}
    for kind in kinds:
        text = re.sub(r"\n {5,}(?=\S)", " ", kind.__doc__ or "")
        entries = re.findall(r"^\s*`(\w+)`: .*\. Default: (.+)$", text, re.MULTILINE)
        assert not {name for name, _ in entries} & set(found), "an option is told of twice"
        found |= dict(entries)
    return found


TOLD = told(FoundingOptions, GrowthOptions, OpeningOptions)


def test_each_option_is_told_of_where_it_belongs() -> None:
    assert set(told(FoundingOptions)) == set(FoundingOptions.__annotations__)
    assert set(told(GrowthOptions)) == set(GrowthOptions.__annotations__)
    assert set(told(OpeningOptions)) == OWN


def defaults() -> dict[str, Any]:
    """What a program gets that names no option."""
    model, plan = model_plan({}, "deng"), round_plan(DATA, {}, {}, "deng")
    named = {name: getattr(model, name) for name in ("classes", "hidden", "activation", "weight_bits")}
    named |= {"loss": model.loss_kind.name.lower(), "policy": model.policy.name.lower()}
    named |= {"threshold": model.threshold_ppm / PPM, "delta": model.retention_delta_ppm / PPM}
    named |= {"lost_cap": model.lost_cap_ppm / PPM, "epsilon": model.retention_epsilon_ppm}
    named |= {"growth_limits": asdict(model.growth_limits), "members": model.members}
    standing, seen = model.witnesses, plan.witnesses
    named |= {"standing_witnesses": standing, "standing_old_witnesses": standing}
    named |= {"witnesses": seen, "old_witnesses": seen}
    disputed = model_plan({"verification": "disputed"}, "deng").verification
    assert model.verification is None
    assert disputed is not None
    named |= {"verification": "everyone", "dispute_window": disputed.window}
    named |= {"audit_chunks": disputed.audited}
    return named | {name: getattr(plan, name) for name in TOLD if name not in named}


def test_the_defaults_that_are_told_are_those_that_hold() -> None:
    held = defaults()
    assert {name: held[name] for name in COMPUTED} == dict.fromkeys(COMPUTED)
    in_words = {*COMPUTED, "windows", "seed"}
    assert {name: ast.literal_eval(TOLD[name]) for name in TOLD if name not in in_words} == {
        name: held[name] for name in held if name not in in_words
    }
    assert f"at most {MOST_ROWS}" in TOLD["rows"]
    assert round_plan(DATA, {}, {}, "deng").seed != round_plan(DATA, {}, {}, "deng").seed, TOLD["seed"]
    lengths = dict(nodes.WINDOWS)
    gap = lengths.pop("gap")
    assert set(lengths.values()) == {4}
    assert f"4 each, and {gap} for the gap" in TOLD["windows"]


@pytest.mark.parametrize("name", sorted(OpeningOptions.__annotations__))
def test_the_command_has_the_same_option_with_the_same_default(name: str) -> None:
    usual: Any = open_round.make_context("open", ["--data", "digits"]).params[name]
    held = defaults()[name]
    if name in ("threshold", "delta", "lost_cap"):
        usual = usual / PPM
    if name == "weight_bits":
        usual = int(usual)
    if name == "seed":
        assert usual is None, "the command draws one"
    elif name == "growth_limits":
        assert usual == {}, "what is not named is as the chain's record has it"
    elif usual is None or usual == ():
        assert not held
    else:
        assert usual == held


def test_what_is_told_of_an_authors_options_is_what_the_command_takes() -> None:
    text = " ".join((PlayingOptions.__doc__ or "").split())
    options = participate.make_context("participate", ["--data", "digits"]).params
    given = {"steps", "batch", "learning_rate", "seed", "trainer"}
    values = dict(re.findall(r"`(\w+)` ([\d.]+|\"\w+\")[,.]", text))
    assert set(values) == given
    assert {name: ast.literal_eval(value) for name, value in values.items()} == {
        name: options[name] for name in given
    }
    for name in set(PlayingOptions.__annotations__) - given - {"report", "progress"}:
        assert options[name] is None, name
