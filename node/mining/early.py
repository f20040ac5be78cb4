"""When a miner waits for its own clock, because what it would mine were lost work.

A block cannot be older than those below it, and nodes refuse one that is too far ahead of their clocks. So
where the head is ahead of this machine's clock, nobody whose clock agrees takes a block on it. Where a branch
leads that only this clock takes for early, a block on the old head would lose against it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from engram.consensus.chainspec import ChainSpec
from engram.node.clock import Clock
from engram.node.storage.store import BlockRef

LOOK_S: Final = 1.0
"""A miner that waits looks at the clock so often: it may be set meanwhile."""
_LAST_MS: Final = 253_402_300_799_000
"""The last second of the year 9999; later times are not shown as dates."""


@dataclass(frozen=True)
class Wait:
    """For what a miner waits, and until when."""

    cause: str
    """`head_ahead`, or `branch_ahead`: the branch of which peers say that its time has come."""
    until_ms: int
    ahead_s: float
    """Seconds by which the head, or the branch, is ahead of this machine's clock."""

    @property
    def message(self) -> str:
        """The fact and the remedy, for people."""
        what = "the head" if self.cause == "head_ahead" else "a block of the peers' branch, which leads,"
        return (
            f"waits until {_time(self.until_ms)}: {what} is {self.ahead_s:.0f} s ahead of this machine's "
            "clock; if the clock is wrong, set it"
        )


def wait_of(
    spec: ChainSpec, clock: Clock, head: BlockRef, due_branch_ms: Callable[[], int | None]
) -> Wait | None:
    """Why not to mine on the head now; None if there is no reason.

    `due_branch_ms` gives the timestamp of a branch that leads and is due by the clocks of peers. Until it has
    been taken over, whatever this machine's clock says by then, the head is not worth a block.
    """
    now_ms, stamp_ms, cause = clock.now_ms(), head.header.timestamp_ms, "head_ahead"
    if stamp_ms <= now_ms + spec.future_limit_ms:
        branch_ms, cause = due_branch_ms(), "branch_ahead"
        if branch_ms is None:
            return None
        stamp_ms = branch_ms
    return Wait(cause, stamp_ms - spec.future_limit_ms, (stamp_ms - now_ms) / 1000)


def _time(moment_ms: int) -> str:
    moment = datetime.fromtimestamp(min(moment_ms, _LAST_MS) / 1000, UTC)
    return f"{moment:%H:%M:%S} UTC on {moment:%Y-%m-%d}"
