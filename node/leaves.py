"""What a task group's exception group is about: the error that ended it. No tasks."""

from __future__ import annotations

from engram.primitives.errors import ChainError


def cause_of(error: BaseException) -> BaseException:
    """The leaf to answer for: a bug before a chain error, else the first."""
    found = _leaves(error)
    return next((leaf for leaf in found if not isinstance(leaf, ChainError)), found[0])


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
