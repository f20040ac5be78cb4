"""What the played attacks share: crowds of names, and proofs that a rule is what stops the attack."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engram.primitives import keys
from engram.statemachine.rules import Rules
from tests.support.ledger import Ledger, key
from tests.support.rounds import ACTORS, PURSE, SMALL_RULES, Play


def crowd(count: int) -> list[keys.PrivateKey]:
    """So many names of one stranger."""
    return [key(1_000 + number) for number in range(count)]


def play_with(names: list[keys.PrivateKey], rules: Rules = SMALL_RULES) -> Play:
    """A ledger on which the usual actors and these names have a purse each."""
    return Play(ledger=Ledger(dict.fromkeys((*ACTORS, *names), PURSE), rules=rules))


def fails(story: Callable[[], object]) -> None:
    """The story must not hold: the rule that stops the attack has been taken out."""
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        story()
