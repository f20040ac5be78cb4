"""Fork choice: the head with the most total work, the first seen on ties; and the steps between two branches.

The work of a whole branch is compared, not its height, since blocks at easier targets cost less. Two branches
of equal work are not ordered by any property of their blocks: a node keeps the head that it has. It does not
undo blocks for nothing, and nobody gains by making a rival for a block that has already spread. The next
block on either branch ends the tie.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class HasWork(Protocol):
    """An entry of the block index, as far as fork choice needs it."""

    @property
    def total_work(self) -> int:
        """Work of the block and all its ancestors, see `compact.work_of`."""
        ...


class HasHeight(Protocol):
    """An entry of the block index, as far as a walk along a branch needs it; equal entries are one block."""

    @property
    def height(self) -> int: ...


Entry = TypeVar("Entry", bound=HasHeight)


@dataclass(frozen=True)
class ReorgPlan(Generic[Entry]):
    """How to move the head: undo `disconnect` in order, then apply `connect` in order."""

    disconnect: tuple[Entry, ...]
    """Blocks that leave the chain, the old head first."""
    connect: tuple[Entry, ...]
    """Blocks that join the chain, the new head last."""


def better(candidate: HasWork, head: HasWork) -> bool:
    """True if the candidate has more total work than the head. On equal work the head stays."""
    return candidate.total_work > head.total_work


def plan_reorg(old: Entry, new: Entry, parent_of: Callable[[Entry], Entry]) -> ReorgPlan[Entry]:
    """The blocks that leave and join when the head moves from `old` to `new`.

    `parent_of` gives the entry one height below. It is called once for each block that leaves or joins, and
    never for a common ancestor.
    """
    disconnect: list[Entry] = []
    connect: list[Entry] = []
    while old != new:
        step_old, step_new = old.height >= new.height, new.height >= old.height
        if step_old:
            disconnect.append(old)
            old = parent_of(old)
        if step_new:
            connect.append(new)
            new = parent_of(new)
    return ReorgPlan(tuple(disconnect), tuple(reversed(connect)))
