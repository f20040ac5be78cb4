"""Finds the blocks in which a round was open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engram.node.rpc.headview import HeadView
from engram.statemachine.receipt import Receipt
from engram.statemachine.record import u32
from engram.statemachine.records import Version
from engram.statemachine.rounds.records import Round
from engram.statemachine.state import State

MOST_BLOCKS: Final = 1_000
"""One call reads the receipts of so many blocks at most."""


@dataclass(frozen=True)
class RoundBlocks:
    """The blocks of one round, as of one head."""

    view: HeadView
    round: Round

    def opening(self) -> tuple[int, bool]:
        """The height to begin at, and whether it is known that no earlier block belongs to the round.

        There are no fewer blocks than ticks, and the version that the round improves was there before it. So
        where the states are pruned, the search begins at the later of the two.
        """
        view, pruned = self.view, self.view.store.pruned()
        version = view.state.get(Version, self.round.model, u32(self.round.version))
        least = max(1, self.round.opened, version.height)
        # The round is in the state after `last`; at every step it is not in the state after `first`.
        first, last = max(least - 1, pruned.states), view.head.height
        if self._is_there(first):
            return max(least, pruned.base + 1), pruned.base < least
        while last - first > 1:
            middle = (first + last) // 2
            if self._is_there(middle):
                last = middle
            else:
                first = middle
        return last, True

    def is_last(self, receipts: tuple[Receipt, ...]) -> bool:
        """Whether the round has ended in the block with these receipts."""
        events = (event for receipt in receipts for event in receipt.events)
        return any(event.name == "round_ended" and event.subject == self.round.id for event in events)

    def _is_there(self, height: int) -> bool:
        if height >= self.view.head.height:
            return True
        ref = self.view.block(height, None)
        self.view.store.require_state(height)
        return State(self.view.store, ref.state_root).find(Round, self.round.id) is not None
