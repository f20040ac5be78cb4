"""What a task group's exception group is about: the error that ended it. No tasks."""

from __future__ import annotations

from engram.node.chain.chain import ChainStopped
from engram.primitives.errors import ChainError


def cause_of(error: BaseException) -> BaseException:
    """The leaf to answer for: a bug before a chain error; last, that others lost the chain by it."""
    return min(_leaves(error), key=_rank)


def _rank(leaf: BaseException) -> int:
    if isinstance(leaf, ChainStopped):
        return 2
    return 1 if isinstance(leaf, ChainError) else 0


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
