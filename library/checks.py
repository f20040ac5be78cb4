"""Checks of what programs give to the library as options: what is wrong is refused by the option's name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from engram.library.errors import OptionInvalid
from engram.participant.coins import sparks_of
from engram.participant.errors import AmountInvalid

_SHOWN: Final = 40
"""Letters of a wrong value that an error repeats."""


def whole(option: str, value: Any, least: int, most: int | None = None) -> int:
    """A whole number, also one of numpy, within bounds; None is no bound. Raises `OptionInvalid`."""
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < least or (most is not None and value > most):
        told = f"{least} or more" if most is None else f"{least} to {most:,}"
        text = f"of {told}" if most is None else f"from {told}"
        raise OptionInvalid(f"{option} is a whole number {text}", expected=told, got=repr(value)[:_SHOWN])
    return int(value)


def items(option: str, value: Any, what: str) -> Sequence[Any]:
    """The items of a list. A text is refused, which would be taken apart into letters; so is a mapping.

    `what` says what the option is, with an example. Raises `OptionInvalid`.
    """
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise OptionInvalid(f"{option} is {what}", expected="a list", got=repr(value)[:_SHOWN])
    return list(value)


def positive(option: str, value: Any) -> None:
    """Refuses what is no finite number above 0. Raises `OptionInvalid`."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value < np.inf:
        raise OptionInvalid(
            f"{option} is a number above 0", expected="a number above 0", got=repr(value)[:_SHOWN]
        )


def coins(option: str, value: Any) -> None:
    """Refuses what is no amount of coins. Raises `OptionInvalid`."""
    try:
        sparks_of(value)
    except AmountInvalid as error:
        raise OptionInvalid(f"{option}: {error}", got=str(value)[:_SHOWN]) from error


def one_of(option: str, value: Any, known: Collection[str]) -> None:
    """Refuses what is none of these words. Raises `OptionInvalid`."""
    if not isinstance(value, str) or value not in known:
        told = ", ".join(sorted(known))
        raise OptionInvalid(
            f"{option} knows no {value!r}; it is one of: {told}", expected=told, got=str(value)[:_SHOWN]
        )


def called(option: str, value: Any) -> None:
    """Refuses what cannot be called. Raises `OptionInvalid`."""
    if not callable(value):
        raise OptionInvalid(
            f"{option} is a function that is told what happens",
            expected="a function",
            got=repr(value)[:_SHOWN],
        )


def beginning(kind: str, value: Any) -> None:
    """Refuses what is no text where the beginning of an id belongs, or None. Raises `OptionInvalid`."""
    if value is None or isinstance(value, str):
        return
    remedy = f"write .id behind it: {value.id}" if hasattr(value, "id") else "write it as text"
    raise OptionInvalid(
        f"a {kind} is named by its id or the beginning of it; {remedy}",
        expected="text",
        got=repr(value)[:_SHOWN],
    )
